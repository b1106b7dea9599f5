//! From what came together to documents.

use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, Utc};

use super::interval::{Interval, Latencies, Series, Sum};
use crate::{
    LatencyHistogram, MetricDocument, MetricEventFields, MetricOf, MetricServiceFields, NodeFields,
    seconds,
};

/// What was recorded in one interval.
#[derive(Debug, Default)]
pub struct Taken {
    pub(super) intervals: Vec<Interval>,
    /// How many mails were sent.
    pub mails_sent: u64,
    /// How many mails were given up.
    pub mails_failed: u64,
}

/// Who tells of an interval, and which.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// No two processes that run at the same time share it.
    pub node: &'a str,
    /// Of the program.
    pub version: &'static str,
    /// When the interval ended.
    pub until: DateTime<Utc>,
    /// How long it was.
    pub lasted: Duration,
}

impl Told<'_> {
    /// A document of this interval.
    #[must_use]
    pub fn document(&self, metric: &'static str, of: MetricOf) -> MetricDocument {
        MetricDocument {
            timestamp: self.until.trunc_subsecs(3),
            event: MetricEventFields {
                kind: "metric",
                dataset: "order_ledger.metrics",
                action: None,
                outcome: None,
            },
            service: MetricServiceFields {
                name: "order-ledger",
                version: self.version,
                node: NodeFields { name: self.node.to_owned() },
            },
            metric,
            interval_seconds: self.lasted.as_secs_f64(),
            of,
        }
    }
}

impl Taken {
    /// One document a series.
    #[must_use]
    pub fn documents(&self, told: Told<'_>) -> Vec<MetricDocument> {
        let load_tests = self.intervals.iter().flat_map(|interval| &interval.load_tests);
        let documents = load_tests.flat_map(|of| {
            let load_test_type = of.load_test_type.as_deref();
            of.sums.iter().map(move |(series, sum)| document(told, *series, load_test_type, sum))
        });
        documents.collect()
    }
}

fn document(
    told: Told<'_>,
    series: Series,
    load_test_type: Option<&str>,
    sum: &Sum,
) -> MetricDocument {
    let count = sum.latencies.len();
    let mut document = told.document(
        series.metric.name(),
        MetricOf::Latency {
            state: series.state.map(|state| state.name()),
            load_test_type: load_test_type.map(str::to_owned),
            count,
            per_second: per_second(count, told.lasted),
            latency_seconds: histogram(&sum.latencies),
            latency_max_seconds: sum.longest.as_secs_f64(),
        },
    );
    document.event.action = Some(series.event.name());
    document.event.outcome = Some(series.outcome.name());
    document
}

fn per_second(count: u64, lasted: Duration) -> f64 {
    // Of an interval that ended as it began, as if it had lasted a millisecond.
    count as f64 / lasted.max(Duration::from_millis(1)).as_secs_f64()
}

/// Each bucket by the value in its middle.
fn histogram(latencies: &Latencies) -> LatencyHistogram {
    let buckets = latencies.iter_recorded().map(|bucket| {
        let middle = latencies.median_equivalent(bucket.value_iterated_to());
        (seconds(middle), u64::from(bucket.count_at_value()))
    });
    let (values, counts) = buckets.unzip();
    LatencyHistogram { values, counts }
}
