//! A search projector on embedded parts, with an index and a stream that can be away.

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
use events::{Event, OrderId, State};
use ports::{
    Consumer, DeadLetter, DeadLetters as _, Documents, EventLog as _, Found, Health, IndexOutcome,
    LetterFilter, LetterStatus, NewRecord, OrderDocument, OrderStore as _, SearchError,
    SearchIndex, SearchKey, SearchQuery, Topic, TopicSettings, TransitionDocument,
    TransitionStream,
};
use search::{Error, Parts, Settings};
use serde_json::Value;
use tempfile::TempDir;
use testkit::{TestClock, log, sample, wait_for};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// An index and a stream that can be away, each for itself, and refuse one order until they are mended.
pub(crate) struct Index {
    pub(crate) real: SqliteSearch,
    pub(crate) away: AtomicBool,
    pub(crate) stream_away: AtomicBool,
    pub(crate) mended: AtomicBool,
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

#[async_trait]
impl TransitionStream for Index {
    async fn append(
        &self,
        transitions: &[TransitionDocument],
    ) -> Result<Vec<IndexOutcome>, SearchError> {
        if self.stream_away.load(Ordering::Relaxed) {
            return Err(SearchError::Unavailable("no such shard".to_owned()));
        }
        let mended = self.mended.load(Ordering::Relaxed);
        let mut outcomes = Vec::new();
        for transition in transitions {
            if transition.order_id == Self::refused() && !mended {
                outcomes.push(IndexOutcome::Refused("too odd".to_owned()));
            } else {
                outcomes.extend(self.real.append(std::slice::from_ref(transition)).await?);
            }
        }
        Ok(outcomes)
    }

    async fn append_missing(
        &self,
        transitions: &[TransitionDocument],
    ) -> Result<Vec<IndexOutcome>, SearchError> {
        self.append(transitions).await
    }

    async fn transitions(&self, order: OrderId) -> Result<Vec<Value>, SearchError> {
        self.real.transitions(order).await
    }
}

pub(crate) struct Bench {
    pub(crate) log: Arc<SqliteLog>,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) index: Arc<Index>,
    pub(crate) health: Health,
    _dir: TempDir,
}

pub(crate) struct Running {
    task: JoinHandle<Result<(), Error>>,
    stop: CancellationToken,
}

impl Bench {
    pub(crate) async fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = SqliteLog::open(&dir.path().join("log.db")).await.unwrap();
        // One partition: what comes later in the log is read later.
        log.prepare(TopicSettings { partitions: Some(1), replication: None }).await.unwrap();
        let store = SqliteStore::open(&dir.path().join("state.db")).await.unwrap();
        store.prepare().await.unwrap();
        let real = SqliteSearch::open(&dir.path().join("search.db")).await.unwrap();
        real.prepare().await.unwrap();
        let [away, stream_away, mended] = [false; 3].map(AtomicBool::new);
        let index = Arc::new(Index { real, away, stream_away, mended });
        let (log, store) = (Arc::new(log), Arc::new(store));
        Self { log, store, index, health: Health::default(), _dir: dir }
    }

    pub(crate) fn start(&self) -> Running {
        let parts = Parts {
            log: self.log.clone(),
            index: self.index.clone(),
            transitions: self.index.clone(),
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

    pub(crate) async fn append(&self, records: Vec<NewRecord>) {
        log::append(self.log.as_ref(), Topic::StateChanged, records).await;
    }

    pub(crate) async fn change(&self, events: &[Event]) {
        self.append(log::change_records(events)).await;
    }

    pub(crate) async fn until_version(&self, order: u64, version: u64) {
        let id = sample::order_id(order);
        wait_for(&format!("order {order} is indexed at version {version}"), PATIENCE, async || {
            let versions = self.index.versions(&[id]).await.unwrap();
            (versions.get(&id) == Some(&version)).then_some(())
        })
        .await;
    }

    pub(crate) async fn until_transitions(&self, order: u64, count: usize) -> Vec<Value> {
        let id = sample::order_id(order);
        wait_for(&format!("order {order} has {count} transitions"), PATIENCE, async || {
            let transitions = self.index.transitions(id).await.unwrap();
            (transitions.len() == count).then_some(transitions)
        })
        .await
    }

    /// The search projector's dead letters, once there are so many and none is wanted to be read again.
    pub(crate) async fn letters(&self, count: usize) -> Vec<DeadLetter> {
        let filter = LetterFilter { consumer: Some(Consumer::Search), ..LetterFilter::default() };
        wait_for(&format!("{count} dead letters"), PATIENCE, async || {
            let letters = self.store.letters(&filter, None, 10).await.unwrap();
            let open = letters.iter().all(|letter| letter.status == LetterStatus::Open);
            (letters.len() == count && open).then_some(letters)
        })
        .await
    }

    pub(crate) fn down(&self) -> Option<String> {
        self.health.roles().remove(0).1
    }
}

impl Running {
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap().unwrap();
    }
}
