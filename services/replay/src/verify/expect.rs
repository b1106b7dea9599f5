//! What a record must have become: an event's row in the history, or a dead letter.

use events::{Event, Order, OrderId, Outcome, Rejection, fold};
use ports::{HistoryOutcome, HistoryRow, LogRecord, partition_for_key};

/// A record, read.
pub(super) enum Read {
    /// An event of an order that lives there.
    Event(Box<Event>),
    /// A dead letter, or what must stay one.
    Unreadable {
        /// The order that waits for a decision on it.
        parks: Option<OrderId>,
    },
}

/// Reads a record of a topic of so many partitions, unless someone discarded it.
pub(super) fn read(record: &LogRecord, partitions: u32, is_discarded: bool) -> Read {
    match event(record, partitions).filter(|_| !is_discarded) {
        Some(event) => Read::Event(Box::new(event)),
        None => Read::Unreadable { parks: meant_for(record, partitions) },
    }
}

fn event(record: &LogRecord, partitions: u32) -> Option<Event> {
    let event = codec::decode_event(record.value.as_ref()?).ok()?;
    let is_its_own = meant_for(record, partitions) == Some(event.order_id);
    is_its_own.then_some(event)
}

/// The order whose id, as it is written canonically, is the record's key, if it lives in the record's partition.
fn meant_for(record: &LogRecord, partitions: u32) -> Option<OrderId> {
    let key = record.key.as_deref()?;
    if partition_for_key(key, partitions) != record.position.partition {
        return None;
    }
    let order: OrderId = str::from_utf8(key).ok()?.parse().ok()?;
    (order.to_string().as_bytes() == key).then_some(order)
}

/// Folds an event in, and says what its row must be.
pub(super) fn folded(
    before: Option<Order>,
    event: &Event,
    record: &LogRecord,
) -> (Option<Order>, HistoryRow) {
    let (order, outcome) = outcome(before, event);
    let row = row(record, event, order.as_ref(), outcome);
    (order, row)
}

/// An order after one more event, and what became of that.
pub(super) fn outcome(before: Option<Order>, event: &Event) -> (Option<Order>, HistoryOutcome) {
    let version = before.as_ref().map(|order| order.version);
    let folded = fold(before, event);
    let moved = folded.order.as_ref().map(|order| order.version) != version;
    let state = folded.order.as_ref().map(|order| order.state);
    let outcome = match (folded.outcome, state) {
        (Outcome::Applied { from, to }, _) => HistoryOutcome::Applied { from, to },
        (Outcome::Duplicate, Some(state)) => HistoryOutcome::Duplicate { state },
        (Outcome::Rejected(reason), state) => {
            HistoryOutcome::Rejected { reason, state, recorded: moved }
        }
        // Only of an order that exists is an event a repeat.
        (Outcome::Duplicate, None) => HistoryOutcome::Rejected {
            reason: Rejection::UnknownOrder,
            state: None,
            recorded: false,
        },
    };
    (folded.order, outcome)
}

/// What the row of an event must be whose order waits as it stands.
pub(super) fn parked(order: Option<&Order>, event: &Event, record: &LogRecord) -> HistoryRow {
    row(record, event, order, waits(order))
}

/// What becomes of an event whose order waits.
pub(super) fn waits(order: Option<&Order>) -> HistoryOutcome {
    HistoryOutcome::Parked { state: order.map(|order| order.state) }
}

fn row(
    record: &LogRecord,
    event: &Event,
    order: Option<&Order>,
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
        event: record.value.clone().unwrap_or_default(),
    }
}
