//! What was last found in the stores, for whoever ships it.

use std::{
    collections::{BTreeMap, HashMap},
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ports::{Consumer, Partition};

use super::lag::Lag;

/// What was found: how far each partition is behind, and what waits for someone.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) lags: BTreeMap<Partition, Lag>,
    pub(super) waiting: HashMap<Consumer, Waiting>,
}

/// What waits for someone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) dead_letters_open: u64,
    /// The mailer's.
    pub(super) mails_pending: Option<u64>,
}

/// Shared by who measures and who ships.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen(Arc<Mutex<Found>>);

impl Seen {
    pub(super) fn lag(&self, partition: Partition, lag: Lag) {
        self.found().lags.insert(partition, lag);
    }

    pub(super) fn waiting(&self, consumer: Consumer, waiting: Waiting) {
        self.found().waiting.insert(consumer, waiting);
    }

    /// Takes out what was found since the last time.
    pub(super) fn take(&self) -> Found {
        mem::take(&mut *self.found())
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
