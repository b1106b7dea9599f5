//! The table of metrics. What Prometheus is told of each, `docs/metrics.md`, alerts and dashboards all follow it.

use metrics::Unit;

/// How a metric's values move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Only ever grows, until the process ends.
    Counter,
    /// Is what it is at the moment.
    Gauge,
    /// Counts values by size.
    Histogram,
}

impl Kind {
    /// As Prometheus has it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Debug)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    #[cfg_attr(not(test), expect(dead_code, reason = "the docs' test reads them"))]
    pub(crate) labels: &'static [&'static str],
    pub(crate) help: &'static str,
}

impl Metric {
    /// By the convention that a name ends in its unit.
    fn unit(&self) -> Unit {
        let name = self.name.trim_end_matches("_total");
        if name.ends_with("_seconds") {
            Unit::Seconds
        } else if name.ends_with("_bytes") {
            Unit::Bytes
        } else {
            Unit::Count
        }
    }

    /// Says what it is to whoever records metrics.
    pub(crate) fn describe(&self) {
        match self.kind {
            Kind::Counter => metrics::describe_counter!(self.name, self.unit(), self.help),
            Kind::Gauge => metrics::describe_gauge!(self.name, self.unit(), self.help),
            Kind::Histogram => metrics::describe_histogram!(self.name, self.unit(), self.help),
        }
    }
}

type Labels = &'static [&'static str];

const fn counter(name: &'static str, labels: Labels, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, labels, help }
}

const fn gauge(name: &'static str, labels: Labels, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, labels, help }
}

const fn histogram(name: &'static str, labels: Labels, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Histogram, labels, help }
}

/// Every metric, along the way of an order.
pub(crate) const METRICS: &[Metric] = &[
    // The api.
    counter(
        "order_ledger_rpc_requests_total",
        &["method", "code"],
        "Calls that ended, by gRPC status; a call that its caller gave up is CANCELLED",
    ),
    histogram(
        "order_ledger_rpc_duration_seconds",
        &["method"],
        "How long calls took, streams from their begin to their end",
    ),
    histogram(
        "order_ledger_streamed_order_duration_seconds",
        &["outcome"],
        "How long orders in PlaceOrders streams took, each from its reading to its result: success, or failure if it was refused or given up",
    ),
    gauge("order_ledger_rpc_in_flight", &["method"], "Calls and streams under way"),
    counter("order_ledger_orders_placed_total", &[], "Orders whose placing the log acknowledged"),
    gauge("order_ledger_watchers", &[], "Streams that watch orders"),
    counter(
        "order_ledger_watchers_dropped_total",
        &[],
        "Watching streams that were ended because they did not keep up",
    ),
    // The log.
    counter(
        "order_ledger_log_appended_records_total",
        &["topic"],
        "Records that Kafka acknowledged",
    ),
    counter(
        "order_ledger_log_append_refusals_total",
        &["topic"],
        "Records that were not queued: the queue was full, or they were too large",
    ),
    counter(
        "order_ledger_log_append_failures_total",
        &["topic"],
        "Records that were queued and not acknowledged in time",
    ),
    gauge("order_ledger_log_queue_records", &[], "Records in the queue to Kafka"),
    gauge("order_ledger_log_queue_max_records", &[], "Records that the queue to Kafka takes"),
    gauge("order_ledger_log_queue_bytes", &[], "Bytes in the queue to Kafka"),
    gauge("order_ledger_log_queue_max_bytes", &[], "Bytes that the queue to Kafka takes"),
    counter(
        "order_ledger_log_producers_replaced_total",
        &[],
        "Kafka producers that failed for good and were replaced",
    ),
    counter(
        "order_ledger_log_read_records_total",
        &["topic", "group"],
        "Records read from Kafka; those of watchers under the group follower",
    ),
    gauge(
        "order_ledger_log_lag_records",
        &["group", "partition"],
        "Records that a Kafka partition holds beyond what this process took from it",
    ),
    counter(
        "order_ledger_log_rebalances_total",
        &["group"],
        "Times that Kafka gave partitions of a group to this process or took them away",
    ),
    histogram(
        "order_ledger_log_transaction_records",
        &[],
        "Records that the embedded log wrote in one transaction",
    ),
    // The projector.
    gauge(
        "order_ledger_projector_lag_records",
        &["partition"],
        "Records between the folded offset in the store and the end of orders.events",
    ),
    gauge(
        "order_ledger_projector_lag_seconds",
        &["partition"],
        "How long the next record to be folded has been there, as far as this process saw",
    ),
    histogram(
        "order_ledger_projector_delay_seconds",
        &[],
        "From the appending of a batch's newest record to its commit",
    ),
    histogram("order_ledger_projector_batch_records", &[], "Events in one commit"),
    counter(
        "order_ledger_projector_events_total",
        &["outcome"],
        "Events folded, by what became of them",
    ),
    counter(
        "order_ledger_anomalies_total",
        &[],
        "Facts that did not fit their order: a person must look at them",
    ),
    counter(
        "order_ledger_projector_fenced_total",
        &[],
        "Commits that were given up because they were made of what is not stored any more",
    ),
    counter(
        "order_ledger_projector_announced_again_total",
        &[],
        "State changes that were announced again after a crash or a failure",
    ),
    counter(
        "order_ledger_projector_retries_total",
        &[],
        "Operations of the projector that failed and were tried again",
    ),
    gauge(
        "order_ledger_unaccounted_records",
        &["partition"],
        "Folded records that have neither a history row nor a dead letter: must be 0",
    ),
    gauge(
        "order_ledger_unaudited_records",
        &["partition"],
        "Folded records that the audit has not looked for yet",
    ),
    // Dead letters.
    counter(
        "order_ledger_dead_letters_total",
        &["consumer", "reason"],
        "Records that became dead letters",
    ),
    gauge(
        "order_ledger_dead_letters_open",
        &["consumer"],
        "Dead letters in the store that wait for a decision or for its carrying out",
    ),
    counter(
        "order_ledger_dead_letters_decided_total",
        &[],
        "Decisions on the projector's dead letters that were carried out",
    ),
    // Search, mailer, fulfilment.
    counter("order_ledger_changes_read_total", &["consumer"], "State changes read and dealt with"),
    histogram("order_ledger_changes_batch_records", &["consumer"], "State changes in one batch"),
    histogram(
        "order_ledger_changes_lag_seconds",
        &["consumer"],
        "From the oldest event of a batch of state changes to the batch's end",
    ),
    counter(
        "order_ledger_retries_total",
        &["consumer", "operation"],
        "Operations that failed and were tried again",
    ),
    counter(
        "order_ledger_search_documents_total",
        &["outcome"],
        "Documents given to the search index: indexed, stale or refused",
    ),
    counter(
        "order_ledger_search_transitions_total",
        &["outcome"],
        "Transitions given to their stream: indexed, stale (there already) or refused",
    ),
    counter(
        "order_ledger_mails_total",
        &["outcome"],
        "Tries to send a mail: sent, put_off or failed",
    ),
    gauge("order_ledger_mails_pending", &[], "Mails in the store that are to be sent"),
    histogram(
        "order_ledger_mail_send_duration_seconds",
        &[],
        "How long the mail server took for one mail, refusals and time-outs included",
    ),
    counter(
        "order_ledger_timers_fired_total",
        &["kind"],
        "Timers whose event the log acknowledged",
    ),
    gauge("order_ledger_timers_set", &[], "Timers in the store"),
    gauge("order_ledger_timers_overdue", &[], "Timers in the store that should have fired by now"),
    counter(
        "order_ledger_replay_retries_total",
        &["operation"],
        "Operations on a search index that a replay had to try again",
    ),
    counter(
        "order_ledger_metric_documents_total",
        &["outcome"],
        "Documents of metrics given to their stream: indexed, stale (there already), refused, or dropped before",
    ),
    // The process.
    gauge(
        "order_ledger_role_ready",
        &["role"],
        "1 if the role serves, 0 if it waits for something",
    ),
    gauge(
        "order_ledger_store_connections",
        &["state"],
        "Connections to the state store that are in_use or idle",
    ),
    gauge("order_ledger_store_connections_max", &[], "Connections to the state store at most"),
    gauge(
        "order_ledger_store_connections_waiting",
        &[],
        "Operations that wait for a connection to Postgres",
    ),
    gauge(
        "order_ledger_data_available_bytes",
        &[],
        "Room on the disk of the data folder, if a part is embedded",
    ),
    gauge(
        "order_ledger_data_size_bytes",
        &[],
        "Size of the disk of the data folder, if a part is embedded",
    ),
    counter(
        "order_ledger_trace_spans_total",
        &["outcome"],
        "Spans, if a collector is named: exported, dropped because too many waited, or failed to be taken",
    ),
    gauge("order_ledger_build_info", &["version", "fold"], "1, with which program this is"),
    counter("process_cpu_seconds_total", &[], "Processor time that the process used"),
    gauge("process_resident_memory_bytes", &[], "Memory that the process holds"),
    gauge("process_open_fds", &[], "File descriptors that the process has open"),
];

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fmt::Write as _, fs, path::Path};

    use super::*;

    /// The table of metrics as `docs/metrics.md` has it.
    fn table() -> String {
        let mut table = "\n| metric | type | labels | meaning |\n|---|---|---|---|\n".to_owned();
        for Metric { name, kind, labels, help } in METRICS {
            let labels = labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>();
            let labels = labels.join(", ");
            writeln!(table, "| `{name}` | {} | {labels} | {help} |", kind.name()).unwrap();
        }
        table
    }

    #[test]
    fn the_docs_list_every_metric() {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
        let text = fs::read_to_string(&docs).unwrap();
        let (before, rest) = text.split_once("by a test -->\n").unwrap();
        let (found, after) = rest.split_once("<!-- /metrics -->").unwrap();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            let updated = format!("{before}by a test -->\n{}<!-- /metrics -->{after}", table());
            fs::write(&docs, updated).unwrap();
            return;
        }
        assert_eq!(found, table(), "run the test with UPDATE_DOCS=1 to bring the docs up to date");
    }

    #[test]
    fn names_keep_to_the_conventions() {
        let mut seen = BTreeSet::new();
        for Metric { name, kind, labels, .. } in METRICS {
            assert!(seen.insert(name), "{name} is there twice");
            assert!(name.starts_with("order_ledger_") || name.starts_with("process_"), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
            let reserved = ["_bucket", "_sum", "_count"];
            assert!(reserved.iter().all(|suffix| !name.ends_with(suffix)), "{name}");
            let other_units = ["_ms", "_millis", "_minutes", "_kilobytes", "_mb", "_percent"];
            assert!(other_units.iter().all(|unit| !name.contains(unit)), "{name}: base units");
            assert!(!labels.contains(&"le") && !labels.contains(&"quantile"), "{name}");
            let has_unit = ["_seconds", "_bytes", "_records"].iter().any(|u| name.ends_with(u));
            assert!(has_unit || *kind != Kind::Histogram, "{name} has no buckets");
        }
    }
}
