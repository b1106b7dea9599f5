//! What is found, counted and told, by partitions that are verified side by side.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Compared, Difference, Tell, Verification};

/// What the partitions have in common.
pub(super) struct Shared<'a> {
    tell: Mutex<Tell<'a>>,
    compared: Mutex<Compared>,
    progress: Option<&'a (dyn Fn(Compared) + Send + Sync)>,
}

impl<'a> Shared<'a> {
    pub(super) fn new(
        tell: Tell<'a>,
        progress: Option<&'a (dyn Fn(Compared) + Send + Sync)>,
        of: u64,
    ) -> Self {
        let compared = Compared { records: 0, of, held: 0 };
        Self { tell: Mutex::new(tell), compared: Mutex::new(compared), progress }
    }
}

/// What was found of one partition, or of what is looked at after all of them.
pub(super) struct Findings<'a, 'b> {
    pub(super) counted: Verification,
    shared: &'a Shared<'b>,
    held: usize,
}

impl<'a, 'b> Findings<'a, 'b> {
    pub(super) fn new(shared: &'a Shared<'b>) -> Self {
        Self { counted: Verification::default(), shared, held: 0 }
    }

    pub(super) fn differs(&mut self, difference: Difference) {
        self.counted.differences += 1;
        (locked(&self.shared.tell))(difference);
    }

    /// So many more records are compared, and so many orders of this partition are held now.
    pub(super) fn compared(&mut self, records: usize, held: usize) {
        let told = {
            let mut compared = locked(&self.shared.compared);
            compared.records += u64::try_from(records).unwrap_or(u64::MAX);
            compared.held = compared.held.saturating_sub(self.held).saturating_add(held);
            *compared
        };
        self.held = held;
        if let Some(progress) = self.shared.progress {
            progress(told);
        }
    }
}

/// Whoever panicked meanwhile has left nothing half done.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
