//! A log and a store in a folder of their own, and projectors on them.

use std::{future::pending, sync::Arc, time::Duration};

use adapter_embedded::{SqliteLog, SqliteStore};
use ports::{
    DeadLetter, DeadLetters, EventLog, Health, LetterFilter, LetterStatus, Measures, NewRecord,
    OrderStore, Progress, StoredSnapshot, Topic, TopicSettings,
};
use projector::{Error, Parts, Settings};
use tempfile::TempDir;
use testkit::{TestClock, log, wait_for};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    faults::Plan,
    faulty_letters::FaultyLetters,
    faulty_log::FaultyLog,
    faulty_store::FaultyStore,
    oracle::{Expected, check_announcements},
    rival::Rival,
    story::PARTITIONS,
};

/// How long anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct World {
    pub(crate) log: Arc<SqliteLog>,
    pub(crate) store: Arc<SqliteStore>,
    _folder: TempDir,
}

impl World {
    pub(crate) async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = SqliteLog::open(&folder.path().join("log.db")).await.unwrap();
        let settings = TopicSettings { partitions: Some(PARTITIONS), replication: None };
        log.prepare(settings).await.unwrap();
        let store = SqliteStore::open(&folder.path().join("state.db")).await.unwrap();
        store.prepare().await.unwrap();
        store.bind_partitions(PARTITIONS).await.unwrap();
        Self { log: Arc::new(log), store: Arc::new(store), _folder: folder }
    }

    pub(crate) async fn append(&self, records: Vec<NewRecord>) {
        log::append(self.log.as_ref(), Topic::Events, records).await;
    }

    /// A projector of its own on this log and store.
    pub(crate) fn start(&self, settings: Settings) -> Running {
        let (log, store) = (Arc::clone(&self.log), Arc::clone(&self.store));
        Running::start(parts(log, store.clone(), store), settings)
    }

    /// Projects what is there while what is planned goes wrong, until it is folded or the process dies.
    pub(crate) async fn project_with(&self, plan: &Arc<Plan>) {
        let log = FaultyLog { inner: self.log.clone(), plan: Arc::clone(plan), unserved: None };
        let store = FaultyStore { inner: self.store.clone(), plan: Arc::clone(plan) };
        let letters = FaultyLetters { inner: self.store.clone(), plan: Arc::clone(plan) };
        let parts = parts(Arc::new(log), Arc::new(store), Arc::new(letters));
        let stop = CancellationToken::new();
        let folded = async {
            self.until_folded().await;
            stop.cancel();
            pending::<()>().await
        };
        tokio::select! {
            () = plan.died() => {}
            () = folded => {}
            ended = projector::run(parts, Settings::default(), stop.clone()) => ended.unwrap(),
        }
    }

    /// Another projector, which works only when it is told to.
    pub(crate) fn rival(&self) -> Rival {
        Rival { log: self.log.clone(), store: self.store.clone() }
    }

    pub(crate) async fn progress(&self) -> Vec<Progress> {
        let mut progress = self.store.progress(&[]).await.unwrap();
        progress.sort_by_key(|progress| progress.partition);
        progress
    }

    /// Waits until every record that is in the log by now is accounted for.
    pub(crate) async fn until_folded(&self) {
        let ends = self.log.end_offsets(Topic::Events).await.unwrap();
        wait_for("everything is folded", PATIENCE, async || {
            let progress = self.progress().await;
            let folded = progress.iter().zip(&ends).all(|(at, end)| at.next >= end.offset);
            folded.then_some(())
        })
        .await;
    }

    /// Every dead letter of a status, in log order.
    pub(crate) async fn letters(&self, status: LetterStatus) -> Vec<DeadLetter> {
        let filter = LetterFilter { statuses: vec![status], ..LetterFilter::default() };
        self.store.letters(&filter, None, 1_000).await.unwrap()
    }

    /// Decides on all dead letters that are open by now, in turn as these say.
    pub(crate) async fn decide(&self, wanted: &[LetterStatus]) {
        let open = self.letters(LetterStatus::Open).await;
        for (letter, wanted) in open.iter().zip(wanted.iter().cycle()) {
            self.store.decide(letter.key(), *wanted).await.unwrap();
        }
    }

    /// Waits until every decision is carried out.
    pub(crate) async fn until_decided(&self) {
        wait_for("decisions are carried out", PATIENCE, async || {
            let (retry, discard) = (LetterStatus::Retry, LetterStatus::Discard);
            let left = [self.letters(retry).await, self.letters(discard).await].concat();
            left.is_empty().then_some(())
        })
        .await;
    }

    /// Fails unless store and announcements are what the log folds to. Everything is folded and announced.
    pub(crate) async fn check(&self, gaps: bool) {
        let records = log::read_all(self.log.as_ref(), Topic::Events).await;
        let discarded = self.letters(LetterStatus::Discarded).await;
        let discarded = discarded.iter().map(|letter| letter.record.position).collect();
        let expected = Expected::of(&records, PARTITIONS, &discarded);
        for (at, end) in
            self.progress().await.iter().zip(self.log.end_offsets(Topic::Events).await.unwrap())
        {
            assert_eq!((at.partition, at.next), (end.partition, end.offset));
            assert_eq!(at.announced, at.next, "partition {} is not all announced", at.partition);
        }
        let mut stored = self.store.scan(None, 10_000).await.unwrap();
        stored.sort_by_key(|snapshot| snapshot.order_id);
        let orders = expected.orders.values().map(|(order, position)| StoredSnapshot {
            order_id: order.id,
            bytes: codec::encode_snapshot(order),
            position: *position,
        });
        assert_eq!(stored, orders.collect::<Vec<_>>());
        for (order, rows) in &expected.history {
            assert_eq!(&self.store.history(*order).await.unwrap(), rows);
        }
        assert_eq!(self.store.count().await.unwrap(), expected.dead_letters);
        let told = log::read_all(self.log.as_ref(), Topic::StateChanged).await;
        check_announcements(&told, &expected, gaps);
    }
}

pub(crate) fn parts(
    log: Arc<dyn EventLog>,
    store: Arc<dyn OrderStore>,
    dead_letters: Arc<dyn DeadLetters>,
) -> Parts {
    let health = Health::default().reporter("projector");
    let (clock, measures) = (Arc::new(TestClock::default()), Measures::default());
    Parts { log, store, dead_letters, clock, health, measures }
}

/// A projector at work.
pub(crate) struct Running {
    projector: JoinHandle<Result<(), Error>>,
    stop: CancellationToken,
}

impl Running {
    pub(crate) fn start(parts: Parts, settings: Settings) -> Self {
        let stop = CancellationToken::new();
        let projector = tokio::spawn(projector::run(parts, settings, stop.clone()));
        Self { projector, stop }
    }

    /// Tells it to stop, and waits until it is done.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(PATIENCE, self.projector).await;
        ended.expect("it stops").unwrap().unwrap();
    }
}
