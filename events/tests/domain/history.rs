//! What an order remembers of its events: repeats, reused ids, the bound.

use events::{
    Digest, Event, EventKind, Fingerprint, MAX_RECORDED_EVENTS, Order, Outcome, Rejection, State,
    Version, fold,
};

use crate::given::{TOTAL, body, event, fold_all, order_in};

fn step(order: Order, event: &Event) -> (Order, Outcome) {
    let folded = fold(Some(order), event);
    (folded.order.unwrap(), folded.outcome)
}

/// Of what was applied as of what was rejected: the answer is for ever.
#[test]
fn a_repeat_is_a_duplicate() {
    let cancelled = event(1, body(EventKind::OrderCancelled, 0));
    let too_late = event(2, body(EventKind::OrderShipped, 0));
    let (order, _) = step(order_in(State::Placed, 0, 0), &cancelled);
    let (order, _) = step(order, &too_late);
    for repeat in [&event(0, body(EventKind::OrderPlaced, 0)), &cancelled, &too_late] {
        assert_eq!(step(order.clone(), repeat), (order.clone(), Outcome::Duplicate));
    }
}

/// It would fit by now, but it was judged when it came.
#[test]
fn a_rejected_event_is_never_applied_later() {
    let delivered = event(1, body(EventKind::OrderDelivered, 0));
    let shipped = event(2, body(EventKind::OrderShipped, 0));
    let (order, early) = step(order_in(State::Preparing, 0, 0), &delivered);
    assert_eq!(early, Outcome::Rejected(Rejection::IllegalTransition));
    let (order, _) = step(order, &shipped);
    let (order, again) = step(order, &delivered);
    assert_eq!((order.state, again), (State::Shipped, Outcome::Duplicate));
}

/// Two things under one id: the second is refused, remembered as well, and someone must look.
#[test]
fn a_reused_id_is_refused_once_and_then_a_duplicate() {
    let first = event(1, body(EventKind::PreparationStarted, 0));
    let other =
        Event { fingerprint: Fingerprint::new(99), ..event(1, body(EventKind::OrderCancelled, 0)) };
    let (order, _) = step(order_in(State::Placed, 0, 0), &first);
    let (order, outcome) = step(order, &other);
    assert_eq!(outcome, Outcome::Rejected(Rejection::EventIdReused));
    assert_eq!((order.state, order.anomalies), (State::Preparing, 1));
    assert_eq!(order.version, Version::new(3));
    for repeat in [&first, &other] {
        assert_eq!(step(order.clone(), repeat), (order.clone(), Outcome::Duplicate));
    }
}

/// What happened out there whatever the ledger thinks of it; the rest was merely asked for.
#[test]
fn only_facts_that_do_not_fit_are_anomalies() {
    use EventKind as E;
    let facts = [
        E::PaymentCaptured,
        E::PaymentDeclined,
        E::PreparationStarted,
        E::OrderShipped,
        E::OrderDelivered,
        E::DeliveryFailed,
        E::OrderReturned,
        E::PaymentRefunded,
    ];
    for kind in E::ALL {
        let refunded = order_in(State::Refunded, TOTAL, TOTAL);
        let (order, outcome) = step(refunded, &event(1, body(kind, 1)));
        assert_eq!(outcome, Outcome::Rejected(Rejection::IllegalTransition), "{kind}");
        assert_eq!(kind.is_fact(), facts.contains(&kind), "{kind}");
        assert_eq!(order.anomalies, u32::from(facts.contains(&kind)), "{kind}");
    }
}

#[test]
fn the_history_is_bounded() {
    let placed = event(0, body(EventKind::OrderPlaced, 0));
    let bound = u32::try_from(MAX_RECORDED_EVENTS).unwrap();
    let misfits: Vec<_> =
        (1..bound).map(|n| event(n, body(EventKind::OrderDelivered, 0))).collect();
    let full = fold_all(std::iter::once(&placed).chain(&misfits)).unwrap().order.unwrap();
    assert_eq!(full.version, Version::new(bound.into()));
    assert_eq!((full.state, full.anomalies), (State::Placed, bound - 1));

    // What would fit, what would not, and a reused id: none of them is counted or remembered any more.
    for (event, reason) in [
        (event(bound, body(EventKind::PreparationStarted, 0)), Rejection::HistoryFull),
        (event(bound, body(EventKind::OrderDelivered, 0)), Rejection::HistoryFull),
        (
            Event { fingerprint: Fingerprint::new(0), ..misfits[0].clone() },
            Rejection::EventIdReused,
        ),
    ] {
        assert_eq!(step(full.clone(), &event), (full.clone(), Outcome::Rejected(reason)));
    }
    assert_eq!(step(full.clone(), &misfits[7]), (full, Outcome::Duplicate));
}

/// Where several reasons apply, the first in the order of [`Rejection::ALL`] is named.
#[test]
fn reasons_have_a_precedence() {
    let mut full = order_in(State::Refunded, 0, 0);
    full.recorded = vec![full.recorded[0]; MAX_RECORDED_EVENTS];
    let reused =
        Event { fingerprint: Fingerprint::new(9), ..event(0, body(EventKind::OrderPlaced, 0)) };
    assert_eq!(step(full.clone(), &reused).1, Outcome::Rejected(Rejection::EventIdReused));
    let misfit = event(1, body(EventKind::OrderPlaced, 0));
    assert_eq!(step(full, &misfit).1, Outcome::Rejected(Rejection::HistoryFull));
}

/// What each applied event leaves behind, besides the state.
#[test]
fn an_order_keeps_the_last_parcel_and_the_reason() {
    use crate::given::{at, parcel, text};
    use events::EventBody;

    let shipped = |n, number| event(n, crate::given::shipped(number, &[]));
    let failed = event(2, body(EventKind::DeliveryFailed, 0));
    let (order, _) = step(order_in(State::Preparing, 0, 0), &shipped(1, "CX-1"));
    let (order, _) = step(order, &failed);
    let (order, _) = step(order, &shipped(3, "CX-2"));
    assert_eq!((order.parcel, order.updated_at), (Some(parcel("CX-2")), at(3)));

    let reason = Some(text("changed my mind"));
    let cancelled = event(1, EventBody::OrderCancelled { reason: reason.clone() });
    let (order, _) = step(order_in(State::Paid, TOTAL, 0), &cancelled);
    assert_eq!((order.cancel_reason, order.placed_at), (reason, at(0)));
}

/// The head depends on every event recorded, on its bytes and on its place; on nothing else.
#[test]
fn the_head_tells_whether_the_history_is_the_same() {
    let story = |events: &[Event]| {
        events.iter().fold(None, |order, event| fold(order, event).order).unwrap().head
    };
    let placed = event(0, body(EventKind::OrderPlaced, 0));
    let [a, b] = [1, 2].map(|n| event(n, body(EventKind::PaymentDeclined, 0)));
    let head = Digest::ZERO.chain(placed.digest).chain(a.digest).chain(b.digest);
    assert_eq!(story(&[placed.clone(), a.clone(), b.clone()]), head);
    assert_eq!(story(&[placed.clone(), a.clone(), a.clone(), b.clone()]), head, "a duplicate");

    let otherwise_encoded = Event { digest: Digest::of(b"other bytes"), ..a.clone() };
    for tampered in [
        vec![placed.clone(), otherwise_encoded, b.clone()],
        vec![placed.clone(), b.clone(), a.clone()],
        vec![placed.clone(), b.clone()],
        vec![placed.clone(), a.clone()],
        vec![placed, a, b, event(3, body(EventKind::OrderPlaced, 0))],
    ] {
        assert_ne!(story(&tampered), head, "{tampered:?}");
    }
}
