//! Verification on embedded parts: a good store is found good, and whatever is wrong with one is named.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that fails panics: that is how it reports"
)]

use std::{sync::Arc, time::Duration};

use adapter_embedded::{SqliteLog, SqliteStore};
use bytes::Bytes;
use codec::event_record;
use events::{Event, Order, OrderId, State};
use ports::{
    Commit, EventLog as _, Health, NewRecord, Offset, OrderStore as _, Partition, PartitionCommit,
    Position, SnapshotRow, Topic, TopicSettings, partition_for_key,
};
use replay::{Difference, DifferenceKind, Verification, verify};
use tempfile::TempDir;
use testkit::{TestClock, log, sample, wait_for};
use tokio_util::sync::CancellationToken;

const PARTITIONS: u32 = 3;
const PATIENCE: Duration = Duration::from_secs(60);

struct World {
    log: Arc<SqliteLog>,
    store: Arc<SqliteStore>,
    _folder: TempDir,
}

impl World {
    /// A log, and a store that has seen nothing of it.
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = SqliteLog::open(&folder.path().join("log.db")).await.unwrap();
        let settings = TopicSettings { partitions: Some(PARTITIONS), replication: None };
        log.prepare(settings).await.unwrap();
        let store = SqliteStore::open(&folder.path().join("state.db")).await.unwrap();
        store.prepare().await.unwrap();
        Self { log: Arc::new(log), store: Arc::new(store), _folder: folder }
    }

    /// These events, folded.
    async fn folded(events: &[Event]) -> Self {
        let world = Self::open().await;
        world.append(events).await;
        world.fold().await;
        world
    }

    async fn append(&self, events: &[Event]) {
        self.append_records(events.iter().map(|event| event_record(event, None)).collect()).await;
    }

    async fn append_records(&self, records: Vec<NewRecord>) {
        log::append(self.log.as_ref(), Topic::Events, records).await;
    }

    /// Lets a projector fold all there is.
    async fn fold(&self) {
        self.store.bind_partitions(PARTITIONS).await.unwrap();
        let parts = projector::Parts {
            log: self.log.clone(),
            store: self.store.clone(),
            clock: Arc::new(TestClock::default()),
            health: Health::default().reporter("projector"),
        };
        let stop = CancellationToken::new();
        let running =
            tokio::spawn(projector::run(parts, projector::Settings::default(), stop.clone()));
        let ends = self.log.end_offsets(Topic::Events).await.unwrap();
        wait_for("everything is folded", PATIENCE, async || {
            let progress = self.store.progress(&[]).await.unwrap();
            let folded = |end: &Position| {
                progress.iter().any(|p| p.partition == end.partition && p.next >= end.offset)
            };
            ends.iter().all(folded).then_some(())
        })
        .await;
        stop.cancel();
        running.await.unwrap().unwrap();
    }

    /// Puts something else into the store, behind the projector's back.
    async fn tamper(&self, order: Order, bytes: Bytes, position: Position) {
        let row = SnapshotRow { order, bytes, position };
        let commit = Commit { snapshots: vec![row], ..Commit::default() };
        self.store.commit(&commit).await.unwrap();
    }

    async fn verify(&self) -> Verification {
        verify(self.log.as_ref(), self.store.as_ref()).await.unwrap()
    }

    async fn position_of(&self, order: OrderId) -> Position {
        self.store.load(&[order]).await.unwrap()[0].position
    }
}

fn lives(orders: std::ops::Range<u64>) -> Vec<Event> {
    orders.flat_map(|n| sample::lifecycle(sample::order_id(n))).collect()
}

fn differs(n: u64, kind: DifferenceKind) -> Difference {
    Difference { order_id: sample::order_id(n), kind }
}

#[tokio::test]
async fn a_good_store_is_found_good() {
    let world = World::folded(&lives(1..6)).await;
    let good = Verification { records: 30, orders: 5, ..Verification::default() };
    assert_eq!(world.verify().await, good);
}

#[tokio::test]
async fn an_empty_log_and_an_empty_store_agree() {
    assert_eq!(World::folded(&[]).await.verify().await, Verification::default());
}

/// Duplicates, misfits, unknown orders and what can't be read are no differences.
#[tokio::test]
async fn bad_records_are_counted() {
    let world = World::open().await;
    world.append(&lives(1..3)).await;
    world.append(&lives(2..4)).await;
    world.append(&[sample::shipped(sample::order_id(9))]).await;
    let good = event_record(&sample::placed(sample::order_id(1)), None);
    let garbage = NewRecord { value: Bytes::from_static(b"\xff"), ..good.clone() };
    let foreign = NewRecord { key: Bytes::from_static(b"someone else"), ..good };
    world.append_records(vec![garbage, foreign]).await;
    world.fold().await;
    let found = world.verify().await;
    let expected =
        Verification { records: 27, undecodable: 2, orders: 3, ..Verification::default() };
    assert_eq!(found, expected);
}

#[tokio::test]
async fn more_orders_than_fit_a_page_are_all_compared() {
    let placed = |n| sample::placed(sample::order_id(n));
    let world = World::folded(&(0..3_500).map(placed).collect::<Vec<_>>()).await;
    let order = sample::folded(&[placed(3_456)]);
    let position = world.position_of(order.id).await;
    world.tamper(order, Bytes::from_static(b"\xff"), position).await;
    let found = world.verify().await;
    assert_eq!(found.orders, 3_500);
    assert_eq!(found.differences, [differs(3_456, DifferenceKind::Snapshot)]);
}

#[tokio::test]
async fn what_is_not_folded_yet_is_behind_and_no_difference() {
    let world = World::folded(&lives(1..3)).await;
    world.append(&lives(3..4)).await;
    world.append(&[sample::cancelled(sample::order_id(1))]).await;
    let found = world.verify().await;
    let expected = Verification { records: 12, behind: 7, orders: 2, ..Verification::default() };
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_store_that_saw_nothing_is_behind() {
    let world = World::open().await;
    world.append(&lives(1..3)).await;
    let behind = Verification { behind: 12, ..Verification::default() };
    assert_eq!(world.verify().await, behind, "not even the partitions are known");
    world.store.bind_partitions(PARTITIONS).await.unwrap();
    assert_eq!(world.verify().await, behind);
}

#[tokio::test]
async fn a_changed_snapshot_is_found() {
    let world = World::folded(&lives(1..4)).await;
    let position = world.position_of(sample::order_id(2)).await;
    let mut order = sample::folded(&sample::lifecycle(sample::order_id(2)));
    order.state = State::Shipped;
    world.tamper(order.clone(), codec::encode_snapshot(&order), position).await;
    assert_eq!(world.verify().await.differences, [differs(2, DifferenceKind::Snapshot)]);
}

#[tokio::test]
async fn a_changed_position_is_found() {
    let world = World::folded(&lives(1..4)).await;
    let order = sample::folded(&sample::lifecycle(sample::order_id(2)));
    let position = Position { offset: Offset(0), ..world.position_of(order.id).await };
    world.tamper(order.clone(), codec::encode_snapshot(&order), position).await;
    assert_eq!(world.verify().await.differences, [differs(2, DifferenceKind::Position)]);
}

#[tokio::test]
async fn a_missing_snapshot_is_found() {
    let world = World::folded(&lives(1..4)).await;
    let key = sample::order_id(7).to_string();
    let partition = partition_for_key(key.as_bytes(), PARTITIONS);
    let progress = world.store.progress(&[partition]).await.unwrap()[0];
    world.append(&[sample::placed(sample::order_id(7))]).await;
    // A projector that moves on without storing what it folded.
    let step = PartitionCommit {
        partition,
        expected: progress.next,
        next: progress.next.next(),
        announced: progress.announced,
    };
    let commit = Commit { partitions: vec![step], ..Commit::default() };
    world.store.commit(&commit).await.unwrap();
    let found = world.verify().await;
    assert_eq!((found.orders, found.behind), (4, 0));
    assert_eq!(found.differences, [differs(7, DifferenceKind::Missing)]);
}

/// Wherever it claims to come from: another order's event, an event that was rejected, no event, no partition.
#[tokio::test]
async fn an_extra_snapshot_is_found() {
    let mut events = lives(1..4);
    events.push(sample::shipped(sample::order_id(7)));
    let world = World::folded(&events).await;
    let first = world.position_of(sample::order_id(1)).await;
    let key = sample::order_id(7).to_string();
    let home = partition_for_key(key.as_bytes(), PARTITIONS);
    let last = world.log.end_offset(Topic::Events, home).await.unwrap();
    for position in [
        first,
        Position { partition: home, offset: Offset(last.0 - 1) },
        Position { partition: home, offset: Offset(1_000) },
        Position { partition: Partition(99), offset: Offset(0) },
    ] {
        let order = sample::folded(&[sample::placed(sample::order_id(7))]);
        world.tamper(order.clone(), codec::encode_snapshot(&order), position).await;
        let found = world.verify().await;
        assert_eq!(found.orders, 3, "{position:?}");
        assert_eq!(found.differences, [differs(7, DifferenceKind::Unexpected)], "{position:?}");
    }
}

#[tokio::test]
async fn every_difference_is_named_as_people_read_it() {
    let world = World::folded(&lives(1..4)).await;
    let position = world.position_of(sample::order_id(1)).await;
    for n in [1, 8] {
        let order = sample::folded(&sample::lifecycle(sample::order_id(n)));
        world.tamper(order, Bytes::from_static(b"\xff"), position).await;
    }
    let mut told: Vec<_> =
        world.verify().await.differences.iter().map(ToString::to_string).collect();
    let mut expected = [
        format!("order {} has another snapshot than the log folds to", sample::order_id(1)),
        format!("order {} is in the store, not in the log", sample::order_id(8)),
    ];
    told.sort_unstable();
    expected.sort_unstable();
    assert_eq!(told, expected);
}
