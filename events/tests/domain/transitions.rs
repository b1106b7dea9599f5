//! Every state and every event: what follows. `transitions.txt` is written by hand and knows nothing of the source's
//! table: state, event (payments and refunds of all that is left), the state after or the rejection.

use std::collections::BTreeMap;

use events::{EventKind, Outcome, Rejection, State, allowed_events, fold, transition};

use crate::given::{TOTAL, body, event, order_in};

const TABLE: &str = include_str!("transitions.txt");

#[derive(Clone, Copy, Debug, PartialEq)]
enum Expected {
    State(State),
    Rejection(Rejection),
}

fn table() -> BTreeMap<(Option<State>, EventKind), Expected> {
    let mut table = BTreeMap::new();
    for line in TABLE.lines().filter(|line| !line.is_empty()) {
        let words: Vec<_> = line.split_whitespace().collect();
        let [state, kind, expected] = words[..] else { panic!("not three words: {line}") };
        let from = State::from_name(state);
        assert!(from.is_some() || state == "(none)", "no such state: {line}");
        let kind = EventKind::from_name(kind).unwrap_or_else(|| panic!("no such event: {line}"));
        let state = State::from_name(expected).map(Expected::State);
        let rejection = || Rejection::from_name(expected).map(Expected::Rejection);
        let expected = state.or_else(rejection).unwrap_or_else(|| panic!("no such end: {line}"));
        assert_eq!(table.insert((from, kind), expected), None, "twice: {line}");
    }
    table
}

fn states() -> impl Iterator<Item = Option<State>> {
    std::iter::once(None).chain(State::ALL.map(Some))
}

#[test]
fn the_table_has_a_line_for_every_state_and_event() {
    let table = table();
    for from in states() {
        for kind in EventKind::ALL {
            assert!(table.contains_key(&(from, kind)), "no line for {kind} in {from:?}");
        }
    }
    assert_eq!(table.len(), (State::ALL.len() + 1) * EventKind::ALL.len());
}

#[test]
fn the_fold_does_what_the_table_says() {
    for ((from, kind), expected) in table() {
        // Nothing is paid yet when a payment comes, everything when a refund does.
        let captured = if kind == EventKind::PaymentRefunded { TOTAL } else { 0 };
        let before = from.map(|state| order_in(state, captured, 0));
        let folded = fold(before, &event(1, body(kind, TOTAL)));
        let found = match folded.outcome {
            Outcome::Applied { from: was, to } => {
                assert_eq!(was, from);
                assert_eq!(folded.order.map(|order| order.state), Some(to));
                Expected::State(to)
            }
            Outcome::Rejected(rejection) => {
                assert_eq!(folded.order.map(|order| order.state), from);
                Expected::Rejection(rejection)
            }
            Outcome::Duplicate => panic!("{kind} in {from:?} was never seen before"),
        };
        assert_eq!(found, expected, "{kind} in {from:?}");
    }
}

#[test]
fn lookups_say_what_the_table_says() {
    let table = table();
    for from in states() {
        let allowed: Vec<_> = allowed_events(from).collect();
        for kind in EventKind::ALL {
            let expected = match table[&(from, kind)] {
                Expected::State(to) => Some(to),
                Expected::Rejection(_) => None,
            };
            assert_eq!(transition(from, kind), expected, "{kind} in {from:?}");
            assert_eq!(allowed.contains(&kind), expected.is_some(), "{kind} in {from:?}");
        }
        assert!(allowed.len() <= EventKind::ALL.len(), "an event twice in {from:?}: {allowed:?}");
    }
}

#[test]
fn every_state_can_be_reached() {
    let mut reached: Vec<Option<State>> = vec![None];
    let mut looked_at = 0;
    while let Some(from) = reached.get(looked_at).copied() {
        looked_at += 1;
        for kind in allowed_events(from) {
            let to = transition(from, kind);
            if !reached.contains(&to) {
                reached.push(to);
            }
        }
    }
    assert_eq!(reached.len(), State::ALL.len() + 1, "{reached:?}");
}

#[test]
fn names_are_unique_and_read_back() {
    for state in State::ALL {
        assert_eq!(State::from_name(state.name()), Some(state));
        assert_eq!(format!("{state:>16}").len(), 16, "padding works in tables");
    }
    for kind in EventKind::ALL {
        assert_eq!(EventKind::from_name(kind.name()), Some(kind));
        assert_eq!(body(kind, 1).kind(), kind);
    }
    for rejection in Rejection::ALL {
        assert_eq!(Rejection::from_name(rejection.name()), Some(rejection));
    }
    assert_eq!(State::from_name("placed"), None);
    assert_eq!(EventKind::from_name(""), None);
    assert_eq!(Rejection::from_name("Placed"), None);
}
