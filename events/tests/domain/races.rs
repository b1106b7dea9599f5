//! Clients that race and repeat: every command that is accepted is in the history once (promise 8).
//!
//! A client decides on an order as it was some time ago, appends, and may append the same again whenever it likes. The
//! log puts all of it in one sequence, any sequence.

use std::collections::BTreeMap;

use events::{
    Command, Event, EventId, Fingerprint, Order, Outcome, Parcel, Pieces, Version, decide, fold,
};
use proptest::{prelude::*, sample::Index};
use uuid::Uuid;

use crate::given::{body, event, text};

/// One attempt of a client: which command, under which request id, on which earlier version of the order, and whether
/// it insists on that version.
#[derive(Clone, Debug)]
struct Attempt {
    request: u128,
    command: Command,
    seen: Index,
    insists: bool,
}

fn command() -> impl Strategy<Value = Command> {
    let parcel = || Parcel { carrier: text("Chilexpress"), tracking_number: text("CX-1") };
    prop::sample::select(vec![
        Command::CapturePayment { amount: None, reference: None },
        Command::DeclinePayment { reason: None },
        Command::StartPreparation,
        Command::Ship { parcel: parcel(), pieces: Pieces::new([(2, 1)]).unwrap() },
        Command::Ship { parcel: parcel(), pieces: Pieces::default() },
        Command::Deliver,
        Command::FailDelivery { reason: None },
        Command::Complete,
        Command::Cancel { reason: None },
        Command::RequestReturn { reason: None, pieces: Pieces::default() },
        Command::Return { pieces: Pieces::default() },
        Command::Refund { amount: None, reference: None, pieces: Pieces::default() },
    ])
}

fn attempts() -> impl Strategy<Value = Vec<Attempt>> {
    let attempt = (1..20_u128, command(), any::<Index>(), any::<bool>())
        .prop_map(|(request, command, seen, insists)| Attempt { request, command, seen, insists });
    prop::collection::vec(attempt, 1..40)
}

/// The event that the attempt appends, if the client's view of the order allows it.
fn appended(attempt: &Attempt, view: &Order) -> Option<Event> {
    let expected_version = attempt.insists.then_some(view.version);
    let body = decide(view, attempt.command.clone(), expected_version).ok()?;
    // As the edge computes it: equal content, equal fingerprint.
    let digest = format!("{body:?}")
        .bytes()
        .fold(7_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let mut event = event(0, body);
    event.id = EventId::new(Uuid::from_u128(attempt.request));
    event.fingerprint = Fingerprint::new(digest);
    event.expected_version = expected_version;
    Some(event)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_accepted_command_counts_once(
        attempts in attempts(),
        repeats in prop::collection::vec(any::<Index>(), 0..20),
    ) {
        let placed = fold(None, &event(0, body(events::EventKind::OrderPlaced, 0))).order.unwrap();
        let mut versions = vec![placed];
        let mut log: Vec<Event> = Vec::new();
        let mut applied: BTreeMap<EventId, u32> = BTreeMap::new();
        let mut seen_at: BTreeMap<EventId, Version> = BTreeMap::new();
        let mut take = |versions: &mut Vec<Order>, event: &Event| {
            let before = versions.last().unwrap().clone();
            let folded = fold(Some(before.clone()), event);
            let order = folded.order.unwrap();
            if let Outcome::Applied { .. } = folded.outcome {
                *applied.entry(event.id).or_default() += 1;
                if let Some(expected) = event.expected_version {
                    assert_eq!(expected, before.version, "another came first");
                }
            }
            let again = seen_at.insert(event.id, order.version).is_some();
            if folded.outcome == Outcome::Duplicate {
                assert!(again, "never seen before");
                assert_eq!(order, before, "a repeat changed something");
            }
            versions.push(order);
        };
        for attempt in &attempts {
            let view = versions[attempt.seen.index(versions.len())].clone();
            if let Some(event) = appended(attempt, &view) {
                take(&mut versions, &event);
                log.push(event);
            }
        }
        for repeat in repeats.iter().filter(|_| !log.is_empty()) {
            let event = log[repeat.index(log.len())].clone();
            take(&mut versions, &event);
        }
        prop_assert!(applied.values().all(|count| *count == 1), "{applied:?}");
        let order = versions.last().unwrap();
        let recorded: Vec<_> = order.recorded.iter().map(|r| (r.event_id, r.fingerprint)).collect();
        let mut once = recorded.clone();
        once.sort_by_key(|(id, fingerprint)| (*id, fingerprint.get()));
        once.dedup();
        prop_assert_eq!(once.len(), recorded.len(), "something is recorded twice");
    }
}
