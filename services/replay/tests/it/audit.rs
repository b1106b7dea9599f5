//! The continuous audit: good while every record is accounted for, and not fooled by offsets.

use std::sync::Arc;

use adapter_embedded::{SqliteLog, SqliteStore};
use bytes::Bytes;
use contract::order_store::batch;
use events::Event;
use ports::{
    Audit, AuditStore as _, Commit, EventLog as _, NewRecord, Offset, OrderStore as _, Partition,
    PartitionCommit, Topic, TopicSettings,
};
use replay::Auditor;
use tempfile::TempDir;
use testkit::{
    log,
    sample::{order_id, placed},
};

struct World {
    auditor: Auditor,
    log: Arc<SqliteLog>,
    store: Arc<SqliteStore>,
    _folder: TempDir,
}

impl World {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = SqliteLog::open(&folder.path().join("log.db")).await.unwrap();
        let settings = TopicSettings { partitions: Some(1), replication: None };
        log.prepare(settings).await.unwrap();
        let store = SqliteStore::open(&folder.path().join("state.db")).await.unwrap();
        store.bind_partitions(1).await.unwrap();
        let (log, store) = (Arc::new(log), Arc::new(store));
        let auditor = Auditor { log: log.clone(), orders: store.clone(), audits: store.clone() };
        Self { auditor, log, store, _folder: folder }
    }

    async fn append(&self, events: &[Event]) {
        let records = events.iter().map(|event| codec::event_record(event, None)).collect();
        log::append(self.log.as_ref(), Topic::Events, records).await;
    }

    /// How far the audit is, and what it misses.
    async fn audited(&self) -> (i64, u64) {
        self.auditor.round().await.unwrap();
        let audits = self.store.audits().await.unwrap();
        let [Audit { next, unaccounted, .. }] = audits.as_slice() else { panic!("{audits:?}") };
        (next.0, *unaccounted)
    }

    /// A projector that moves on without storing what it folded.
    async fn skip(&self, from: i64, until: i64) {
        let step = PartitionCommit {
            partition: Partition(0),
            expected: ports::Place { next: Offset(from), epoch: ports::Epoch::FIRST },
            next: Offset(until),
            announced: Offset::START,
            digest: events::Digest::ZERO,
        };
        let commit = Commit { partitions: vec![step], ..Commit::default() };
        self.store.commit(&commit).await.unwrap();
    }
}

fn orders(numbers: std::ops::Range<u64>) -> Vec<Event> {
    numbers.map(|n| placed(order_id(n))).collect()
}

#[tokio::test]
async fn what_is_folded_is_accounted_for_and_what_is_not_is_not_looked_for() {
    let world = World::open().await;
    assert_eq!(world.audited().await, (0, 0));
    let events = orders(0..10);
    world.append(&events).await;
    assert_eq!(world.audited().await, (0, 0));
    world.store.commit(&batch(0, 0, &events[..7])).await.unwrap();
    assert_eq!(world.audited().await, (7, 0));
    world.store.commit(&batch(0, 7, &events[7..])).await.unwrap();
    assert_eq!(world.audited().await, (10, 0));
}

#[tokio::test]
async fn every_skipped_record_is_counted_once() {
    let world = World::open().await;
    let events = orders(0..40);
    world.append(&events).await;
    world.store.commit(&batch(0, 0, &events[..5])).await.unwrap();
    world.skip(5, 6).await;
    world.store.commit(&batch(0, 6, &events[6..20])).await.unwrap();
    world.skip(20, 33).await;
    world.store.commit(&batch(0, 33, &events[33..40])).await.unwrap();
    assert_eq!(world.audited().await, (40, 14));
    assert_eq!(world.audited().await, (40, 14));
    let garbage = NewRecord {
        key: Bytes::from_static(b"k"),
        value: Bytes::from_static(b"\xff"),
        headers: Vec::new(),
    };
    log::append(world.log.as_ref(), Topic::Events, vec![garbage]).await;
    world.skip(40, 41).await;
    assert_eq!(world.audited().await, (41, 15), "a record that can't be read is one too");
}

/// Kafka's offsets may have gaps: what the log does not have, no one must account for.
#[tokio::test]
async fn a_place_without_a_record_is_no_gap() {
    let world = World::open().await;
    let events = orders(0..4);
    world.append(&events).await;
    world.store.commit(&batch(0, 0, &events)).await.unwrap();
    world.skip(4, 9).await;
    assert_eq!(world.audited().await, (9, 0));
}
