//! Every sequence of up to six events out of an alphabet that has each kind, and payments and refunds both whole and
//! in part.

use std::collections::BTreeSet;

use events::{Event, EventKind, Order, Outcome, State, fold};

use crate::{
    given::{TOTAL, body, event},
    invariants::check_step,
};

const LENGTH: u32 = 6;

#[test]
fn every_short_sequence_keeps_the_invariants() {
    let mut seen = Seen::default();
    // Each sequence begins with an order; what comes before one is a case of its own.
    let placed = fold(None, &event(0, body(EventKind::OrderPlaced, 0))).order;
    extend(placed.as_ref(), 1, &mut seen);
    assert_eq!(seen.steps, (1..LENGTH).map(|n| 14_u64.pow(n)).sum::<u64>());
    assert_eq!(seen.states.len(), State::ALL.len(), "{:?}", seen.states);
}

#[test]
fn nothing_happens_before_an_order_is_placed() {
    for kind in EventKind::ALL {
        let event = event(0, body(kind, TOTAL));
        let folded = fold(None, &event);
        check_step(None, &event, &folded);
        assert_eq!(folded.order.is_some(), kind == EventKind::OrderPlaced);
    }
}

#[derive(Default)]
struct Seen {
    steps: u64,
    states: BTreeSet<&'static str>,
}

fn extend(before: Option<&Order>, n: u32, seen: &mut Seen) {
    if n == LENGTH {
        return;
    }
    for event in alphabet(n) {
        let folded = fold(before.cloned(), &event);
        check_step(before, &event, &folded);
        assert_ne!(folded.outcome, Outcome::Duplicate, "every id is new");
        seen.steps += 1;
        seen.states.extend(folded.order.as_ref().map(|order| order.state.name()));
        extend(folded.order.as_ref(), n + 1, seen);
    }
}

fn alphabet(n: u32) -> impl Iterator<Item = Event> {
    let whole = EventKind::ALL.into_iter().map(|kind| (kind, TOTAL));
    let part =
        [EventKind::PaymentCaptured, EventKind::PaymentRefunded].map(|kind| (kind, TOTAL / 2));
    whole.chain(part).map(move |(kind, amount)| event(n, body(kind, amount)))
}
