//! Transitions, from state changes.

use chrono::{DateTime, Utc};
use events::micros_between;
use ports::{
    EventFields, LogRecord, PaymentDocument, ServiceFields, TraceFields, Traceparent,
    TransitionDocument, load_test_type, seconds,
};

use crate::{StateChange, StateChangeOutcome};

/// The document of a change that was read at `created`, with the record that told it; without one it is made of the
/// history, and says nothing of lag and trace.
#[must_use]
pub fn transition(
    change: &StateChange,
    record: Option<&LogRecord>,
    created: DateTime<Utc>,
) -> TransitionDocument {
    let StateChange { order, occurred_at, .. } = change;
    let details = &order.details;
    let state = order.state.name();
    let (from, rejection, outcome) = match change.outcome {
        StateChangeOutcome::Applied { from } => (from.map(|from| from.name()), None, "success"),
        StateChangeOutcome::Rejected(rejection) => (Some(state), Some(rejection.name()), "failure"),
    };
    TransitionDocument {
        timestamp: *occurred_at,
        event: EventFields {
            kind: "event",
            action: change.kind.name(),
            outcome,
            id: change.event_id.to_string(),
            created,
            dataset: "order_ledger.transitions",
        },
        service: ServiceFields { name: "order-ledger", version: env!("CARGO_PKG_VERSION") },
        trace: record.and_then(trace_id).map(|id| TraceFields { id }),
        order_id: order.id.to_string(),
        version: order.version.get(),
        from,
        to: state,
        seconds_in_from: change.left().map(|(_, micros)| seconds(micros)),
        rejection,
        actor: Some(change.actor.clone()).filter(|actor| !actor.is_empty()),
        lag_seconds: record.map(|_| seconds(micros_between(*occurred_at, created))),
        currency: details.currency().code().to_owned(),
        total_minor: details.total().get(),
        region: details.region.to_string(),
        payment: PaymentDocument::from(&details.payment),
        load_test_type: load_test_type(details).map(str::to_owned),
    }
}

/// The trace of a record's `traceparent`, if it has a good one.
fn trace_id(record: &LogRecord) -> Option<String> {
    Some(Traceparent::of(&record.headers)?.trace_id().to_string())
}
