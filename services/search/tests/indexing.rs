//! The search projector from end to end on embedded parts.

#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use adapter_embedded::{SqliteLog, SqliteSearch, SqliteStore};
use async_trait::async_trait;
use bytes::Bytes;
use events::{Event, OrderId, State};
use ports::{
    Consumer, DeadLetter, DeadLetterReason, DeadLetters as _, Documents, EventLog as _, Found,
    Health, IndexOutcome, LetterFilter, LetterStatus, NewRecord, OrderDocument, OrderStore as _,
    SearchError, SearchIndex, SearchKey, SearchQuery, Topic, TopicSettings,
};
use search::{Error, Parts, Settings};
use tempfile::TempDir;
use testkit::{TestClock, log, sample, wait_for};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(20);

/// An index that can be away, and refuses one order until it is mended.
struct Index {
    real: SqliteSearch,
    away: AtomicBool,
    mended: AtomicBool,
}

impl Index {
    fn refused() -> String {
        sample::order_id(13).to_string()
    }

    fn answers(&self) -> Result<(), SearchError> {
        if self.away.load(Ordering::Relaxed) {
            return Err(SearchError::Unavailable("connection refused".to_owned()));
        }
        Ok(())
    }
}

#[async_trait]
impl SearchIndex for Index {
    async fn prepare(&self) -> Result<(), SearchError> {
        self.real.prepare().await
    }

    async fn upsert(&self, documents: &[OrderDocument]) -> Result<Vec<IndexOutcome>, SearchError> {
        self.answers()?;
        let mended = self.mended.load(Ordering::Relaxed);
        let (refused, good): (Vec<_>, Vec<_>) = documents
            .iter()
            .cloned()
            .partition(|document| document.order_id == Self::refused() && !mended);
        let mut outcomes = self.real.upsert(&good).await?.into_iter();
        let refused: Vec<_> = refused.into_iter().map(|document| document.order_id).collect();
        let outcome = |document: &OrderDocument| {
            if refused.contains(&document.order_id) {
                IndexOutcome::Refused("does not fit the mapping".to_owned())
            } else {
                outcomes.next().unwrap()
            }
        };
        Ok(documents.iter().map(outcome).collect())
    }

    async fn search(
        &self,
        query: &SearchQuery,
        after: Option<SearchKey>,
        limit: usize,
    ) -> Result<Found, SearchError> {
        self.answers()?;
        self.real.search(query, after, limit).await
    }

    async fn versions(&self, orders: &[OrderId]) -> Result<BTreeMap<OrderId, u64>, SearchError> {
        self.real.versions(orders).await
    }

    async fn documents(&self, orders: &[OrderId]) -> Result<Documents, SearchError> {
        self.real.documents(orders).await
    }

    async fn count_by_state(&self) -> Result<Vec<(State, u64)>, SearchError> {
        self.real.count_by_state().await
    }

    async fn ping(&self) -> Result<(), SearchError> {
        self.answers()
    }
}

struct Bench {
    log: Arc<SqliteLog>,
    store: Arc<SqliteStore>,
    index: Arc<Index>,
    health: Health,
    _dir: TempDir,
}

struct Running {
    task: JoinHandle<Result<(), Error>>,
    stop: CancellationToken,
}

impl Bench {
    async fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = SqliteLog::open(&dir.path().join("log.db")).await.unwrap();
        // One partition: what comes later in the log is read later.
        log.prepare(TopicSettings { partitions: Some(1), replication: None }).await.unwrap();
        let store = SqliteStore::open(&dir.path().join("state.db")).await.unwrap();
        store.prepare().await.unwrap();
        let real = SqliteSearch::open(&dir.path().join("search.db")).await.unwrap();
        real.prepare().await.unwrap();
        let (away, mended) = (AtomicBool::new(false), AtomicBool::new(false));
        let index = Arc::new(Index { real, away, mended });
        let (log, store) = (Arc::new(log), Arc::new(store));
        Self { log, store, index, health: Health::default(), _dir: dir }
    }

    fn start(&self) -> Running {
        let parts = Parts {
            log: self.log.clone(),
            index: self.index.clone(),
            dead_letters: self.store.clone(),
            clock: Arc::new(TestClock::default()),
            health: self.health.reporter("search"),
        };
        let stop = CancellationToken::new();
        // Small requests, so that a batch makes several.
        let settings = Settings { request_documents_max: 2, ..Settings::default() };
        let task = tokio::spawn(search::run(parts, settings, stop.clone()));
        Running { task, stop }
    }

    async fn append(&self, records: Vec<NewRecord>) {
        log::append(self.log.as_ref(), Topic::StateChanged, records).await;
    }

    async fn change(&self, events: &[Event]) {
        self.append(log::change_records(events)).await;
    }

    async fn until_version(&self, order: u64, version: u64) {
        let id = sample::order_id(order);
        wait_for(&format!("order {order} is indexed at version {version}"), PATIENCE, async || {
            let versions = self.index.versions(&[id]).await.unwrap();
            (versions.get(&id) == Some(&version)).then_some(())
        })
        .await;
    }

    /// The search projector's dead letters, once there are so many and none is wanted to be read again.
    async fn letters(&self, count: usize) -> Vec<DeadLetter> {
        let filter = LetterFilter { consumer: Some(Consumer::Search), ..LetterFilter::default() };
        wait_for(&format!("{count} dead letters"), PATIENCE, async || {
            let letters = self.store.letters(&filter, None, 10).await.unwrap();
            let open = letters.iter().all(|letter| letter.status == LetterStatus::Open);
            (letters.len() == count && open).then_some(letters)
        })
        .await
    }

    fn down(&self) -> Option<String> {
        self.health.roles().remove(0).1
    }
}

impl Running {
    async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap().unwrap();
    }
}

#[tokio::test]
async fn the_newest_version_of_each_order_is_indexed_and_stays() {
    let bench = Bench::open().await;
    for order in 1..=5 {
        bench.change(&sample::lifecycle(sample::order_id(order))).await;
    }
    let search = bench.start();
    for order in 1..=5 {
        bench.until_version(order, 6).await;
    }
    // Announced again, as a crash of the projector or a reset of the group makes them come.
    bench.change(&sample::lifecycle(sample::order_id(1))[..3]).await;
    bench.change(&[sample::placed(sample::order_id(6))]).await;
    bench.until_version(6, 1).await;
    bench.until_version(1, 6).await;
    assert_eq!(bench.down(), None);
    search.stop().await;
    let mut states = bench.index.count_by_state().await.unwrap();
    states.retain(|(_, count)| *count > 0);
    states.sort_unstable();
    assert_eq!(states, [(State::Placed, 1), (State::Completed, 5)]);
}

#[tokio::test]
async fn goes_on_after_a_restart_where_it_was() {
    let bench = Bench::open().await;
    let life = sample::lifecycle(sample::order_id(1));
    bench.change(&life[..2]).await;
    let search = bench.start();
    bench.until_version(1, 2).await;
    search.stop().await;
    bench.append(log::change_records(&life).split_off(2)).await;
    let search = bench.start();
    bench.until_version(1, 6).await;
    search.stop().await;
}

#[tokio::test]
async fn an_index_that_is_away_is_waited_for() {
    let bench = Bench::open().await;
    bench.index.away.store(true, Ordering::Relaxed);
    bench.change(&sample::lifecycle(sample::order_id(1))).await;
    let search = bench.start();
    wait_for("the failure is reported", PATIENCE, async || {
        bench.down().filter(|why| {
            why == "indexing: could not index documents: the search index is not available: connection refused"
        })
    })
    .await;
    bench.index.away.store(false, Ordering::Relaxed);
    bench.until_version(1, 6).await;
    wait_for("the search projector serves", PATIENCE, async || {
        bench.down().is_none().then_some(())
    })
    .await;
    search.stop().await;
}

#[tokio::test]
async fn a_stop_while_the_index_is_away_loses_nothing() {
    let bench = Bench::open().await;
    bench.index.away.store(true, Ordering::Relaxed);
    bench.change(&sample::lifecycle(sample::order_id(1))).await;
    let search = bench.start();
    wait_for("the index is missed", PATIENCE, async || {
        bench.down().filter(|why| why.contains("could not index"))
    })
    .await;
    search.stop().await;
    bench.index.away.store(false, Ordering::Relaxed);
    let search = bench.start();
    bench.until_version(1, 6).await;
    search.stop().await;
}

#[tokio::test]
async fn what_can_t_be_read_or_indexed_becomes_a_dead_letter_and_the_line_goes_on() {
    let bench = Bench::open().await;
    let key = Bytes::from(sample::order_id(1).to_string());
    let garbage = NewRecord { key, value: Bytes::from_static(b"\xff"), headers: Vec::new() };
    let mut foreign = log::change_records(&[sample::placed(sample::order_id(2))]);
    foreign[0].key = Bytes::from_static(b"someone else");
    bench.append(vec![garbage]).await;
    bench.append(foreign).await;
    bench.change(&[sample::placed(sample::order_id(13))]).await;
    bench.change(&[sample::placed(sample::order_id(3))]).await;
    let search = bench.start();
    bench.until_version(3, 1).await;
    wait_for("three dead letters", PATIENCE, async || {
        (bench.store.count().await.unwrap() == 3).then_some(())
    })
    .await;
    search.stop().await;
    assert!(bench.index.versions(&[sample::order_id(2)]).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_dead_letter_is_read_again_if_someone_wants_it() {
    let bench = Bench::open().await;
    let key = Bytes::from(sample::order_id(1).to_string());
    let garbage = NewRecord { key, value: Bytes::from_static(b"\xff"), headers: Vec::new() };
    bench.append(vec![garbage]).await;
    bench.change(&[sample::placed(sample::order_id(13))]).await;
    let search = bench.start();
    let letters = bench.letters(2).await;
    for letter in &letters {
        bench.store.decide(letter.key(), LetterStatus::Retry).await.unwrap();
    }
    // Nothing has become better.
    let again = bench.letters(2).await;
    let reasons: Vec<_> = again.iter().map(|letter| letter.reason).collect();
    assert_eq!(reasons, [DeadLetterReason::Undecodable, DeadLetterReason::Refused]);
    assert_eq!(again, letters);

    bench.index.mended.store(true, Ordering::Relaxed);
    search.stop().await;
    for letter in &letters {
        bench.store.decide(letter.key(), LetterStatus::Retry).await.unwrap();
    }
    let search = bench.start();
    bench.until_version(13, 1).await;
    let left = bench.letters(1).await;
    assert_eq!(left.first().unwrap().reason, DeadLetterReason::Undecodable);
    assert_eq!(bench.down(), None);
    search.stop().await;
}
