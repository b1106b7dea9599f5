//! Sample orders and events, the same on every run. All of one order's samples fit together: folded in the order of
//! [`lifecycle`] every one is applied.

use std::{collections::BTreeMap, num::NonZeroU32};

use chrono::{DateTime, TimeDelta, Utc};
use codec::{StateChange, StateChangeOutcome};
use events::{
    Currency, Customer, Digest, Email, Event, EventBody, EventId, Labels, Line, Locale, MinorUnits,
    Money, Order, OrderDetails, OrderId, Outcome, Parcel, Payment, Pieces, Text, fold,
};
use ports::{Offset, Partition, Position, TransitionDocument};

/// The parts of an order's details, each open to change before they are put together.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "as in `events::OrderDetails`")]
pub struct Draft {
    pub currency: Currency,
    pub lines: Vec<Line>,
    pub customer: Customer,
    pub shipping_address: Text<500>,
    pub region: Text<100>,
    pub payment: Payment,
    pub labels: Labels,
}

/// An instant that many seconds after the samples' beginning, with digits down to the microsecond.
#[must_use]
pub fn at(seconds: i64) -> DateTime<Utc> {
    const BEGINNING_MICROS: i64 = 1_767_323_045_678_901;
    DateTime::from_timestamp_micros(BEGINNING_MICROS).unwrap_or_default()
        + TimeDelta::seconds(seconds)
}

/// The n-th sample order's id.
#[must_use]
pub fn order_id(n: u64) -> OrderId {
    OrderId::for_request(&format!("sample {n}"))
}

/// A valid text.
#[must_use]
pub fn text<const MAX: usize>(text: &str) -> Text<MAX> {
    Text::new(text).unwrap_or_else(|error| panic!("{text:?} {error}"))
}

/// A valid mail address.
#[must_use]
pub fn email(address: &str) -> Email {
    Email::new(address).unwrap_or_else(|error| panic!("{address:?} {error}"))
}

/// A valid amount.
#[must_use]
pub fn minor(amount: i64) -> MinorUnits {
    MinorUnits::new(amount).unwrap_or_else(|error| panic!("{amount} {error}"))
}

/// An order line named after its article.
#[must_use]
pub fn line(sku: &str, quantity: u32, unit_price: i64) -> Line {
    Line {
        sku: text(sku),
        name: text(&format!("Article {sku}")),
        quantity: NonZeroU32::new(quantity).unwrap_or(NonZeroU32::MIN),
        unit_price: minor(unit_price),
    }
}

/// Two lines for CLP 35970, a customer who reads Spanish, every optional field filled in.
#[must_use]
pub fn details() -> OrderDetails {
    details_with(|_| ())
}

/// As [`details`], changed.
#[must_use]
pub fn details_with(change: impl FnOnce(&mut Draft)) -> OrderDetails {
    let mut draft = Draft {
        currency: Currency::CLP,
        lines: vec![line("MUG-1", 2, 15_990), line("TEA-7", 1, 3_990)],
        customer: Customer {
            email: email("ana@example.com"),
            name: Some(text("Ana Pérez")),
            locale: Locale::new("es-CL").ok(),
        },
        shipping_address: text("Av. Siempreviva 742\nSantiago"),
        region: text("Metropolitana"),
        payment: Payment {
            gateway: text("Webpay"),
            card_brand: Some(text("Visa")),
            bank: Some(text("Banco de Chile")),
        },
        labels: BTreeMap::from([(text("channel"), text("web"))]),
    };
    change(&mut draft);
    OrderDetails::new(
        draft.currency,
        draft.lines,
        draft.customer,
        draft.shipping_address,
        draft.region,
        draft.payment,
        draft.labels,
    )
    .unwrap_or_else(|error| panic!("the lines or labels {error}"))
}

/// An event that a test changed, with the digest of its encoding as it is now.
#[must_use]
pub fn encoded_anew(event: Event) -> Event {
    Event { digest: Digest::of(&codec::encode_event(&event)), ..event }
}

/// An event as the api would report it: its id follows from order and step, its time is `step` seconds after the
/// beginning.
#[must_use]
pub fn event(order_id: OrderId, step: u32, body: EventBody) -> Event {
    let id = EventId::derived(order_id, &format!("sample step {step}"));
    codec::new_event(id, order_id, at(step.into()), Some(text("test")), None, body)
}

/// Step 0: the order of [`details`].
#[must_use]
pub fn placed(order_id: OrderId) -> Event {
    placed_with(order_id, details())
}

/// Step 0, of these details.
#[must_use]
pub fn placed_with(order_id: OrderId, details: OrderDetails) -> Event {
    event(order_id, 0, EventBody::OrderPlaced(Box::new(details)))
}

/// Step 1: all of [`details`]' total.
#[must_use]
pub fn captured(order_id: OrderId) -> Event {
    let amount = Money { amount: details().total(), currency: Currency::CLP };
    event(order_id, 1, EventBody::PaymentCaptured { amount, reference: Some(text("tx-1")) })
}

/// Step 2.
#[must_use]
pub fn preparation_started(order_id: OrderId) -> Event {
    event(order_id, 2, EventBody::PreparationStarted)
}

/// Step 3.
#[must_use]
pub fn shipped(order_id: OrderId) -> Event {
    let parcel = Parcel { carrier: text("Chilexpress"), tracking_number: text("CX-1") };
    event(order_id, 3, EventBody::OrderShipped { parcel, pieces: Pieces::default() })
}

/// Step 4.
#[must_use]
pub fn delivered(order_id: OrderId) -> Event {
    event(order_id, 4, EventBody::OrderDelivered)
}

/// Step 5.
#[must_use]
pub fn completed(order_id: OrderId) -> Event {
    event(order_id, 5, EventBody::OrderCompleted)
}

/// Step 9, possible after each of the steps 0 to 2.
#[must_use]
pub fn cancelled(order_id: OrderId) -> Event {
    event(order_id, 9, EventBody::OrderCancelled { reason: Some(text("changed my mind")) })
}

/// Steps 0 to 5, from placed to completed.
#[must_use]
pub fn lifecycle(order_id: OrderId) -> Vec<Event> {
    vec![
        placed(order_id),
        captured(order_id),
        preparation_started(order_id),
        shipped(order_id),
        delivered(order_id),
        completed(order_id),
    ]
}

/// What these events make of an order.
///
/// # Panics
/// If the first is not `OrderPlaced`.
#[must_use]
pub fn folded(events: &[Event]) -> Order {
    let order = events.iter().fold(None, |order, event| fold(order, event).order);
    order.unwrap_or_else(|| panic!("these events make no order: {events:?}"))
}

/// The state changes that the projector announces for these events of one order, standing in partition 0 from offset 0.
///
/// # Panics
/// If the first is not `OrderPlaced`.
#[must_use]
pub fn changes(events: &[Event]) -> Vec<StateChange> {
    let mut before = None;
    let mut changes = Vec::new();
    for (offset, event) in (0..).zip(events) {
        let from_entered_at = before.as_ref().map(|order: &Order| order.entered_at);
        let folded = fold(before, event);
        let order = folded.order.unwrap_or_else(|| panic!("no order to begin with: {event:?}"));
        let outcome = match folded.outcome {
            Outcome::Applied { from, .. } => Some(StateChangeOutcome::Applied { from }),
            Outcome::Rejected(rejection) => Some(StateChangeOutcome::Rejected(rejection)),
            Outcome::Duplicate => None,
        };
        changes.extend(outcome.map(|outcome| StateChange {
            event_id: event.id,
            kind: event.body.kind(),
            outcome,
            actor: event.actor.as_ref().map_or_else(String::new, ToString::to_string),
            from_entered_at,
            occurred_at: event.occurred_at,
            position: Position { partition: Partition(0), offset: Offset(offset) },
            order: order.clone(),
        }));
        before = Some(order);
    }
    changes
}

/// The transitions that these events of one order make, as of the history.
///
/// # Panics
/// If the first is not `OrderPlaced`.
#[must_use]
pub fn transitions(events: &[Event]) -> Vec<TransitionDocument> {
    changes(events).iter().map(|change| codec::transition(change, None, at(60))).collect()
}

#[cfg(test)]
mod tests {
    use events::State;

    use super::*;

    #[test]
    fn the_lifecycle_is_applied_from_end_to_end() {
        let mut order = None;
        for event in lifecycle(order_id(1)) {
            let folded = fold(order, &event);
            assert!(matches!(folded.outcome, Outcome::Applied { .. }), "{event:?}");
            order = folded.order;
        }
        assert_eq!(order.unwrap().state, State::Completed);
        assert_eq!(folded(&[placed(order_id(1)), cancelled(order_id(1))]).state, State::Cancelled);
    }
}
