//! The transitions of orders: one document a recorded change, appended and never changed.

use std::fmt;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use events::OrderId;
use serde::Serialize;
use serde_json::Value;

use crate::{IndexOutcome, PaymentDocument, SearchError};

/// What one recorded event did, as people draw and count it. Field names are the stream's; those of `event`, `service` and
/// `trace` are the Elastic Common Schema's.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "as in `OrderDocument`")]
pub struct TransitionDocument {
    /// When it happened, as the event says.
    #[serde(rename = "@timestamp")]
    pub timestamp: DateTime<Utc>,
    pub event: EventFields,
    pub service: ServiceFields,
    pub trace: Option<TraceFields>,
    pub order_id: String,
    pub version: u64,
    /// `None` for the first.
    pub from: Option<&'static str>,
    /// Where the order stands afterwards; the same as `from` if it stayed.
    pub to: &'static str,
    /// How long it was in `from` this time; `None` if it stayed there.
    pub seconds_in_from: Option<f64>,
    /// Why the state machine rejected the event, if it did.
    pub rejection: Option<&'static str>,
    /// Who reported the event.
    pub actor: Option<String>,
    /// From when it happened to `event.created`; `None` if it was made of the history, later.
    pub lag_seconds: Option<f64>,
    pub currency: String,
    pub total_minor: i64,
    pub region: String,
    pub payment: PaymentDocument,
    /// The order's label of that name.
    pub load_test_type: Option<String>,
}

/// `event.*` of the Elastic Common Schema. There is no `event.category`: none that it allows fits, and then it is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EventFields {
    /// `event`.
    pub kind: &'static str,
    /// The type of the event, such as `OrderShipped`.
    pub action: &'static str,
    /// `success` if it was applied, `failure` if it was rejected.
    pub outcome: &'static str,
    /// The event's id.
    pub id: String,
    /// When the search projector read the change: what the schema calls so, not when the index took it.
    pub created: DateTime<Utc>,
    /// `order_ledger.transitions`.
    pub dataset: &'static str,
}

/// Who wrote the document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ServiceFields {
    pub name: &'static str,
    pub version: &'static str,
}

/// The trace that the change belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TraceFields {
    /// 32 hexadecimal digits.
    pub id: String,
}

/// Which transition: of which order, to which version. Written as the id that a stream keeps it under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransitionKey {
    /// Of which order.
    pub order_id: OrderId,
    /// Which version it has afterwards.
    pub version: u64,
}

impl TransitionKey {
    /// The one that an id is of; `None` if no transition is written so.
    #[must_use]
    pub fn of_id(id: &str) -> Option<Self> {
        let (order_id, version) = id.rsplit_once('-')?;
        let key = Self { order_id: order_id.parse().ok()?, version: version.parse().ok()? };
        // Another spelling is another id.
        (key.to_string() == id).then_some(key)
    }
}

impl fmt::Display for TransitionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.order_id, self.version)
    }
}

impl TransitionDocument {
    /// The same each time the same change is told.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}-{}", self.order_id, self.version)
    }
}

/// Takes transitions and keeps them. Prepared with the [`crate::SearchIndex`] beside it.
#[async_trait]
pub trait TransitionStream: Send + Sync {
    /// Appends transitions, unless they are there: [`IndexOutcome::Stale`] says so, and leaves the one that is there. One
    /// outcome a transition, in order. A transition may come more than once. What came long ago may be appended again:
    /// a stream need not look further back than where it writes.
    async fn append(
        &self,
        transitions: &[TransitionDocument],
    ) -> Result<Vec<IndexOutcome>, SearchError>;

    /// The same, however long ago they came: for whoever makes them of the history, some of it old.
    async fn append_missing(
        &self,
        transitions: &[TransitionDocument],
    ) -> Result<Vec<IndexOutcome>, SearchError>;

    /// The transitions of an order as they are kept, by version. Sees every append that was answered before the call.
    async fn transitions(&self, order: OrderId) -> Result<Vec<Value>, SearchError>;
}

/// What a stream of transitions keeps, for whoever compares it with the log.
#[async_trait]
pub trait KeptTransitions: Send + Sync {
    /// From here on it must be whole: the transition of an event that was logged at this instant or later is kept, if it
    /// was ever appended. What is older may have been deleted since, or the stream was not there yet.
    async fn whole_since(&self) -> Result<DateTime<Utc>, SearchError>;

    /// Lets [`Self::find`] and [`Self::scan`] see every append that was answered before this call.
    async fn refresh(&self) -> Result<(), SearchError>;

    /// These, as they are kept, in no order; those that are not there are left out, and one that is there more than once
    /// comes as often.
    async fn find(
        &self,
        transitions: &[TransitionKey],
    ) -> Result<Vec<(TransitionKey, Value)>, SearchError>;

    /// The ids of all that is kept, in no order.
    async fn scan(&self) -> Result<Box<dyn TransitionScan>, SearchError>;
}

/// Goes through all that a stream keeps. What is appended meanwhile may be left out.
#[async_trait]
pub trait TransitionScan: Send {
    /// The next ids; none once it is through.
    async fn next(&mut self) -> Result<Vec<String>, SearchError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_written_and_no_other_way() {
        let order_id = OrderId::for_request("one");
        let key = TransitionKey { order_id, version: 12 };
        assert_eq!(TransitionKey::of_id(&key.to_string()), Some(key));
        let order = order_id.to_string();
        for id in [
            order.clone(),
            format!("{order}-012"),
            format!("{order}-+12"),
            format!("{}-12", order.to_uppercase()),
            "-12".to_owned(),
            String::new(),
        ] {
            assert_eq!(TransitionKey::of_id(&id), None, "{id}");
        }
    }
}
