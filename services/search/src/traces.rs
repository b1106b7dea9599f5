//! Spans of requests to the search index: one for each document of a change whose trace is followed.

use chrono::{DateTime, Utc};
use consumer::Changed;
use ports::{Clock, IndexOutcome, SearchError};

/// What a bulk request writes to, by the name of its span.
#[derive(Clone, Copy)]
pub(crate) enum Index {
    Orders,
    Transitions,
}

impl Index {
    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Orders => ("bulk orders", "orders"),
            Self::Transitions => ("bulk order-transitions", "order-transitions"),
        }
    }
}

/// Tells of a request that began at `began` and has its answer by now. Of changes that no one follows nothing is built.
pub(crate) fn written<'a>(
    index: Index,
    changes: impl ExactSizeIterator<Item = &'a Changed>,
    answer: &Result<Vec<IndexOutcome>, SearchError>,
    began: DateTime<Utc>,
    clock: &dyn Clock,
) {
    let (name, index) = index.names();
    let documents = changes.len();
    for (place, changed) in changes.enumerate() {
        let Some(parent) = trace::followed(changed.traceparent) else { continue };
        let Some(mut span) = trace::client(name, parent, began) else { continue };
        span.of_bulk(index, documents);
        span.set("order_ledger.order_id", changed.change.order.id.to_string());
        match answer.as_ref().map(|outcomes| outcomes.get(place)) {
            Ok(Some(IndexOutcome::Indexed)) => span.set("order_ledger.outcome", "indexed"),
            Ok(Some(IndexOutcome::Stale)) => span.set("order_ledger.outcome", "stale"),
            Ok(Some(IndexOutcome::Refused(why))) => span.fail("refused", why.clone()),
            Ok(None) => {}
            Err(error) => span.fail("unavailable", error.to_string()),
        }
        span.end_at(clock.now());
    }
}
