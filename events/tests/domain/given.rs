//! Orders and events to begin with.

use std::num::NonZeroU32;

use chrono::{DateTime, Utc};
use events::{
    Currency, Customer, Digest, Email, Event, EventBody, EventId, EventKind, Fingerprint, Folded,
    Labels, Line, LineProgress, MinorUnits, Money, Order, OrderDetails, OrderId, Parcel, Payment,
    Pieces, Recorded, State, Text, TimeSpent, Version, fold,
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

/// One piece that costs `total` and two that are free.
pub(crate) fn details_of(currency: Currency, total: i64) -> OrderDetails {
    OrderDetails::new(
        currency,
        vec![line(1, total), line(2, 0)],
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
        expected_version: None,
        fingerprint: Fingerprint::new(n.into()),
        digest: Digest::of(&n.to_le_bytes()),
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
        EventKind::OrderShipped => shipped("CX-1", &[]),
        EventKind::OrderDelivered => EventBody::OrderDelivered,
        EventKind::DeliveryFailed => EventBody::DeliveryFailed { reason: None },
        EventKind::OrderCompleted => EventBody::OrderCompleted,
        EventKind::OrderCancelled => EventBody::OrderCancelled { reason: None },
        EventKind::ReturnRequested => {
            EventBody::ReturnRequested { reason: None, pieces: Pieces::default() }
        }
        EventKind::OrderReturned => EventBody::OrderReturned { pieces: Pieces::default() },
        EventKind::PaymentRefunded => refunded(clp(amount), &[]),
    }
}

pub(crate) fn pieces(lines: &[(u32, u32)]) -> Pieces {
    Pieces::new(lines.iter().copied()).unwrap()
}

/// These pieces, or all if there are none.
pub(crate) fn shipped(tracking_number: &str, lines: &[(u32, u32)]) -> EventBody {
    EventBody::OrderShipped { parcel: parcel(tracking_number), pieces: pieces(lines) }
}

pub(crate) fn refunded(amount: Money, lines: &[(u32, u32)]) -> EventBody {
    EventBody::PaymentRefunded { amount, reference: None, pieces: pieces(lines) }
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
        progress: progress_in(state),
        cancel_reason: None,
        anomalies: 0,
        placed_at: at(0),
        entered_at: at(0),
        spent: TimeSpent::default(),
        updated_at: at(0),
        head: Digest::ZERO.chain(placed.digest),
        recorded: vec![Recorded { event_id: placed.id, fingerprint: placed.fingerprint }],
    }
}

/// As whole shipments leave it; asked back, or back, is the first line alone.
fn progress_in(state: State) -> Vec<LineProgress> {
    let (asked, back) = match state {
        State::Shipped | State::Delivered | State::DeliveryFailed | State::Completed => (0, 0),
        State::ReturnRequested => (1, 0),
        State::Returned => (1, 1),
        State::Placed
        | State::Paid
        | State::PaymentFailed
        | State::Preparing
        | State::Cancelled
        | State::Refunded => return Vec::new(),
    };
    let shipped = |shipped| LineProgress { shipped, ..LineProgress::default() };
    vec![LineProgress { return_requested: asked, returned: back, ..shipped(1) }, shipped(2)]
}

/// Folds events one after the other; the last one's result.
pub(crate) fn fold_all<'a>(events: impl IntoIterator<Item = &'a Event>) -> Option<Folded> {
    events.into_iter().fold(None, |last: Option<Folded>, event| {
        Some(fold(last.and_then(|folded| folded.order), event))
    })
}
