//! What is told of single records, beside the metrics: spans of those whose trace is followed, and lines of the log.

use chrono::{DateTime, Utc};
use ports::{
    Clock, Commit, DeadLetter, Group, HistoryOutcome, NewRecord, Position, Topic, Traceparent,
};
use projection::{Anomaly, Traced};

/// Makes the spans of a batch that is committed, from `began` to now, and lets what each record announces go on from its
/// span. They are made afterwards: only a batch that is not fenced was processed, and a batch without any costs nothing.
pub(crate) fn processed(
    traced: &[Traced],
    announcements: &mut [NewRecord],
    began: DateTime<Utc>,
    clock: &dyn Clock,
) {
    for record in traced {
        let Some(parent) = trace::followed(Some(record.parent)) else { continue };
        let (topic, group) = (Topic::Events, Group::Projector);
        let Some(mut span) = trace::processing(topic, group, record.position, parent, began) else {
            continue;
        };
        span.set("order_ledger.outcome", record.outcome);
        if let Some((order_id, event)) = record.event {
            span.set("order_ledger.order_id", order_id.to_string());
            span.set("order_ledger.event", event.name());
        } else {
            span.fail(record.outcome, "the record can't be read");
        }
        if let Some(told) = record.announcement.and_then(|place| announcements.get_mut(place)) {
            span.traceparent().put(&mut told.headers);
        }
        span.end_at(clock.now());
    }
}

/// A person must look at it.
pub(crate) fn log_dead_letter(letter: &DeadLetter) {
    let Position { partition, offset } = letter.record.position;
    let trace_id = Traceparent::of(&letter.record.headers).map(Traceparent::trace_id);
    tracing::warn!(
        order_id = letter.parks.map(display), trace_id = trace_id.map(display),
        topic = letter.consumer.topic().name(), %partition, %offset,
        reason = letter.reason.name(), detail = letter.detail, "a record can't be read: dead letter"
    );
}

/// A person must look at them, too.
pub(crate) fn log_anomalies(commit: &Commit, anomalies: &[Anomaly]) {
    for Anomaly { row, trace_id } in anomalies {
        let Some(row) = commit.history.get(*row) else { continue };
        let rejection = match row.outcome {
            HistoryOutcome::Rejected { reason, .. } => Some(reason.name()),
            HistoryOutcome::Applied { .. }
            | HistoryOutcome::Duplicate { .. }
            | HistoryOutcome::Parked { .. } => None,
        };
        let Position { partition, offset } = row.position;
        tracing::warn!(
            order_id = %row.order_id, trace_id = trace_id.map(display), event = row.kind.name(), rejection,
            %partition, %offset, "a fact does not fit its order: an anomaly"
        );
    }
}
