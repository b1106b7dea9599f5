//! A projector's memory does not follow from how large orders are and how many of their changes come at once.
//!
//! It is the only test of its process, which tells how much it ever held.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that fails panics: that is how it reports"
)]

mod sink;

use std::{fs, sync::Arc, time::Duration};

use adapter_embedded::{SqliteLog, SqliteStore};
use bytes::Bytes;
use codec::event_record;
use events::{Event, EventBody, OrderId};
use ports::{
    DeadLetters as _, EventLog, Health, LetterFilter, LetterStatus, Measures, MetricOf, NewRecord,
    OrderStore as _, Topic, TopicSettings,
};
use projection::{ANNOUNCED_BYTES_MAX, Discarded, Known, Projected, Projection};
use projector::{Parts, Settings};
use testkit::{TestClock, log, sample, wait_for};
use tokio_util::sync::CancellationToken;

use crate::sink::{Sink, Told};

const PATIENCE: Duration = Duration::from_secs(120);

/// Changes of one order.
const EVENTS: u32 = 700;

/// The most that one may hold, with what the test and SQLite hold. All announcements together have three times as much.
const MEBIBYTES_MAX: usize = 128;

/// An order near every limit, and one small event after the other.
fn life(order: OrderId) -> Vec<Event> {
    let details = sample::details_with(|draft| {
        draft.lines = (0..500).map(|n| sample::line(&n.to_string(), 1, 100)).collect();
        for line in &mut draft.lines {
            (line.sku, line.name) = (sample::text(&"€".repeat(64)), sample::text(&"€".repeat(200)));
        }
    });
    let steps = (1..EVENTS).map(|n| sample::event(order, n, EventBody::PreparationStarted));
    [sample::placed_with(order, details)].into_iter().chain(steps).collect()
}

struct World {
    log: Arc<SqliteLog>,
    sink: Arc<Sink>,
    store: Arc<SqliteStore>,
    measures: Measures,
    _folder: tempfile::TempDir,
}

impl World {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = SqliteLog::open(&folder.path().join("log.db")).await.unwrap();
        log.prepare(TopicSettings { partitions: Some(1), replication: None }).await.unwrap();
        let store = SqliteStore::open(&folder.path().join("state.db")).await.unwrap();
        store.prepare().await.unwrap();
        store.bind_partitions(1).await.unwrap();
        let log = Arc::new(log);
        let sink = Arc::new(Sink::new(log.clone()));
        Self { log, sink, store: Arc::new(store), measures: Measures::on(), _folder: folder }
    }

    async fn append(&self, records: Vec<NewRecord>) {
        log::append(self.log.as_ref(), Topic::Events, records).await;
    }

    /// How many updates were measured since the last time.
    fn measured(&self) -> u64 {
        let (until, lasted) = (sample::at(0), Duration::from_secs(10));
        let told = ports::Told { node: "here", version: "1", until, lasted };
        let documents = self.measures.take().documents(told);
        let counts = documents.into_iter().map(|document| match document.of {
            MetricOf::Latency { count, .. } => count,
            of => panic!("{of:?}"),
        });
        counts.sum()
    }

    /// Commits what is left to fold, as a projector does that dies before it announces anything.
    async fn commit_and_die(&self) {
        let mut held = self.store.progress(&[]).await.unwrap()[0];
        let mut records = log::read_all(self.log.as_ref(), Topic::Events).await;
        records.retain(|record| record.position.offset >= held.next);
        let mut left = Some(Projection::decode(records, 1, sample::at(0), &Discarded::default()));
        while let Some(projection) = left {
            let stored = self.store.load(&projection.orders()).await.unwrap();
            let orders = stored.iter().map(|s| codec::decode_snapshot(&s.bytes).unwrap());
            let snapshots = orders.map(|order| (order.id, order)).collect();
            let known = Known { snapshots, ..Known::default() };
            let Projected { commit, rest, announcements, .. } =
                projection.fold(known, &[(held.partition, held)].into());
            let bytes: usize = announcements.iter().map(|told| told.value.len()).sum();
            assert!(bytes < ANNOUNCED_BYTES_MAX + 1_000_000, "{bytes} are announced at once");
            self.store.commit(&commit).await.unwrap();
            (held.next, held.digest) = (commit.partitions[0].next, commit.partitions[0].digest);
            left = rest;
        }
    }

    /// Lets a projector work until everything is folded, decided and announced; says what it announced.
    async fn project(&self) -> Told {
        let before = self.sink.told();
        let stop = CancellationToken::new();
        let parts = Parts {
            log: self.sink.clone(),
            store: self.store.clone(),
            dead_letters: self.store.clone(),
            clock: Arc::new(TestClock::default()),
            health: Health::default().reporter("projector"),
            measures: self.measures.clone(),
        };
        let running = tokio::spawn(projector::run(parts, Settings::default(), stop.clone()));
        let end = self.log.end_offsets(Topic::Events).await.unwrap()[0].offset;
        wait_for("everything is folded and announced", PATIENCE, async || {
            let progress = self.store.progress(&[]).await.unwrap()[0];
            let wanted = [LetterStatus::Retry, LetterStatus::Discard];
            let wanted = LetterFilter { statuses: wanted.to_vec(), ..LetterFilter::default() };
            let is_decided = self.store.letters(&wanted, None, 1).await.unwrap().is_empty();
            (progress.next == end && progress.announced == end && is_decided).then_some(())
        })
        .await;
        stop.cancel();
        running.await.expect("it ends").unwrap();
        let Told { records, bytes } = self.sink.told();
        Told { records: records - before.records, bytes: bytes - before.bytes }
    }
}

/// As Linux tells it.
fn peak_mebibytes() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() / 1024
}

/// Fails unless each change was told once, and little was held at once.
fn check(what: &str, told: Told) {
    assert_eq!(told.records, EVENTS as usize, "{what}");
    let announced = told.bytes / (1024 * 1024);
    assert!(announced > 2 * MEBIBYTES_MAX, "{what}: only {announced} MiB were announced");
    let peak = peak_mebibytes();
    assert!(peak < MEBIBYTES_MAX, "{what}: {peak} MiB were held, {announced} MiB announced");
}

#[tokio::test]
async fn changes_of_large_orders_are_not_all_held_at_once() {
    let world = World::open().await;
    let record = |event: &Event| event_record(event, None);
    world.append(life(sample::order_id(1)).iter().map(record).collect()).await;
    check("a batch", world.project().await);
    assert_eq!(
        world.measured(),
        u64::from(EVENTS),
        "each is noted once, in whichever commit it came"
    );

    let unannounced = life(sample::order_id(2));
    world.append(unannounced.iter().map(record).collect()).await;
    world.commit_and_die().await;
    check("what was left unannounced", world.project().await);

    let parked = life(sample::order_id(3));
    let garbage = NewRecord { value: Bytes::from_static(b"\xff"), ..record(&parked[0]) };
    world.append(vec![garbage]).await;
    world.append(parked.iter().map(record).collect()).await;
    assert_eq!(world.project().await, Told::default(), "its order waits");
    let letters = world.store.letters(&LetterFilter::default(), None, 1).await.unwrap();
    world.store.decide(letters[0].key(), LetterStatus::Discard).await.unwrap();
    check("a decision", world.project().await);

    for order in [1, 2, 3].map(sample::order_id) {
        let stored = world.store.load(&[order]).await.unwrap();
        assert_eq!(stored[0].bytes, codec::encode_snapshot(&sample::folded(&life(order))));
    }
}
