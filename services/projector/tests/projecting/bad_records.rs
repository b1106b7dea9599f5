//! Records that no producer of ours wrote: each is accounted for, and the line goes on.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use events::{Digest, MAX_RECORDED_EVENTS, Order, OrderId, Rejection, State, Version};
use ports::{
    Commit, DeadLetterReason, Epoch, HistoryOutcome, LogRecord, NewRecord, Offset, Partition,
    Position, Progress, partition_for_key,
};
use projection::{Discarded, Known, Projected, Projection};
use projector::Settings;
use testkit::sample::{self, at, order_id};

use crate::{
    story::{PARTITIONS, record},
    world::World,
};

/// A record as another client may have written it, at `offset` of the partition where the order lives.
fn read(order: OrderId, offset: i64, value: Option<Bytes>) -> LogRecord {
    let key = Bytes::from(order.to_string());
    LogRecord {
        position: Position {
            partition: partition_for_key(&key, PARTITIONS),
            offset: Offset(offset),
        },
        appended_at: None,
        key: Some(key),
        value,
        headers: Vec::new(),
    }
}

fn good(order: OrderId, offset: i64) -> LogRecord {
    read(order, offset, Some(record(&sample::placed(order)).value))
}

fn project(records: Vec<LogRecord>, snapshots: HashMap<OrderId, Order>) -> Projected {
    let progress: BTreeMap<_, _> = (0..PARTITIONS)
        .map(|n| {
            let partition = Partition(n);
            let (next, announced, digest) = (Offset(0), Offset(0), Digest::ZERO);
            let epoch = Epoch::FIRST;
            (partition, Progress { partition, next, epoch, announced, digest })
        })
        .collect();
    let known = Known { snapshots, parked: HashSet::new() };
    Projection::decode(records, PARTITIONS, at(99), &Discarded::default()).fold(known, &progress)
}

#[test]
fn what_can_not_be_read_becomes_a_dead_letter_with_its_reason() {
    use DeadLetterReason as R;
    let order = order_id(1);
    let home = good(order, 0).position.partition;
    let away = Partition((home.0 + 1) % PARTITIONS);
    let unknown_type = Bytes::from_static(&[0xc2, 0x02, 0x00]);
    let invalid = Bytes::from_static(&[0x9a, 0x01, 0x00]);
    let records = vec![
        (R::NoValue, read(order, 0, None)),
        (R::UnknownType, read(order, 1, Some(Bytes::new()))),
        (R::UnknownType, read(order, 2, Some(unknown_type))),
        (R::Undecodable, read(order, 3, Some(Bytes::from_static(b"\xff")))),
        (R::Undecodable, read(order, 4, Some(invalid))),
        (R::ForeignKey, LogRecord { key: None, ..good(order, 5) }),
        (R::ForeignKey, LogRecord { key: Some(Bytes::new()), ..good(order, 6) }),
        (R::ForeignKey, LogRecord { key: read(order_id(2), 0, None).key, ..good(order, 7) }),
        (
            R::WrongPartition,
            LogRecord {
                position: Position { partition: away, offset: Offset(0) },
                ..good(order, 0)
            },
        ),
    ];
    let (reasons, records): (Vec<_>, Vec<_>) = records.into_iter().unzip();
    let Projected { commit, announcements, .. } = project(records.clone(), HashMap::new());
    assert_eq!(commit.dead_letters.iter().map(|letter| letter.reason).collect::<Vec<_>>(), reasons);
    for (letter, record) in commit.dead_letters.iter().zip(&records) {
        assert_eq!(&letter.record, record, "kept to the byte");
        assert_eq!(letter.at, at(99));
        assert!(!letter.detail.is_empty());
    }
    // All the same the partitions move on, and nothing else happens.
    let moved: Vec<_> = commit.partitions.iter().map(|step| (step.partition, step.next)).collect();
    let mut expected = vec![(home, Offset(8)), (away, Offset(1))];
    expected.sort_unstable();
    assert_eq!(moved, expected);
    assert!(commit.snapshots.is_empty() && commit.history.is_empty() && announcements.is_empty());
}

/// The value says it all.
#[test]
fn a_record_without_headers_is_an_event_like_any_other() {
    let bare = good(order_id(1), 0);
    let stamped = LogRecord {
        appended_at: Some(at(5)),
        headers: vec![("ce_type".to_owned(), Bytes::from_static(b"something.else"))],
        ..bare.clone()
    };
    let told = |record| project(vec![record], HashMap::new()).announcements;
    assert_eq!(told(bare.clone()).len(), 1);
    assert_eq!(told(bare), told(stamped));
}

#[test]
fn an_event_of_an_unknown_order_is_kept_in_its_history() {
    let event = record(&sample::captured(order_id(1)));
    let Projected { commit, announcements, anomalies, .. } =
        project(vec![read(order_id(1), 0, Some(event.value.clone()))], HashMap::new());
    let Commit { snapshots, history, dead_letters, .. } = commit;
    assert!(snapshots.is_empty() && dead_letters.is_empty() && announcements.is_empty());
    assert_eq!((history[0].version, &history[0].event), (0, &event.value));
    let rejected =
        HistoryOutcome::Rejected { reason: Rejection::UnknownOrder, state: None, recorded: false };
    assert_eq!((history[0].outcome, anomalies.len()), (rejected, 0));
}

#[test]
fn a_duplicate_is_kept_in_the_history_and_not_told_again() {
    let order = sample::folded(&[sample::placed(order_id(1))]);
    let snapshots = HashMap::from([(order.id, order)]);
    let Projected { commit, announcements, .. } = project(vec![good(order_id(1), 7)], snapshots);
    assert!(commit.snapshots.is_empty() && announcements.is_empty());
    let duplicate = HistoryOutcome::Duplicate { state: State::Placed };
    assert_eq!((commit.history[0].outcome, commit.history[0].version), (duplicate, 1));
}

/// Kept in the history, but the order neither counts nor tells it: its snapshot and its versions are bounded.
#[test]
fn an_event_beyond_the_bound_is_not_told() {
    let mut order = sample::folded(&[sample::placed(order_id(1))]);
    order.recorded = vec![order.recorded[0]; MAX_RECORDED_EVENTS];
    order.version = Version::new(1_000);
    let captured = record(&sample::captured(order.id)).value;
    let records = vec![read(order.id, 7, Some(captured))];
    let Projected { commit, announcements, anomalies, .. } =
        project(records, HashMap::from([(order.id, order)]));
    assert!(commit.snapshots.is_empty() && announcements.is_empty());
    let full = HistoryOutcome::Rejected {
        reason: Rejection::HistoryFull,
        state: Some(State::Placed),
        recorded: false,
    };
    assert_eq!((commit.history[0].outcome, commit.history[0].version), (full, 1_000));
    assert_eq!(anomalies, []);
}

/// Told, too: whoever waits for the verdict of an event hears it.
#[test]
fn a_fact_that_does_not_fit_is_told_and_counted() {
    let delivered = record(&sample::delivered(order_id(1))).value;
    let Projected { commit, announcements, anomalies, .. } =
        project(vec![good(order_id(1), 0), read(order_id(1), 1, Some(delivered))], HashMap::new());
    assert_eq!((announcements.len(), anomalies.len()), (2, 1));
    let order = &commit.snapshots[0].order;
    assert_eq!((order.state, order.anomalies, order.version.get()), (State::Placed, 1, 2));
    assert_eq!(commit.snapshots[0].position.offset, Offset(1));
}

/// From the log to the store, with good records on either side.
#[tokio::test]
async fn the_line_goes_on() {
    let world = World::open().await;
    let [one, other] = [order_id(1), order_id(2)].map(|order| record(&sample::placed(order)));
    let waits = record(&sample::captured(order_id(1)));
    let garbage = NewRecord { value: Bytes::from_static(b"\xff"), ..one.clone() };
    let foreign = NewRecord { key: Bytes::from_static(b"someone else"), ..one.clone() };
    let nothing = NewRecord { value: Bytes::new(), headers: Vec::new(), ..one.clone() };
    let unknown = record(&sample::shipped(order_id(3)));
    let running = world.start(Settings::default());
    world.append(vec![one.clone(), garbage, foreign, nothing, unknown, one, waits, other]).await;
    world.until_folded().await;
    running.stop().await;
    world.check(false).await;
}
