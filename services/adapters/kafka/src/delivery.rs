//! From librdkafka's delivery reports to the acknowledgements that callers wait for.

use std::sync::Arc;

use metrics::Counter;
use ports::{Ack, AppendError, Offset, Partition, Position, Topic};
use rdkafka::{
    ClientContext, Message as _, Statistics,
    config::RDKafkaLogLevel,
    error::KafkaError,
    producer::{DeliveryResult, NoCustomPartitioner, ProducerContext},
};
use tokio::sync::oneshot;
use tokio_util::sync::DropGuard;

use crate::{client, error::undelivered};

/// A record under way; librdkafka carries it along and hands it back with the outcome.
pub(crate) struct Pending {
    topic: Topic,
    size: usize,
    outcome: oneshot::Sender<Result<Position, AppendError>>,
    /// Let go once the outcome is told: what a flush waits for.
    _under_way: Arc<DropGuard>,
}

impl Pending {
    /// A record of `size` bytes, and what its caller waits for.
    pub(crate) fn new(topic: Topic, size: usize, under_way: Arc<DropGuard>) -> (Box<Self>, Ack) {
        let (outcome, told) = oneshot::channel();
        let ack = async move {
            told.await.unwrap_or_else(|_| {
                Err(AppendError::Unacknowledged("the producer was closed".to_owned()))
            })
        };
        (Box::new(Self { topic, size, outcome, _under_way: under_way }), Box::pin(ack))
    }
}

/// The producer's context: receives delivery reports, on the producer's own thread.
pub(crate) struct Deliveries {
    events: Counter,
    state_changes: Counter,
}

impl Deliveries {
    pub(crate) fn new() -> Self {
        let appended = |topic: Topic| metrics::counter!("order_ledger_log_appended_records_total", "topic" => topic.name());
        Self { events: appended(Topic::Events), state_changes: appended(Topic::StateChanged) }
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        client::log_line(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        client::log_error(&error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        client::measure_queue(&statistics);
    }
}

impl ProducerContext<NoCustomPartitioner> for Deliveries {
    type DeliveryOpaque = Box<Pending>;

    fn delivery(&self, result: &DeliveryResult<'_>, pending: Box<Pending>) {
        let Pending { topic, size, outcome, _under_way } = *pending;
        let told = match result {
            Ok(message) => {
                match topic {
                    Topic::Events => self.events.increment(1),
                    Topic::StateChanged => self.state_changes.increment(1),
                }
                let partition = Partition(u32::try_from(message.partition()).unwrap_or(0));
                Ok(Position { partition, offset: Offset(message.offset()) })
            }
            Err((error, _)) => {
                metrics::counter!("order_ledger_log_append_failures_total", "topic" => topic.name())
                    .increment(1);
                Err(undelivered(error, size))
            }
        };
        // Whoever appended may have stopped waiting; the record is where it is.
        _ = outcome.send(told);
    }
}
