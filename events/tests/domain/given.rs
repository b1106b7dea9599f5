//! Orders and events to begin with.

use std::num::NonZeroU32;

use chrono::{DateTime, Utc};
use events::{
    Currency, Customer, Email, Event, EventBody, EventId, EventKind, Fingerprint, Folded, Labels,
    Line, MinorUnits, Money, Order, OrderDetails, OrderId, Parcel, Payment, Recorded, State, Text,
    Version, fold,
};
use uuid::Uuid;

/// The total of [`details`].
pub(crate) const TOTAL: i64 = 1_000;

pub(crate) fn text<const MAX: usize>(text: &str) -> Text<MAX> {
    Text::new(text).unwrap()
}

pub(crate) fn minor(amount: i64) -> MinorUnits {
    MinorUnits::new(amount).unwrap()
}

pub(crate) fn clp(amount: i64) -> Money {
    Money { amount: minor(amount), currency: Currency::CLP }
}

pub(crate) fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_323_045 + second, 0).unwrap()
}

pub(crate) fn line(quantity: u32, unit_price: i64) -> Line {
    Line {
        sku: text("MUG-1"),
        name: text("Mug"),
        quantity: NonZeroU32::new(quantity).unwrap(),
        unit_price: minor(unit_price),
    }
}

pub(crate) fn customer() -> Customer {
    Customer { email: Email::new("ana@example.com").unwrap(), name: None, locale: None }
}

pub(crate) fn payment() -> Payment {
    Payment { gateway: text("Webpay"), card_brand: None, bank: None }
}

/// One line that costs `total`.
pub(crate) fn details_of(currency: Currency, total: i64) -> OrderDetails {
    OrderDetails::new(
        currency,
        vec![line(1, total)],
        customer(),
        text("Av. Siempreviva 742"),
        text("Metropolitana"),
        payment(),
        Labels::new(),
    )
    .unwrap()
}

/// CLP [`TOTAL`].
pub(crate) fn details() -> OrderDetails {
    details_of(Currency::CLP, TOTAL)
}

pub(crate) fn order_id() -> OrderId {
    OrderId::new(Uuid::from_u128(7))
}

/// The `n`th event of the order: another number is another id and another fingerprint.
pub(crate) fn event(n: u32, body: EventBody) -> Event {
    Event {
        id: EventId::new(Uuid::from_u128(n.into())),
        order_id: order_id(),
        occurred_at: at(n.into()),
        actor: None,
        fingerprint: Fingerprint::new(n.into()),
        body,
    }
}

/// A body of this kind; payments and refunds are of `amount` CLP.
pub(crate) fn body(kind: EventKind, amount: i64) -> EventBody {
    match kind {
        EventKind::OrderPlaced => EventBody::OrderPlaced(Box::new(details())),
        EventKind::PaymentCaptured => {
            EventBody::PaymentCaptured { amount: clp(amount), reference: None }
        }
        EventKind::PaymentDeclined => EventBody::PaymentDeclined { reason: None },
        EventKind::PreparationStarted => EventBody::PreparationStarted,
        EventKind::OrderShipped => EventBody::OrderShipped(parcel("CX-1")),
        EventKind::OrderDelivered => EventBody::OrderDelivered,
        EventKind::DeliveryFailed => EventBody::DeliveryFailed { reason: None },
        EventKind::OrderCompleted => EventBody::OrderCompleted,
        EventKind::OrderCancelled => EventBody::OrderCancelled { reason: None },
        EventKind::ReturnRequested => EventBody::ReturnRequested { reason: None },
        EventKind::OrderReturned => EventBody::OrderReturned,
        EventKind::PaymentRefunded => {
            EventBody::PaymentRefunded { amount: clp(amount), reference: None }
        }
    }
}

pub(crate) fn parcel(tracking_number: &str) -> Parcel {
    Parcel { carrier: text("Chilexpress"), tracking_number: text(tracking_number) }
}

/// An order in any state, however it came there, with event 0 recorded.
pub(crate) fn order_in(state: State, captured: i64, refunded: i64) -> Order {
    let placed = event(0, body(EventKind::OrderPlaced, 0));
    Order {
        id: order_id(),
        version: Version::FIRST,
        state,
        details: Box::new(details()),
        captured: minor(captured),
        refunded: minor(refunded),
        parcel: None,
        cancel_reason: None,
        anomalies: 0,
        placed_at: at(0),
        updated_at: at(0),
        recorded: vec![Recorded { event_id: placed.id, fingerprint: placed.fingerprint }],
    }
}

/// Folds events one after the other; the last one's result.
pub(crate) fn fold_all<'a>(events: impl IntoIterator<Item = &'a Event>) -> Option<Folded> {
    events.into_iter().fold(None, |last: Option<Folded>, event| {
        Some(fold(last.and_then(|folded| folded.order), event))
    })
}
