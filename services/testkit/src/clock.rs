//! Time and ids that a test decides.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use chrono::{DateTime, TimeDelta, Utc};
use ports::{Clock, IdSource};
use uuid::{Builder, Uuid};

use crate::sample;

/// A clock that stands still until the test moves it.
#[derive(Debug)]
pub struct TestClock(Mutex<DateTime<Utc>>);

impl TestClock {
    /// A clock that stands at `now`.
    #[must_use]
    pub const fn at(now: DateTime<Utc>) -> Self {
        Self(Mutex::new(now))
    }

    /// Puts the clock to `now`, forward or back.
    pub fn set(&self, now: DateTime<Utc>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// Moves the clock by `seconds`.
    pub fn advance(&self, seconds: i64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += TimeDelta::seconds(seconds);
    }
}

impl Default for TestClock {
    /// Stands at [`sample::at`]`(0)`.
    fn default() -> Self {
        Self::at(sample::at(0))
    }
}

impl Clock for TestClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ids that are the same on every run with the same seed, and sort in the order they were made.
#[derive(Debug)]
pub struct TestIds {
    seed: u64,
    made: AtomicU64,
}

impl TestIds {
    /// A source of ids that no source with another seed makes.
    #[must_use]
    pub const fn seeded(seed: u64) -> Self {
        Self { seed, made: AtomicU64::new(0) }
    }
}

impl IdSource for TestIds {
    fn fresh(&self) -> Uuid {
        let count = self.made.fetch_add(1, Ordering::Relaxed);
        let mut low = [0; 10];
        low[2..].copy_from_slice(&self.seed.to_be_bytes());
        Builder::from_unix_timestamp_millis(count, &low).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_repeat_by_seed_and_sort_as_made() {
        let made = |seed| -> Vec<Uuid> {
            let ids = TestIds::seeded(seed);
            (0..3).map(|_| ids.fresh()).collect()
        };
        assert_eq!(made(7), made(7));
        assert!(made(7).is_sorted());
        assert!(made(7).iter().all(|id| !made(8).contains(id)));
    }

    #[test]
    fn the_clock_goes_where_it_is_put() {
        let clock = TestClock::default();
        clock.advance(90);
        assert_eq!(clock.now(), sample::at(90));
        clock.set(sample::at(1));
        assert_eq!(clock.now(), sample::at(1));
    }
}
