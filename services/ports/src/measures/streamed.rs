//! Orders of a stream: each is noted by its stream, which shares nothing, and added to what others measured together with more.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Measured, Measures, bounded, interval::Metric, lock, placed};

/// Orders that a stream notes before it adds them up, with one lock.
const NOTED_MAX: usize = 128;

/// Watches the orders of one stream. What it noted is added up once it is enough, or [`StreamedOrders::rests`], or dropped.
#[derive(Debug)]
pub struct StreamedOrders {
    measures: Measures,
    /// That of the order which was read last: mostly the next one's, too, which then allocates nothing.
    load_test_type: Option<Arc<str>>,
    noted: Vec<Noted>,
}

/// An order that was read off a stream and has no result yet.
#[derive(Debug)]
pub struct ReadOrder {
    at: Instant,
    load_test_type: Option<Arc<str>>,
}

#[derive(Debug)]
struct Noted {
    outcome: Measured,
    load_test_type: Option<Arc<str>>,
    latency: Duration,
}

impl StreamedOrders {
    pub(super) const fn new(measures: Measures) -> Self {
        Self { measures, load_test_type: None, noted: Vec::new() }
    }

    /// An order with this label is read now.
    #[must_use]
    pub fn read(&mut self, load_test_type: Option<&str>) -> ReadOrder {
        let load_test_type = load_test_type.filter(|_| self.measures.is_on());
        if self.load_test_type.as_deref() != load_test_type {
            self.load_test_type = load_test_type.map(bounded).map(Arc::from);
        }
        ReadOrder { at: Instant::now(), load_test_type: self.load_test_type.clone() }
    }

    /// The order has its result now; how long it took.
    pub fn ends(&mut self, order: ReadOrder, outcome: Measured) -> Duration {
        let latency = order.at.elapsed();
        if self.measures.is_on() {
            self.noted.push(Noted { outcome, load_test_type: order.load_test_type, latency });
            if self.noted.len() >= NOTED_MAX {
                self.rests();
            }
        }
        latency
    }

    /// Nothing is to be done at the moment: what was noted is added up.
    pub fn rests(&mut self) {
        if self.noted.is_empty() {
            return;
        }
        if let Some(shared) = self.measures.shared() {
            let mut streamed = lock(&shared.streamed);
            for alike in self.noted.chunk_by(Noted::is_like) {
                let Some(Noted { outcome, load_test_type, .. }) = alike.first() else { continue };
                let series = placed(Metric::PlaceOrders, *outcome);
                let latencies = alike.iter().map(|noted| noted.latency);
                streamed.record(&shared.empty, series, load_test_type.as_deref(), latencies);
            }
        }
        self.noted.clear();
    }
}

impl Noted {
    fn is_like(&self, other: &Self) -> bool {
        self.outcome == other.outcome && self.load_test_type == other.load_test_type
    }
}

impl Drop for StreamedOrders {
    fn drop(&mut self) {
        self.rests();
    }
}
