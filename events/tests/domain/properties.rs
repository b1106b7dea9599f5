//! The fold under any sequence of events: ids and fingerprints that collide, money of every size and several
//! currencies, times in any order, orders placed twice.

use std::collections::BTreeMap;

use events::{
    Currency, Digest, Event, EventBody, EventId, EventKind, Fingerprint, Folded, Money, Order,
    OrderId, Outcome, Pieces, Version, fold,
};
use proptest::{prelude::*, sample::Index};
use uuid::Uuid;

use crate::{
    given::{TOTAL, at, body, details_of, fold_all, minor},
    invariants::check_step,
};

fn amount() -> impl Strategy<Value = i64> {
    prop_oneof![
        3 => 0..=TOTAL,
        1 => Just(TOTAL),
        1 => 0..=i64::MAX,
        1 => Just(i64::MAX),
    ]
}

fn currency() -> impl Strategy<Value = Currency> {
    prop_oneof![9 => Just(Currency::CLP), 1 => Just(Currency::EUR)]
}

/// Of the two lines there are, and of one there is not; nothing as often as not.
fn any_pieces() -> impl Strategy<Value = Pieces> {
    let lines = prop::collection::btree_map(1..=3_u32, 1..=3_u32, 1..=3);
    prop_oneof![Just(Pieces::default()), lines.prop_map(|lines| Pieces::new(lines).unwrap())]
}

fn any_body() -> impl Strategy<Value = EventBody> {
    (prop::sample::select(EventKind::ALL.to_vec()), amount(), currency(), any_pieces()).prop_map(
        |(kind, amount, currency, pieces)| {
            let money = Money { amount: minor(amount), currency };
            let mut body = if kind == EventKind::OrderPlaced {
                EventBody::OrderPlaced(Box::new(details_of(currency, amount)))
            } else {
                body(kind, amount)
            };
            if let EventBody::PaymentCaptured { amount, .. }
            | EventBody::PaymentRefunded { amount, .. } = &mut body
            {
                *amount = money;
            }
            if let EventBody::OrderShipped { pieces: some, .. }
            | EventBody::ReturnRequested { pieces: some, .. }
            | EventBody::OrderReturned { pieces: some }
            | EventBody::PaymentRefunded { pieces: some, .. } = &mut body
            {
                *some = pieces;
            }
            body
        },
    )
}

/// An event of one of `orders` orders. Few ids and fewer fingerprints: they collide.
fn any_event(orders: u128) -> impl Strategy<Value = Event> {
    let version = prop::option::weighted(0.2, (1..12_u64).prop_map(Version::new));
    (0..orders, 0..24_u128, 0..2_u64, -1_000..1_000_i64, version, any_body()).prop_map(
        |(order, id, fingerprint, second, expected_version, body)| Event {
            id: EventId::new(Uuid::from_u128(id)),
            order_id: OrderId::new(Uuid::from_u128(order)),
            occurred_at: at(second),
            actor: None,
            expected_version,
            fingerprint: Fingerprint::new(fingerprint),
            digest: Digest::of(&fingerprint.to_le_bytes()),
            body,
        },
    )
}

/// Events of one order, mostly one that begins as it should and then goes on for a while.
fn one_order() -> impl Strategy<Value = Vec<Event>> {
    let placed = (0..4_u128).prop_map(|id| Event {
        id: EventId::new(Uuid::from_u128(id)),
        order_id: OrderId::new(Uuid::from_u128(0)),
        occurred_at: at(0),
        actor: None,
        expected_version: None,
        fingerprint: Fingerprint::new(0),
        digest: Digest::of(&[0_u8]),
        body: body(EventKind::OrderPlaced, 0),
    });
    (prop::option::weighted(0.9, placed), prop::collection::vec(any_event(1), 0..40))
        .prop_map(|(placed, rest)| placed.into_iter().chain(rest).collect())
}

/// Folds each event into its own order, as the projector does.
fn fold_orders(events: &[Event]) -> (BTreeMap<OrderId, Order>, Vec<(OrderId, Outcome)>) {
    let mut orders = BTreeMap::new();
    let mut outcomes = Vec::new();
    for event in events {
        let Folded { order, outcome } = fold(orders.remove(&event.order_id), event);
        orders.extend(order.map(|order| (order.id, order)));
        outcomes.push((event.order_id, outcome));
    }
    (orders, outcomes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_sequence_keeps_the_invariants(events in one_order()) {
        let mut order: Option<Order> = None;
        let mut recorded = 0;
        for event in &events {
            let folded = fold(order.clone(), event);
            check_step(order.as_ref(), event, &folded);
            let counted = folded.order.is_some() && folded.outcome != Outcome::Duplicate;
            recorded += u64::from(counted);
            order = folded.order;
        }
        prop_assert_eq!(order.map_or(0, |order| order.version.get()), recorded);
    }

    #[test]
    fn the_same_events_make_the_same_order(events in one_order()) {
        prop_assert_eq!(fold_all(&events), fold_all(&events));
    }

    /// Whatever an order is told, an event of another one too, it stands.
    #[test]
    fn a_stranger_does_no_harm(events in one_order(), stranger in any_event(4)) {
        let order = fold_all(&events).and_then(|folded| folded.order);
        let folded = fold(order.clone(), &stranger);
        check_step(order.as_ref(), &stranger, &folded);
    }

    #[test]
    fn the_order_of_other_orders_events_is_irrelevant(
        events in prop::collection::vec(any_event(4), 0..60),
        shuffle in prop::collection::vec(any::<Index>(), 60),
    ) {
        // Another interleaving: take the next event of a random order, again and again.
        let mut queues: Vec<Vec<Event>> = vec![Vec::new(); 4];
        for event in events.iter().rev() {
            let queue = usize::try_from(event.order_id.as_uuid().as_u128()).unwrap();
            queues[queue].push(event.clone());
        }
        let mut interleaved = Vec::new();
        for index in shuffle {
            queues.retain(|queue| !queue.is_empty());
            if !queues.is_empty() {
                let queue = index.index(queues.len());
                interleaved.extend(queues[queue].pop());
            }
        }
        prop_assert_eq!(interleaved.len(), events.len());

        let ((orders, outcomes), (others, other_outcomes)) =
            (fold_orders(&events), fold_orders(&interleaved));
        prop_assert_eq!(&orders, &others);
        for id in (0..4).map(|n| OrderId::new(Uuid::from_u128(n))) {
            let of = |outcomes: &[(OrderId, Outcome)]| -> Vec<Outcome> {
                outcomes.iter().filter(|(order, _)| *order == id).map(|(_, o)| *o).collect()
            };
            prop_assert_eq!(of(&outcomes), of(&other_outcomes));
            // As if it were alone in the world.
            let alone: Vec<_> = events.iter().filter(|event| event.order_id == id).collect();
            let alone = fold_all(alone).and_then(|folded| folded.order);
            prop_assert_eq!(orders.get(&id), alone.as_ref());
        }
    }

    #[test]
    fn repeats_change_nothing(
        events in one_order(),
        repeats in prop::collection::vec((any::<Index>(), any::<Index>()), 1..12),
    ) {
        // Only what an order recorded has a repeat; before it is placed nothing is remembered.
        let begin = events.iter().position(|event| {
            event.body.kind() == EventKind::OrderPlaced && event.expected_version.is_none()
        });
        prop_assume!(begin.is_some());
        let events = &events[begin.unwrap()..];
        let mut repeated: Vec<Event> = events.to_vec();
        for (which, whither) in repeats {
            let which = which.index(repeated.len());
            let whither = which + 1 + whither.index(repeated.len() - which);
            let repeat = repeated[which].clone();
            let before = fold_all(&repeated[..whither]).unwrap().order;
            let folded = fold(before.clone(), &repeat);
            prop_assert_eq!(folded.outcome, Outcome::Duplicate);
            prop_assert_eq!(folded.order, before);
            repeated.insert(whither, repeat);
        }
        let order = |events: &[Event]| fold_all(events).and_then(|folded| folded.order);
        prop_assert_eq!(order(&repeated), order(events));
    }
}
