//! Metrics as documents: one an interval, a process and a series, appended and never changed.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use crate::{IndexOutcome, SearchError};

/// What one series of one process did in one interval. Field names are the stream's; those of `event` and `service` are the
/// Elastic Common Schema's. What a kind of series does not have is left out.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "as in `OrderDocument`")]
pub struct MetricDocument {
    /// The interval's end, to the millisecond.
    #[serde(rename = "@timestamp")]
    pub timestamp: DateTime<Utc>,
    pub event: MetricEventFields,
    pub service: MetricServiceFields,
    /// `PlaceOrder`, `PlaceOrders`, `state_update`, `partition` or `consumers`.
    pub metric: &'static str,
    /// How long the interval was.
    pub interval_seconds: f64,
    #[serde(flatten)]
    pub of: MetricOf,
}

/// `event.*` of the Elastic Common Schema.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MetricEventFields {
    /// `metric`.
    pub kind: &'static str,
    /// `order_ledger.metrics`.
    pub dataset: &'static str,
    /// The type of the events that were measured, such as `OrderShipped`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<&'static str>,
    /// `success` or `failure`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<&'static str>,
}

/// Who measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct MetricServiceFields {
    pub name: &'static str,
    pub version: &'static str,
    pub node: NodeFields,
}

/// One process among those of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeFields {
    /// No two processes that run at the same time share it.
    pub name: String,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "as in `OrderDocument`")]
pub enum MetricOf {
    /// Of `PlaceOrder`, `PlaceOrders` and `state_update`.
    Latency {
        /// The state that was entered; of a failure, where the order stays, if there is one.
        #[serde(skip_serializing_if = "Option::is_none")]
        state: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        load_test_type: Option<String>,
        count: u64,
        per_second: f64,
        latency_seconds: LatencyHistogram,
        latency_max_seconds: f64,
    },
    /// Of `partition`: how far its fold is behind.
    Lag { partition: u32, lag_records: i64, lag_seconds: f64 },
    /// Of `consumers`: what waits for someone.
    Waiting {
        consumer: &'static str,
        dead_letters_open: u64,
        #[serde(flatten)]
        mails: Option<MailFields>,
    },
}

/// The mailer's mails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MailFields {
    /// In the store, to be sent.
    pub mails_pending: u64,
    /// Given up by this process in the interval.
    pub mails_failed: u64,
    /// Sent by this process in the interval.
    pub mails_sent: u64,
}

/// Latencies in seconds in ascending order, and how often each came: what Elasticsearch's type `histogram` takes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct LatencyHistogram {
    pub values: Vec<f64>,
    pub counts: Vec<u64>,
}

impl MetricDocument {
    /// The same each time the same series of the same interval is told. A hash: labels are as long as people make them.
    #[must_use]
    pub fn id(&self) -> String {
        const HEX_CHARS: usize = 32;
        let (of, number) = match &self.of {
            MetricOf::Latency { state, load_test_type, .. } => {
                ([*state, load_test_type.as_deref()], None)
            }
            MetricOf::Lag { partition, .. } => ([None, None], Some(*partition)),
            MetricOf::Waiting { consumer, .. } => ([Some(*consumer), None], None),
        };
        let event = [self.event.action, self.event.outcome];
        let texts = [Some(self.service.node.name.as_str()), Some(self.metric)];
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.timestamp.timestamp_millis().to_le_bytes());
        hasher.update(&number.map_or(-1, i64::from).to_le_bytes());
        for text in texts.into_iter().chain(event).chain(of) {
            // With its length in front, so that no two lists of texts are the same bytes; none is not the empty one.
            let length = text.map_or(u64::MAX, |text| text.len() as u64);
            hasher.update(&length.to_le_bytes());
            hasher.update(text.unwrap_or_default().as_bytes());
        }
        hasher.finalize().to_hex().chars().take(HEX_CHARS).collect()
    }
}

/// Takes metrics and keeps them for a time. Apart from the [`crate::SearchIndex`] beside it: a server that can't take
/// metrics may well take orders.
#[async_trait]
pub trait MetricStream: Send + Sync {
    /// Makes what it takes to append, if it is missing. Several processes may do so at the same time.
    ///
    /// # Errors
    /// [`SearchError::Unfit`] if metrics can't be kept there.
    async fn prepare(&self) -> Result<(), SearchError>;

    /// Appends documents, unless they are there: [`IndexOutcome::Stale`] says so, and leaves the one that is there. One
    /// outcome a document, in order.
    async fn append(&self, documents: &[MetricDocument]) -> Result<Vec<IndexOutcome>, SearchError>;

    /// What is kept of a node, oldest first, ten thousand documents at most. Sees every append that was answered before the
    /// call.
    async fn kept(&self, node: &str) -> Result<Vec<Value>, SearchError>;
}
