//! Appending events: the one way from this edge into the log.

use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use events::{Digest, Event, EventBody, EventId, Fingerprint, OrderId, Text, Version};
use ports::{Ack, AppendError, Clock, EventLog, IdSource, NewRecord, Position, Topic, Traceparent};
use proto::v1;
use trace::Sending;

use crate::Parts;

/// Makes events that happen now and appends them.
#[derive(Clone)]
pub(crate) struct Appender {
    log: Arc<dyn EventLog>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    actor: Option<Text<100>>,
    log_is_away: Arc<AtomicBool>,
}

impl Appender {
    /// `log_is_away` is what the health check last found.
    pub(crate) fn new(parts: &Parts, log_is_away: Arc<AtomicBool>) -> Self {
        Self {
            log: Arc::clone(&parts.log),
            clock: Arc::clone(&parts.clock),
            ids: Arc::clone(&parts.ids),
            actor: Text::new("api").ok(),
            log_is_away,
        }
    }

    /// An id for an order that brings none.
    pub(crate) fn fresh_order_id(&self) -> OrderId {
        OrderId::new(self.ids.fresh())
    }

    /// An id for an event that brings none.
    pub(crate) fn fresh_event_id(&self) -> EventId {
        EventId::new(self.ids.fresh())
    }

    /// An event that happens now, for [`Self::append`] alone: its fingerprint and digest are blank. Records do not carry
    /// them, every reader computes its own, and to encode and hash each body here would only slow the hot path.
    pub(crate) fn event(
        &self,
        id: EventId,
        order_id: OrderId,
        actor: Option<Text<100>>,
        expected_version: Option<Version>,
        body: EventBody,
    ) -> Event {
        Event {
            id,
            order_id,
            occurred_at: self.clock.now(),
            actor: actor.or_else(|| self.actor.clone()),
            expected_version,
            fingerprint: Fingerprint::new(0),
            digest: Digest::ZERO,
            body,
        }
    }

    /// Queues an event; never blocks. While the log is known to be away nothing is queued: a quick no is worth more
    /// to a caller than a queue that fills up and answers after its deadline.
    pub(crate) fn append(&self, event: &Event, trail: &mut Trail) -> Result<Ack, AppendError> {
        if self.log_is_away.load(Ordering::Relaxed) {
            return Err(AppendError::Unacknowledged(
                "it did not answer when last asked".to_owned(),
            ));
        }
        let mut record = codec::event_record(event, trail.traceparent);
        trail.follow(&mut record);
        match self.log.append(Topic::Events, record) {
            Ok(ack) => Ok(trace::until_acknowledged(trail.sending.take(), ack)),
            Err(error) => {
                trail.not_appended(&error);
                Err(error)
            }
        }
    }
}

/// The trace that an event is to be part of.
#[derive(Debug, Default)]
pub(crate) struct Trail {
    traceparent: Option<Traceparent>,
    may_begin: bool,
    /// Whether a full queue is tried again: the span goes on meanwhile.
    is_patient: bool,
    sending: Sending,
}

impl Trail {
    /// That of the call which brings the event.
    pub(crate) const fn of_call(traceparent: Option<Traceparent>) -> Self {
        Self { traceparent, may_begin: false, is_patient: false, sending: None }
    }

    /// That of a stream which brings many: if it has none, each of them may begin one.
    pub(crate) const fn of_stream(traceparent: Option<Traceparent>) -> Self {
        Self { traceparent, may_begin: true, is_patient: true, sending: None }
    }

    fn follow(&mut self, record: &mut NewRecord) {
        if let Some(span) = &self.sending {
            span.traceparent().put(&mut record.headers);
        } else if mem::take(&mut self.may_begin) {
            self.sending = trace::sending_or_begin(Topic::Events, record);
        } else {
            self.sending = trace::sending(Topic::Events, record);
        }
    }

    fn not_appended(&mut self, error: &AppendError) {
        let goes_on = self.is_patient && matches!(error, AppendError::QueueFull);
        if let Some(span) = self.sending.as_mut().filter(|_| !goes_on) {
            span.not_appended(error);
        }
    }
}

/// As the wire has it.
pub(crate) const fn to_proto(position: Position) -> v1::LogPosition {
    v1::LogPosition { partition: position.partition.0, offset: position.offset.0 }
}

#[cfg(test)]
mod tests {
    use testkit::{
        sample,
        spans::{self, attribute, client, named},
    };

    use super::*;

    fn record(trail: &Trail) -> NewRecord {
        codec::event_record(&sample::placed(sample::order_id(1)), trail.traceparent)
    }

    #[test]
    fn a_full_queue_that_is_tried_again_is_one_span() {
        let (kept, trace) = (spans::follow(), client(1, true));
        let mut trail = Trail::of_stream(Some(trace));
        let (mut first, mut again) = (record(&trail), record(&trail));
        trail.follow(&mut first);
        trail.not_appended(&AppendError::QueueFull);
        trail.follow(&mut again);
        assert_eq!(first, again);
        drop(trail);
        let made = kept.of(trace);
        assert_eq!(attribute(named(&made, "send orders.events"), "error.type"), "");
    }

    #[test]
    fn a_full_queue_that_is_answered_is_a_span_that_failed() {
        let (kept, trace) = (spans::follow(), client(2, true));
        let mut trail = Trail::of_call(Some(trace));
        trail.follow(&mut record(&trail));
        trail.not_appended(&AppendError::QueueFull);
        drop(trail);
        let made = kept.of(trace);
        assert_eq!(attribute(named(&made, "send orders.events"), "error.type"), "queue_full");
    }
}
