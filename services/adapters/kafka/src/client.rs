//! What librdkafka says on the side: log lines go to tracing, statistics to metrics.

use std::fmt::Display;

use metrics::Gauge;
use ports::Partition;
use rdkafka::{
    ClientContext, Statistics, config::RDKafkaLogLevel, consumer::ConsumerContext,
    error::KafkaError,
};

/// The context of clients that need nothing else.
pub(crate) struct Plain;

impl ClientContext for Plain {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log_line(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_error(&error, reason);
    }
}

impl ConsumerContext for Plain {}

/// One of librdkafka's log lines. What it calls errors are mostly lost connections that it mends itself.
pub(crate) fn log_line(level: RDKafkaLogLevel, facility: &str, line: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(target: "librdkafka", facility, "{line}");
        }
        RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => {
            tracing::warn!(target: "librdkafka", facility, "{line}");
        }
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
            tracing::info!(target: "librdkafka", facility, "{line}");
        }
        RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", facility, "{line}"),
    }
}

/// An error of a client as a whole; the same as one of its log lines, or handled where it matters.
pub(crate) fn log_error(error: &KafkaError, reason: &str) {
    tracing::debug!(target: "librdkafka", %error, "{reason}");
}

/// How much waits for its acknowledgement.
pub(crate) fn measure_queue(statistics: &Statistics) {
    metrics::gauge!("order_ledger_log_queue_records").set(statistics.msg_cnt as f64);
    metrics::gauge!("order_ledger_log_queue_bytes").set(statistics.msg_size as f64);
    metrics::gauge!("order_ledger_log_queue_max_records").set(statistics.msg_max as f64);
    metrics::gauge!("order_ledger_log_queue_max_bytes").set(statistics.msg_size_max as f64);
}

/// How many records each partition that this member reads holds beyond what it took.
pub(crate) fn measure_lag(group: &'static str, statistics: &Statistics) {
    let partitions = statistics.topics.values().flat_map(|topic| topic.partitions.values());
    for partition in partitions.filter(|p| p.fetch_state == "active" && p.consumer_lag >= 0) {
        lag(group, &partition.partition).set(partition.consumer_lag as f64);
    }
}

/// The partitions are another member's to measure.
pub(crate) fn forget_lag(group: &'static str, partitions: &[Partition]) {
    for partition in partitions {
        lag(group, partition).set(0.0);
    }
}

fn lag(group: &'static str, partition: &dyn Display) -> Gauge {
    let partition = partition.to_string();
    metrics::gauge!("order_ledger_log_lag_records", "group" => group, "partition" => partition)
}
