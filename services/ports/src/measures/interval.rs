//! The series of one interval, each with a histogram of its latencies. Bounded, whatever is recorded.

use std::{
    collections::{HashMap, hash_map::Entry},
    time::Duration,
};

use events::{EventKind, State};
use hdrhistogram::Histogram;

use super::{Measured, OTHER_LOAD_TESTS};

/// Microseconds, two digits of any: 13 KiB.
pub(super) type Latencies = Histogram<u32>;

const MICROS_MAX: u64 = 3_600_000_000;
const DIGITS: u8 = 2;

/// Load tests that are told apart in an interval; what is of others goes under [`OTHER_LOAD_TESTS`].
pub(super) const LOAD_TESTS_MAX: usize = 64;

/// Series that are told apart in an interval; what is of others goes, without its state, under [`OTHER_LOAD_TESTS`].
pub(super) const SERIES_MAX: usize = 1_024;

/// What latencies are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Metric {
    PlaceOrder,
    PlaceOrders,
    StateUpdate,
}

impl Metric {
    /// The name in documents.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::PlaceOrder => "PlaceOrder",
            Self::PlaceOrders => "PlaceOrders",
            Self::StateUpdate => "state_update",
        }
    }
}

/// What is added up together, load tests aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Series {
    pub(super) metric: Metric,
    pub(super) event: EventKind,
    pub(super) outcome: Measured,
    pub(super) state: Option<State>,
}

/// What came together of one series.
#[derive(Debug)]
pub(super) struct Sum {
    pub(super) latencies: Latencies,
    pub(super) longest: Duration,
}

/// The series of one load test, or of the orders of none.
#[derive(Debug)]
pub(super) struct OfLoadTest {
    pub(super) load_test_type: Option<Box<str>>,
    pub(super) sums: HashMap<Series, Sum>,
}

/// What was recorded since the last one was taken.
#[derive(Debug, Default)]
pub(super) struct Interval {
    /// Few: a search through all of them is as fast as any other.
    pub(super) load_tests: Vec<OfLoadTest>,
    series: usize,
}

/// A histogram without values; `None` would be a fault of its bounds.
pub(super) fn latencies() -> Option<Latencies> {
    Histogram::new_with_bounds(1, MICROS_MAX, DIGITS).ok()
}

impl Interval {
    /// Adds latencies of one series. Allocates only for what the interval has not seen yet.
    pub(super) fn record(
        &mut self,
        empty: &Latencies,
        series: Series,
        load_test_type: Option<&str>,
        latencies: impl Iterator<Item = Duration> + Clone,
    ) {
        if !self.add(empty, series, load_test_type, latencies.clone(), SERIES_MAX) {
            // As many as there are kinds of events at most.
            let series = Series { state: None, ..series };
            self.add(empty, series, Some(OTHER_LOAD_TESTS), latencies, usize::MAX);
        }
    }

    /// Whether there was room.
    fn add(
        &mut self,
        empty: &Latencies,
        series: Series,
        load_test_type: Option<&str>,
        latencies: impl Iterator<Item = Duration>,
        series_max: usize,
    ) -> bool {
        let at = self.load_test(load_test_type);
        let Some(of) = self.load_tests.get_mut(at) else { return false };
        let sum = match of.sums.entry(series) {
            Entry::Occupied(sum) => sum.into_mut(),
            Entry::Vacant(_) if self.series >= series_max => return false,
            Entry::Vacant(sum) => {
                self.series += 1;
                sum.insert(Sum::new(empty))
            }
        };
        latencies.for_each(|latency| sum.add(latency));
        true
    }

    /// Where its series are.
    fn load_test(&mut self, load_test_type: Option<&str>) -> usize {
        let find = |all: &[OfLoadTest], load_test_type: Option<&str>| {
            all.iter().position(|of| of.load_test_type.as_deref() == load_test_type)
        };
        if let Some(at) = find(&self.load_tests, load_test_type) {
            return at;
        }
        let named = self.load_tests.iter().filter(|of| of.load_test_type.is_some()).count();
        let load_test_type =
            load_test_type.map(|name| if named < LOAD_TESTS_MAX { name } else { OTHER_LOAD_TESTS });
        find(&self.load_tests, load_test_type).unwrap_or_else(|| {
            let load_test_type = load_test_type.map(Box::from);
            self.load_tests.push(OfLoadTest { load_test_type, sums: HashMap::new() });
            self.load_tests.len() - 1
        })
    }
}

impl Sum {
    fn new(empty: &Latencies) -> Self {
        Self { latencies: Histogram::new_from(empty), longest: Duration::ZERO }
    }

    fn add(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latencies.saturating_record(micros);
        self.longest = self.longest.max(latency);
    }
}
