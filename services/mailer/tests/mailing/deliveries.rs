//! A store of mails that gives mails and takes notes as a test says, and remembers how many it was given at a time.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use adapter_embedded::SqliteStore;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ports::{Delivery, DeliveryResult, DeliveryStore, Finished, NewDelivery, StoreError};
use tokio::sync::watch;

/// What becomes of notes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notes {
    Kept,
    /// They wait.
    Held,
    /// The store is beyond use.
    Damaged,
}

pub(crate) struct Deliveries {
    store: Arc<SqliteStore>,
    notes: watch::Sender<Notes>,
    is_closed: AtomicBool,
    noted: Mutex<Vec<Vec<Finished>>>,
}

impl Deliveries {
    pub(crate) fn of(store: Arc<SqliteStore>) -> Self {
        let notes = watch::Sender::new(Notes::Kept);
        Self { store, notes, is_closed: AtomicBool::default(), noted: Mutex::default() }
    }

    /// What becomes of notes from now on.
    pub(crate) fn notes(&self, notes: Notes) {
        self.notes.send_replace(notes);
    }

    /// Whether no mail is to be had here from now on.
    pub(crate) fn close(&self, is_closed: bool) {
        self.is_closed.store(is_closed, Ordering::Relaxed);
    }

    /// How many mails each note was about.
    pub(crate) fn noted(&self) -> Vec<usize> {
        self.noted.lock().unwrap().iter().map(Vec::len).collect()
    }

    /// What was said of mails, in order.
    pub(crate) fn words(&self) -> Vec<DeliveryResult> {
        self.noted.lock().unwrap().iter().flatten().map(|said| said.result.clone()).collect()
    }
}

#[async_trait]
impl DeliveryStore for Deliveries {
    async fn add(&self, deliveries: &[NewDelivery]) -> Result<(), StoreError> {
        self.store.add(deliveries).await
    }

    async fn claim(
        &self,
        now: DateTime<Utc>,
        lease: Duration,
        limit: usize,
    ) -> Result<Vec<Delivery>, StoreError> {
        if self.is_closed.load(Ordering::Relaxed) {
            return Ok(Vec::new());
        }
        self.store.claim(now, lease, limit).await
    }

    async fn finish(&self, now: DateTime<Utc>, finished: &[Finished]) -> Result<(), StoreError> {
        let mut notes = self.notes.subscribe();
        if *notes.wait_for(|notes| *notes != Notes::Held).await.unwrap() == Notes::Damaged {
            return Err(StoreError::Corrupt("bad page".to_owned()));
        }
        self.store.finish(now, finished).await?;
        self.noted.lock().unwrap().push(finished.to_vec());
        Ok(())
    }

    async fn next_due(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        self.store.next_due().await
    }

    async fn counts(&self) -> Result<(u64, u64, u64), StoreError> {
        self.store.counts().await
    }

    async fn pending(&self) -> Result<u64, StoreError> {
        self.store.pending().await
    }
}
