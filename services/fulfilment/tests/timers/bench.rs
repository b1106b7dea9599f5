//! Fulfilment on embedded parts in a folder of its own, with the time in the test's hands.

use std::{sync::Arc, time::Duration};

use adapter_embedded::{SqliteLog, SqliteStore};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use events::{Event, OrderId, Version};
use fulfilment::{Error, Parts, Settings};
use ports::{
    DeadLetters, EventLog as _, Health, NewRecord, OrderStore as _, StoreError, Timer, TimerStore,
    Topic, TopicSettings,
};
use tempfile::TempDir;
use testkit::{TestClock, log, wait_for};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Bench {
    pub(crate) log: Arc<SqliteLog>,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) health: Health,
    dir: TempDir,
}

pub(crate) struct Running {
    task: JoinHandle<Result<(), Error>>,
    stop: CancellationToken,
}

/// Unpaid orders are cancelled after a minute, delivered ones completed after an hour.
pub(crate) fn settings() -> Settings {
    Settings {
        cancel_unpaid_after: Some(Duration::from_secs(60)),
        complete_after: Some(Duration::from_secs(3_600)),
        look_again_after: Duration::from_millis(20),
        ..Settings::default()
    }
}

impl Bench {
    pub(crate) async fn open() -> Self {
        Self::open_in(tempfile::tempdir().unwrap(), Arc::default()).await
    }

    /// As after a crash of the whole machine: nothing is kept but the files and the time.
    pub(crate) async fn reopen(self) -> Self {
        let Self { log, store, clock, dir, .. } = self;
        drop((log, store));
        Self::open_in(dir, clock).await
    }

    async fn open_in(dir: TempDir, clock: Arc<TestClock>) -> Self {
        let log = SqliteLog::open(&dir.path().join("log.db")).await.unwrap();
        // One partition: what comes later in the log is read later.
        log.prepare(TopicSettings { partitions: Some(1), replication: None }).await.unwrap();
        let store = SqliteStore::open(&dir.path().join("state.db")).await.unwrap();
        store.prepare().await.unwrap();
        let (log, store) = (Arc::new(log), Arc::new(store));
        Self { log, store, clock, health: Health::default(), dir }
    }

    pub(crate) fn start(&self) -> Running {
        self.start_with(settings(), self.store.clone())
    }

    pub(crate) fn start_with(&self, settings: Settings, timers: Arc<dyn TimerStore>) -> Running {
        let parts = Parts {
            log: self.log.clone(),
            timers,
            dead_letters: self.store.clone(),
            clock: self.clock.clone(),
            health: self.health.reporter("fulfilment"),
        };
        let stop = CancellationToken::new();
        let task = tokio::spawn(fulfilment::run(parts, settings, stop.clone()));
        Running { task, stop }
    }

    pub(crate) async fn append(&self, records: Vec<NewRecord>) {
        log::append(self.log.as_ref(), Topic::StateChanged, records).await;
    }

    pub(crate) async fn change(&self, events: &[Event]) {
        self.append(log::change_records(events)).await;
    }

    pub(crate) async fn timers(&self) -> u64 {
        TimerStore::count(self.store.as_ref()).await.unwrap()
    }

    pub(crate) async fn until_timers(&self, count: u64) {
        wait_for(&format!("{count} timers are set"), PATIENCE, async || {
            (self.timers().await == count).then_some(())
        })
        .await;
    }

    pub(crate) async fn dead_letters(&self) -> u64 {
        DeadLetters::count(self.store.as_ref()).await.unwrap()
    }

    /// What fulfilment appended.
    pub(crate) async fn events(&self) -> Vec<Event> {
        let records = log::read_all(self.log.as_ref(), Topic::Events).await;
        let event = |record: &ports::LogRecord| {
            let event = codec::decode_event(record.value.as_ref().unwrap()).unwrap();
            assert_eq!(record.key.as_ref().unwrap(), event.order_id.to_string().as_bytes());
            event
        };
        records.iter().map(event).collect()
    }

    pub(crate) async fn until_events(&self, count: usize) -> Vec<Event> {
        wait_for(&format!("{count} events are appended"), PATIENCE, async || {
            let events = self.events().await;
            (events.len() == count).then_some(events)
        })
        .await
    }
}

impl Running {
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap().unwrap();
    }

    /// As `kill -9` would: nothing in hand is finished.
    pub(crate) async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

/// A store that no one hears from again once a timer has fired.
pub(crate) struct SilentAfterFiring(pub(crate) Arc<SqliteStore>);

#[async_trait]
impl TimerStore for SilentAfterFiring {
    async fn replace(&self, orders: &[(OrderId, Version, Vec<Timer>)]) -> Result<(), StoreError> {
        self.0.replace(orders).await
    }

    async fn claim(
        &self,
        now: DateTime<Utc>,
        lease: Duration,
        limit: usize,
    ) -> Result<Vec<Timer>, StoreError> {
        TimerStore::claim(self.0.as_ref(), now, lease, limit).await
    }

    async fn fired(&self, _: &[Timer]) -> Result<(), StoreError> {
        std::future::pending().await
    }

    async fn next_due(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        TimerStore::next_due(self.0.as_ref()).await
    }

    async fn count(&self) -> Result<u64, StoreError> {
        TimerStore::count(self.0.as_ref()).await
    }

    async fn overdue(&self, now: DateTime<Utc>) -> Result<u64, StoreError> {
        self.0.overdue(now).await
    }
}
