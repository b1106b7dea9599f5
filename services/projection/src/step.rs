//! One event: what it makes of its order, what is written down of it, and what is told.

use chrono::{DateTime, Utc};
use codec::{StateChange, StateChangeOutcome};
use events::{Event, Order, Outcome, fold};
use ports::{HistoryOutcome, HistoryRow, LogRecord, NewRecord, Position};

/// What one event makes of an order.
pub struct Step {
    /// The order afterwards; `None` only if it is unknown.
    pub order: Option<Order>,
    /// What became of the event.
    pub row: HistoryRow,
    /// When the order had come into its state before the event; `None` if there was no order.
    pub entered_at_before: Option<DateTime<Utc>>,
}

/// Folds one event and writes down what became of it.
#[must_use]
pub fn step(before: Option<Order>, record: LogRecord, event: &Event) -> Step {
    let entered_at_before = before.as_ref().map(|order| order.entered_at);
    let folded = fold(before, event);
    let state = folded.order.as_ref().map(|order| order.state);
    let outcome = match (folded.outcome, state) {
        (Outcome::Applied { from, to }, _) => HistoryOutcome::Applied { from, to },
        (Outcome::Duplicate, Some(state)) => HistoryOutcome::Duplicate { state },
        // The fold answers Duplicate only of an order that exists; were it not so, nothing is recorded.
        (Outcome::Duplicate, None) => HistoryOutcome::Rejected {
            reason: events::Rejection::UnknownOrder,
            state: None,
            recorded: false,
        },
        (Outcome::Rejected(reason), state) => {
            let recorded =
                folded.order.as_ref().and_then(|order| order.recorded.last()).is_some_and(|last| {
                    last.event_id == event.id && last.fingerprint == event.fingerprint
                });
            HistoryOutcome::Rejected { reason, state, recorded }
        }
    };
    let row = row(folded.order.as_ref(), record, event, outcome);
    Step { order: folded.order, row, entered_at_before }
}

/// Writes down an event that waits, because its order is parked where it stands (promise 10).
#[must_use]
pub fn parked(order: Option<&Order>, record: LogRecord, event: &Event) -> HistoryRow {
    let state = order.map(|order| order.state);
    row(order, record, event, HistoryOutcome::Parked { state })
}

fn row(
    order: Option<&Order>,
    record: LogRecord,
    event: &Event,
    outcome: HistoryOutcome,
) -> HistoryRow {
    HistoryRow {
        order_id: event.order_id,
        position: record.position,
        version: order.map_or(0, |order| order.version.get()),
        event_id: event.id,
        kind: event.body.kind(),
        outcome,
        occurred_at: event.occurred_at,
        actor: event.actor.as_ref().map(ToString::to_string),
        event: record.value.unwrap_or_default(),
    }
}

/// The record that tells of a recorded event.
#[must_use]
pub fn announcement(
    order: &Order,
    entered_at_before: Option<DateTime<Utc>>,
    event: &Event,
    outcome: HistoryOutcome,
    position: Position,
) -> Option<NewRecord> {
    let change = change(order, entered_at_before, event, outcome, position)?;
    Some(codec::state_change_record(&change))
}

/// What a recorded event did; derived from the event, the order after it and when that had come into its
/// state before, nothing else.
#[must_use]
pub fn change(
    order: &Order,
    entered_at_before: Option<DateTime<Utc>>,
    event: &Event,
    outcome: HistoryOutcome,
    position: Position,
) -> Option<StateChange> {
    let outcome = match outcome {
        HistoryOutcome::Applied { from, .. } => StateChangeOutcome::Applied { from },
        HistoryOutcome::Rejected { reason, .. } => StateChangeOutcome::Rejected(reason),
        HistoryOutcome::Duplicate { .. } | HistoryOutcome::Parked { .. } => return None,
    };
    Some(StateChange {
        event_id: event.id,
        kind: event.body.kind(),
        outcome,
        actor: event.actor.as_ref().map_or_else(String::new, ToString::to_string),
        from_entered_at: entered_at_before,
        occurred_at: event.occurred_at,
        position,
        order: order.clone(),
    })
}
