//! What the roles measure, added up where it happens: how long placing and state updates take, how many there are.
//!
//! Whoever works on an order only adds to a histogram in memory, and waits for nothing but another one who does. What came
//! together is taken out by someone else, once an interval.

mod interval;
mod streamed;
mod taken;

use std::{
    iter, mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use events::{EventKind, OrderDetails, State};

use self::interval::{Interval, Latencies, Metric, Series};

pub use self::{
    streamed::{ReadOrder, StreamedOrders},
    taken::{Taken, Told},
};

/// The label by which orders of load tests are told apart.
pub const LOAD_TEST_TYPE: &str = "load_test_type";

/// What orders of more load tests than are told apart go under.
pub const OTHER_LOAD_TESTS: &str = "other";

/// A label of an order has 255 characters at most, of four bytes at most.
const LABEL_BYTES_MAX: usize = 255 * 4;

/// Where a process records what it measures. Clones share it. By default nothing is recorded.
#[derive(Clone, Debug, Default)]
pub struct Measures(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    on: AtomicBool,
    /// Apart from the others: a batch of updates must not hold up who places an order.
    placed: Mutex<Interval>,
    streamed: Mutex<Interval>,
    updated: Mutex<Interval>,
    mails_sent: AtomicU64,
    mails_failed: AtomicU64,
    /// A histogram without values, which new ones are made like.
    empty: Latencies,
}

/// Whether what was measured did what was wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Measured {
    Success,
    Failure,
}

impl Measured {
    /// The name in documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
        }
    }
}

impl Measures {
    /// Records.
    #[must_use]
    pub fn on() -> Self {
        let shared = |empty| Shared {
            on: AtomicBool::new(true),
            placed: Mutex::default(),
            streamed: Mutex::default(),
            updated: Mutex::default(),
            mails_sent: AtomicU64::new(0),
            mails_failed: AtomicU64::new(0),
            empty,
        };
        // There always is one: its bounds are constants, and a test makes it.
        Self(interval::latencies().map(shared).map(Arc::new))
    }

    /// Whether it records.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.shared().is_some()
    }

    /// Forgets everything and records no more, in every clone.
    pub fn turn_off(&self) {
        if let Some(shared) = &self.0 {
            shared.on.store(false, Ordering::Relaxed);
            drop(self.take());
        }
    }

    /// Watches a call that places an order with this label, from now until it is dropped.
    #[must_use]
    pub fn placing(&self, load_test_type: Option<&str>) -> Placing {
        let shared = self.shared().cloned();
        // Only orders of load tests have one: no other call allocates here.
        let load_test_type =
            load_test_type.filter(|_| shared.is_some()).map(bounded).map(str::to_owned);
        Placing { shared, load_test_type, began: Instant::now(), outcome: Measured::Failure }
    }

    /// Watches the orders of one stream.
    #[must_use]
    pub fn streamed_orders(&self) -> StreamedOrders {
        StreamedOrders::new(self.clone())
    }

    /// For a batch of state updates, with one lock; `None` if nothing is recorded. Never held across an await.
    #[must_use]
    pub fn updates(&self) -> Option<Updates<'_>> {
        let shared = self.shared()?;
        Some(Updates { updated: lock(&shared.updated), empty: &shared.empty })
    }

    /// Counts a mail that was sent, or given up.
    pub fn mail(&self, outcome: Measured) {
        if let Some(shared) = self.shared() {
            let count = match outcome {
                Measured::Success => &shared.mails_sent,
                Measured::Failure => &shared.mails_failed,
            };
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes out what was recorded since the last time.
    #[must_use]
    pub fn take(&self) -> Taken {
        let Some(shared) = &self.0 else { return Taken::default() };
        // Replaced under the lock and looked at after it: nobody waits for that, and nothing is lost in between.
        let placed = mem::take(&mut *lock(&shared.placed));
        let streamed = mem::take(&mut *lock(&shared.streamed));
        let updated = mem::take(&mut *lock(&shared.updated));
        Taken {
            intervals: vec![placed, streamed, updated],
            mails_sent: shared.mails_sent.swap(0, Ordering::Relaxed),
            mails_failed: shared.mails_failed.swap(0, Ordering::Relaxed),
        }
    }

    fn shared(&self) -> Option<&Arc<Shared>> {
        self.0.as_ref().filter(|shared| shared.on.load(Ordering::Relaxed))
    }
}

/// Additions are never half done: what a thread that panicked left is whole.
fn lock(interval: &Mutex<Interval>) -> MutexGuard<'_, Interval> {
    interval.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One that is too long is of an order that is on its way to be refused.
fn bounded(load_test_type: &str) -> &str {
    if load_test_type.len() <= LABEL_BYTES_MAX { load_test_type } else { OTHER_LOAD_TESTS }
}

/// One call that places an order. Dropped without a word it counts as a failure: its caller gave up.
#[derive(Debug)]
pub struct Placing {
    shared: Option<Arc<Shared>>,
    load_test_type: Option<String>,
    began: Instant,
    outcome: Measured,
}

impl Placing {
    /// The call ends now, with this result.
    pub fn ends<T, E>(mut self, result: &Result<T, E>) {
        if result.is_ok() {
            self.outcome = Measured::Success;
        }
    }
}

impl Drop for Placing {
    fn drop(&mut self) {
        let Some(shared) = &self.shared else { return };
        let series = placed(Metric::PlaceOrder, self.outcome);
        let latency = iter::once(self.began.elapsed());
        lock(&shared.placed).record(&shared.empty, series, self.load_test_type.as_deref(), latency);
    }
}

/// The series of orders that were placed, or were to be.
const fn placed(metric: Metric, outcome: Measured) -> Series {
    Series { metric, event: EventKind::OrderPlaced, outcome, state: Some(State::Placed) }
}

/// A batch of state updates on its way in.
#[derive(Debug)]
pub struct Updates<'a> {
    updated: MutexGuard<'a, Interval>,
    empty: &'a Latencies,
}

impl Updates<'_> {
    /// An event of this kind was applied, or rejected, and leaves an order with this label in this state.
    pub fn record(
        &mut self,
        event: EventKind,
        outcome: Measured,
        state: Option<State>,
        load_test_type: Option<&str>,
        latency: Duration,
    ) {
        let series = Series { metric: Metric::StateUpdate, event, outcome, state };
        self.updated.record(self.empty, series, load_test_type, iter::once(latency));
    }
}

/// The load test that an order is of, by its label.
#[must_use]
pub fn load_test_type(details: &OrderDetails) -> Option<&str> {
    let mut labels = details.labels().iter();
    labels.find(|(key, _)| key.as_str() == LOAD_TEST_TYPE).map(|(_, value)| value.as_str())
}

#[cfg(test)]
#[path = "measures_tests.rs"]
mod tests;
