//! Sample metrics: documents of every kind, as a process tells them.

use std::time::Duration;

use ports::{LatencyHistogram, MailFields, MetricDocument, MetricOf, Told};

use crate::sample::at;

/// What a process of this name tells of its n-th interval: with every field, and with as few as can be.
#[must_use]
pub fn interval(node: &str, n: i64) -> Vec<MetricDocument> {
    let until = at(10 * n);
    let told = Told { node, version: "1.2.3", until, lasted: Duration::from_millis(10_025) };
    let latency = |state, load_test_type: Option<&str>, values: &[f64], counts: &[u64]| {
        let count: u64 = counts.iter().sum();
        MetricOf::Latency {
            state,
            load_test_type: load_test_type.map(str::to_owned),
            count,
            per_second: count as f64 / told.lasted.as_secs_f64(),
            latency_seconds: LatencyHistogram { values: values.to_vec(), counts: counts.to_vec() },
            latency_max_seconds: values.last().copied().unwrap_or_default(),
        }
    };
    let of_event = |metric, action, outcome, of| {
        let mut document = told.document(metric, of);
        document.event.action = Some(action);
        document.event.outcome = Some(outcome);
        document
    };
    let placed = latency(Some("Placed"), Some("soak"), &[0.000_25, 0.004, 1.5], &[7, 120, 1]);
    let rejected = latency(None, None, &[0.03], &[2]);
    let lag = MetricOf::Lag { partition: 3, lag_records: 12, lag_seconds: 0.75 };
    let mails = MailFields { mails_pending: 4, mails_failed: 1, mails_sent: 9 };
    let waiting = |consumer, mails| MetricOf::Waiting { consumer, dead_letters_open: 2, mails };
    vec![
        of_event("PlaceOrder", "OrderPlaced", "success", placed),
        of_event("state_update", "OrderShipped", "failure", rejected),
        told.document("partition", lag),
        told.document("consumers", waiting("mailer", Some(mails))),
        told.document("consumers", waiting("search", None)),
    ]
}
