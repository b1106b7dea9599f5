//! A mailer on embedded parts in a folder of its own, and a mail server that does as the test says.

use std::{
    mem,
    sync::{Arc, Mutex},
    time::Duration,
};

use adapter_embedded::{SqliteLog, SqliteStore};
use async_trait::async_trait;
use bytes::Bytes;
use events::Event;
use mailer::{Error, Parts, Settings};
use ports::{
    DeadLetters, DeliveryStore as _, EventLog as _, Health, Mail, MailError, Mailer, Measures,
    NewRecord, OrderStore as _, Topic, TopicSettings,
};
use tempfile::TempDir;
use testkit::{TestClock, log, wait_for};
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::deliveries::Deliveries;

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Bench {
    pub(crate) log: Arc<SqliteLog>,
    pub(crate) store: Arc<SqliteStore>,
    /// The store's mails, as the mailer sees them.
    pub(crate) deliveries: Arc<Deliveries>,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) server: Arc<Server>,
    pub(crate) health: Health,
    pub(crate) settings: Settings,
    dir: TempDir,
}

pub(crate) struct Running {
    task: JoinHandle<Result<(), Error>>,
    stop: CancellationToken,
}

impl Bench {
    pub(crate) async fn open() -> Self {
        Self::open_in(tempfile::tempdir().unwrap(), Arc::default(), Arc::default()).await
    }

    /// As after a crash of the whole machine: nothing is kept but the files, the time and what the server has.
    pub(crate) async fn reopen(self) -> Self {
        let Self { log, store, deliveries, clock, server, dir, .. } = self;
        drop((log, store, deliveries));
        Self::open_in(dir, clock, server).await
    }

    async fn open_in(dir: TempDir, clock: Arc<TestClock>, server: Arc<Server>) -> Self {
        let log = SqliteLog::open(&dir.path().join("log.db")).await.unwrap();
        // One partition: what comes later in the log is read later.
        log.prepare(TopicSettings { partitions: Some(1), replication: None }).await.unwrap();
        let store = SqliteStore::open(&dir.path().join("state.db")).await.unwrap();
        store.prepare().await.unwrap();
        let (log, store) = (Arc::new(log), Arc::new(store));
        let deliveries = Arc::new(Deliveries::of(store.clone()));
        let settings = Settings {
            attempts_max: 3,
            look_again_after: Duration::from_millis(20),
            ..Settings::default()
        };
        Self { log, store, deliveries, clock, server, health: Health::default(), settings, dir }
    }

    pub(crate) fn start(&self) -> Running {
        self.start_with(self.deliveries.clone())
    }

    /// Starts a mailer, as another process would, that sees the store's mails in its own way.
    pub(crate) fn start_with(&self, deliveries: Arc<Deliveries>) -> Running {
        let parts = Parts {
            log: self.log.clone(),
            deliveries,
            dead_letters: self.store.clone(),
            mailer: self.server.clone(),
            clock: self.clock.clone(),
            health: self.health.reporter("mailer"),
            measures: Measures::default(),
        };
        let stop = CancellationToken::new();
        let task = tokio::spawn(mailer::run(parts, self.settings, stop.clone()));
        Running { task, stop }
    }

    pub(crate) async fn change(&self, events: &[Event]) {
        self.append(log::change_records(events)).await;
    }

    pub(crate) async fn append(&self, records: Vec<NewRecord>) {
        log::append(self.log.as_ref(), Topic::StateChanged, records).await;
    }

    pub(crate) async fn append_raw(&self, key: &str, value: &[u8]) {
        let (key, value) = (Bytes::copy_from_slice(key.as_bytes()), Bytes::copy_from_slice(value));
        self.append(vec![NewRecord { key, value, headers: Vec::new() }]).await;
    }

    /// Waits until so many mails are pending, sent and failed.
    pub(crate) async fn until_counts(&self, pending: u64, sent: u64, failed: u64) {
        let what = format!("{pending} mails pending, {sent} sent, {failed} failed");
        wait_for(&what, PATIENCE, async || {
            let counts = self.store.counts().await.unwrap();
            (counts == (pending, sent, failed)).then_some(())
        })
        .await;
    }

    /// As [`Bench::until_counts`], the time going by meanwhile.
    pub(crate) async fn until_counts_in_time(&self, pending: u64, sent: u64, failed: u64) {
        let what = format!("in time, {pending} mails pending, {sent} sent, {failed} failed");
        wait_for(&what, PATIENCE, async || {
            self.clock.advance(1);
            let counts = self.store.counts().await.unwrap();
            (counts == (pending, sent, failed)).then_some(())
        })
        .await;
    }

    pub(crate) async fn dead_letters(&self) -> u64 {
        DeadLetters::count(self.store.as_ref()).await.unwrap()
    }

    /// Why the mailer does not serve.
    pub(crate) fn down(&self) -> Option<String> {
        self.health.roles().remove(0).1
    }
}

impl Running {
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap().unwrap();
    }

    /// How it ends by itself.
    pub(crate) async fn ended(self) -> Result<(), Error> {
        tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap()
    }

    /// As `kill -9` would: nothing in hand is finished.
    pub(crate) async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

/// What a mail server does with a mail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    #[default]
    Takes,
    /// Takes the mail and does not say so, until it is told to speak.
    FallsSilent,
    /// Hangs up, and is away when it is asked whether it is there, once.
    Flaps,
    /// Takes the mail first.
    TakesAndFlaps,
    PutsOff,
    Refuses,
}

/// A mail server as seen through the port. The real one is tested with its adapter.
#[derive(Debug, Default)]
pub(crate) struct Server(Mutex<Inner>, Notify);

#[derive(Debug, Default)]
struct Inner {
    away: bool,
    mood: Mood,
    /// To whom the mood applies; everyone if empty.
    moody_about: String,
    taken: Vec<Mail>,
    flaps: usize,
    is_flapping: bool,
}

impl Server {
    pub(crate) fn away(&self, away: bool) {
        self.0.lock().unwrap().away = away;
    }

    pub(crate) fn mood(&self, mood: Mood, about: &str) {
        let mut inner = self.0.lock().unwrap();
        (inner.mood, inner.moody_about) = (mood, about.to_owned());
    }

    pub(crate) fn message_ids(&self) -> Vec<String> {
        self.0.lock().unwrap().taken.iter().map(|mail| mail.message_id.clone()).collect()
    }

    /// How often it hung up before it had a mail.
    pub(crate) fn flaps(&self) -> usize {
        self.0.lock().unwrap().flaps
    }

    /// Says of each mail that it was silent about that it was taken.
    pub(crate) fn speaks(&self) {
        self.1.notify_waiters();
    }

    fn receive(&self, mail: &Mail) -> Result<Mood, MailError> {
        let mut inner = self.0.lock().unwrap();
        if inner.away {
            return Err(MailError::Transient("connection refused".to_owned()));
        }
        let moody = inner.moody_about.is_empty() || mail.to.as_str() == inner.moody_about;
        let mood = if moody { inner.mood } else { Mood::Takes };
        match mood {
            Mood::Takes | Mood::FallsSilent => inner.taken.push(mail.clone()),
            Mood::Flaps => {
                inner.flaps += 1;
                inner.is_flapping = true;
                return Err(MailError::Transient("connection closed".to_owned()));
            }
            Mood::TakesAndFlaps => {
                inner.taken.push(mail.clone());
                inner.is_flapping = true;
                return Err(MailError::Unanswered("connection closed".to_owned()));
            }
            Mood::PutsOff => return Err(MailError::Transient("451 greylisted".to_owned())),
            Mood::Refuses => return Err(MailError::Refused("550 no such user".to_owned())),
        }
        Ok(mood)
    }
}

#[async_trait]
impl Mailer for Server {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        // From before the test can see the mail.
        let speaks = self.1.notified();
        if self.receive(mail)? == Mood::FallsSilent {
            speaks.await;
        }
        Ok(())
    }

    async fn ping(&self) -> Result<(), MailError> {
        let mut inner = self.0.lock().unwrap();
        if mem::take(&mut inner.is_flapping) || inner.away {
            return Err(MailError::Transient("connection refused".to_owned()));
        }
        Ok(())
    }
}
