//! The orders of a partition that are held while its log is read.
//!
//! An order is let go of once it is done, or if it was not touched for longest and there are too many. What is left of it
//! then is a few bits in a filter, which tells whether an order was there before; and its id, if it was not yet as stored.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use events::{Order, OrderId, State};
use fastbloom::BloomFilter;
use ports::{Offset, Position};

/// An order as the log says so far.
pub(super) struct Held {
    pub(super) order: Order,
    /// The last record that counted.
    pub(super) position: Position,
    /// It is not let go of before it is looked at at the end.
    pub(super) kept: bool,
}

struct Entry {
    held: Held,
    /// By which record: only an order's last entry among those touched counts.
    touched: Offset,
}

impl Entry {
    /// Whether it is done, and nothing speaks against letting go of it.
    const fn is_to_leave(&self) -> bool {
        !self.held.kept && is_done(self.held.order.state)
    }
}

const FILTER_HASHES: u32 = 4;
/// An order has five records or so, and ten bits of the filter are worth one in a hundred looked up in vain.
const FILTER_BITS_PER_RECORD: usize = 2;
/// Never less, that a small log is looked up in without fail.
const FILTER_BITS_MIN: usize = 1_024 * 1_024;

pub(super) struct Orders {
    /// How many there may be.
    max: usize,
    held: HashMap<OrderId, Entry>,
    touched: VecDeque<(Offset, OrderId)>,
    /// Done, and touched since the last were let go of.
    done: BTreeSet<OrderId>,
    kept: usize,
    /// Let go of though they were not as stored.
    again: HashSet<OrderId>,
    /// Every order that there was, and some that were not.
    seen: BloomFilter,
}

impl Orders {
    pub(super) fn new(max: usize, records: i64, filter_bits_max: usize) -> Self {
        let bits = usize::try_from(records).unwrap_or(0).saturating_mul(FILTER_BITS_PER_RECORD);
        let bits = bits.max(FILTER_BITS_MIN).min(filter_bits_max);
        Self {
            max,
            held: HashMap::new(),
            touched: VecDeque::new(),
            done: BTreeSet::new(),
            kept: 0,
            again: HashSet::new(),
            seen: BloomFilter::with_num_bits(bits).hashes(FILTER_HASHES),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    pub(super) fn get(&self, order: OrderId) -> Option<&Held> {
        self.held.get(&order).map(|entry| &entry.held)
    }

    /// Whether it was here before and is not held: it was let go of, or is taken for one that was.
    pub(super) fn may_be_let_go(&self, order: OrderId) -> bool {
        !self.held.contains_key(&order) && self.seen.contains(order.as_uuid().as_bytes())
    }

    /// Takes one out, to be put back after its next event.
    pub(super) fn take(&mut self, order: OrderId) -> Option<Held> {
        let entry = self.held.remove(&order)?;
        self.kept -= usize::from(entry.held.kept);
        Some(entry.held)
    }

    /// Puts one back that the record at `touched` was about.
    pub(super) fn put(&mut self, held: Held, touched: Offset) {
        let order = held.order.id;
        if is_done(held.order.state) {
            self.done.insert(order);
        }
        self.seen.insert(order.as_uuid().as_bytes());
        self.again.remove(&order);
        self.touched.push_back((touched, order));
        self.kept += usize::from(held.kept);
        self.held.insert(order, Entry { held, touched });
    }

    /// Holds one until the end, if there is room for such.
    pub(super) fn keep(&mut self, order: OrderId) {
        let Some(entry) = self.held.get_mut(&order) else { return };
        if entry.held.kept {
            return;
        }
        if self.kept < self.max.div_ceil(2) {
            entry.held.kept = true;
            self.kept += 1;
        } else {
            self.set_aside(order);
        }
    }

    /// Lets go of one that is to be looked at again.
    pub(super) fn set_aside(&mut self, order: OrderId) {
        if self.take(order).is_some() {
            self.again.insert(order);
        }
    }

    /// Those to let go of by now: done ones, once it is worth while, and the ones not touched for longest if there are
    /// too many.
    pub(super) fn leaving(&mut self, page: usize) -> Vec<OrderId> {
        let mut leaving = Vec::new();
        if self.done.len() >= page.min(self.max) || self.held.len() > self.max {
            let held = &self.held;
            let is_to_leave = |order: &OrderId| held.get(order).is_some_and(Entry::is_to_leave);
            leaving.extend(std::mem::take(&mut self.done).into_iter().filter(is_to_leave));
        }
        // More than there are too many, so that it is worth while.
        let max = self.max - self.max / 4;
        if self.held.len().saturating_sub(leaving.len()) > self.max {
            let mut left = self.held.len() - leaving.len();
            while left > max {
                let Some((touched, order)) = self.touched.pop_front() else { break };
                let entry = self.held.get(&order);
                if entry.is_some_and(|entry| {
                    entry.touched == touched && !entry.held.kept && !is_done(entry.held.order.state)
                }) {
                    leaving.push(order);
                    left -= 1;
                }
            }
        }
        if self.touched.len() > 8 * self.max {
            let held = &self.held;
            self.touched.retain(|(touched, order)| {
                held.get(order).is_some_and(|entry| entry.touched == *touched)
            });
        }
        leaving
    }

    /// Those that are to be compared at the end, in the order of their ids.
    pub(super) fn remaining(&self) -> BTreeSet<OrderId> {
        self.held.keys().chain(&self.again).copied().collect()
    }

    /// What tells, at the end, whether an order was there.
    pub(super) fn into_seen(self) -> BloomFilter {
        self.seen
    }
}

/// Whether an order is likely to be left alone from now on; a refund may come, and is not often.
const fn is_done(state: State) -> bool {
    matches!(state, State::Completed | State::Cancelled | State::Refunded)
}
