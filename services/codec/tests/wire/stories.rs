//! The lives of a few orders; together they have an event of every kind, with every optional field given and left out.

use events::{
    Currency, Customer, Event, EventBody, Money, OrderDetails, OrderId, Parcel, Pieces, Version,
};
use testkit::sample::{
    self, captured, completed, delivered, details, details_with, email, encoded_anew, event, minor,
    order_id, placed, placed_with, preparation_started, shipped, text,
};

/// Name and events of each.
pub(crate) fn stories() -> Vec<(&'static str, Vec<Event>)> {
    vec![
        ("completed", sample::lifecycle(order_id(1))),
        ("returned", returned(order_id(2))),
        ("cancelled", cancelled(order_id(3))),
        ("rejected", rejected(order_id(4))),
        ("in-parts", in_parts(order_id(5))),
    ]
}

/// As little as an order can have.
pub(crate) fn bare_details() -> OrderDetails {
    details_with(|draft| {
        draft.currency = Currency::EUR;
        draft.lines.truncate(1);
        draft.customer = Customer { email: email("jo@example.org"), name: None, locale: None };
        draft.payment.card_brand = None;
        draft.payment.bank = None;
        draft.labels.clear();
    })
}

fn clp(amount: i64) -> Money {
    Money { amount: minor(amount), currency: Currency::CLP }
}

fn parcel(number: &str) -> Parcel {
    Parcel { carrier: text("Chilexpress"), tracking_number: text(number) }
}

fn whole() -> Pieces {
    Pieces::default()
}

fn pieces(lines: &[(u32, u32)]) -> Pieces {
    Pieces::new(lines.iter().copied()).unwrap()
}

fn returned(order: OrderId) -> Vec<Event> {
    let total = details().total().get();
    let declined = EventBody::PaymentDeclined { reason: Some(text("insufficient funds")) };
    let part = EventBody::PaymentCaptured { amount: clp(1_000), reference: None };
    let rest =
        EventBody::PaymentCaptured { amount: clp(total - 1_000), reference: Some(text("tx-2")) };
    let failed = EventBody::DeliveryFailed { reason: Some(text("no one at home")) };
    let wanted =
        EventBody::ReturnRequested { reason: Some(text("chipped\nand cracked")), pieces: whole() };
    let first = EventBody::PaymentRefunded { amount: clp(970), reference: None, pieces: whole() };
    let second = EventBody::PaymentRefunded {
        amount: clp(total - 970),
        reference: Some(text("rf-2")),
        pieces: whole(),
    };
    let rest = [
        declined,
        part,
        rest,
        EventBody::PreparationStarted,
        EventBody::OrderShipped { parcel: parcel("CX-1"), pieces: whole() },
        failed,
        EventBody::OrderShipped { parcel: parcel("CX-2"), pieces: whole() },
        EventBody::OrderDelivered,
        wanted,
        EventBody::OrderReturned { pieces: whole() },
        first,
        second,
    ];
    let later = (1..).zip(rest).map(|(step, body)| event(order, step, body));
    std::iter::once(placed(order)).chain(later).collect()
}

/// Everything optional is left out.
fn cancelled(order: OrderId) -> Vec<Event> {
    let bodies =
        [EventBody::PaymentDeclined { reason: None }, EventBody::OrderCancelled { reason: None }];
    let later = (1..).zip(bodies).map(|(step, body)| event(order, step, body));
    let events = std::iter::once(placed_with(order, bare_details())).chain(later);
    events.map(|event| encoded_anew(Event { actor: None, ..event })).collect()
}

/// Events that do not fit are part of an order's life, and so are those that came before it.
fn rejected(order: OrderId) -> Vec<Event> {
    vec![
        placed(order),
        delivered(order),
        event(order, 10, EventBody::DeliveryFailed { reason: None }),
        event(order, 11, EventBody::ReturnRequested { reason: None, pieces: whole() }),
        event(order, 12, EventBody::OrderReturned { pieces: whole() }),
        completed(order),
        captured(order),
        preparation_started(order),
        shipped(order),
        event(order, 13, EventBody::OrderCancelled { reason: Some(text("too late")) }),
    ]
}

/// Two parcels, one piece back and paid for, each event meant for the version it finds; the last one is not.
fn in_parts(order: OrderId) -> Vec<Event> {
    let money_back = EventBody::PaymentRefunded {
        amount: clp(15_990),
        reference: None,
        pieces: pieces(&[(1, 1)]),
    };
    let bodies = [
        EventBody::PreparationStarted,
        EventBody::OrderShipped { parcel: parcel("CX-1"), pieces: pieces(&[(1, 1)]) },
        EventBody::PaymentCaptured { amount: clp(details().total().get()), reference: None },
        EventBody::OrderShipped { parcel: parcel("CX-2"), pieces: pieces(&[(1, 1), (2, 1)]) },
        EventBody::OrderDelivered,
        EventBody::ReturnRequested { reason: None, pieces: pieces(&[(1, 1)]) },
        EventBody::OrderReturned { pieces: pieces(&[(1, 1)]) },
        money_back,
        EventBody::OrderCompleted,
    ];
    let later = (1..).zip(bodies).map(|(step, body)| {
        let expected_version = Some(Version::new(u64::from(step).min(8)));
        encoded_anew(Event { expected_version, ..event(order, step, body) })
    });
    std::iter::once(placed(order)).chain(later).collect()
}
