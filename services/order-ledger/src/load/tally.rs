//! What is counted while calls are made: how many, how they ended, how long they took.
//!
//! Two times of each call are kept apart. The *uncorrected* one runs from when the call was started: it is what one caller
//! sees. The *corrected* one runs from when the call was due: if the server stalls, those who would have come meanwhile
//! wait as well, and a generator that waits with them must not leave that out (coordinated omission). A closed loop has no
//! times at which calls are due, so it has no corrected ones.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hdrhistogram::{CreationError, Histogram};
use tokio::time::Instant;

use super::mix::CallKind;
use crate::client::Refused;

/// The longest time that is told apart, and how finely: three digits of any.
const MICROS_MAX: u64 = 3_600_000_000;
const DIGITS: u8 = 3;

/// How a call ended.
pub(super) struct Answer {
    /// What was called in the end: an order is placed if there is none to move or read.
    pub(super) kind: CallKind,
    pub(super) failure: Option<Refused>,
}

/// Calls of one kind, warm-up left out.
pub(super) struct Calls {
    pub(super) answered: u64,
    /// Of those answered.
    pub(super) failed: u64,
    /// Due, and not started before the end.
    pub(super) not_started: u64,
    /// Microseconds from the start of each call, failed ones too.
    pub(super) uncorrected: Histogram<u64>,
    /// Microseconds from when each call was due. One that was not started counts with what it had waited by the end:
    /// the least that it could have been.
    pub(super) corrected: Histogram<u64>,
}

impl Calls {
    fn new() -> Result<Self, CreationError> {
        let histogram = || Histogram::new_with_bounds(1, MICROS_MAX, DIGITS);
        let (uncorrected, corrected) = (histogram()?, histogram()?);
        Ok(Self { answered: 0, failed: 0, not_started: 0, uncorrected, corrected })
    }
}

/// Failures that are the same for whoever looks for the cause.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cause {
    pub(super) kind: CallKind,
    pub(super) code: &'static str,
    /// Of `google.rpc.ErrorInfo`; empty if there is none.
    pub(super) reason: String,
}

/// How often, and what the first one said.
pub(super) struct Seen {
    pub(super) count: u64,
    pub(super) message: String,
}

/// Everything that a run counts.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) by_kind: BTreeMap<CallKind, Calls>,
    /// Of the warm-up too.
    pub(super) failures: BTreeMap<Cause, Seen>,
    pub(super) warm_up_answered: u64,
    pub(super) warm_up_failed: u64,
    /// Orders that the server acknowledged, in the warm-up too.
    pub(super) placed: u64,
    /// Calls that waited because as many as allowed were under way.
    pub(super) held_up: u64,
    /// From the end of the warm-up to the last answer.
    pub(super) measured: Duration,
    started: u64,
}

impl Tally {
    pub(super) fn answered(&self) -> u64 {
        self.by_kind.values().map(|calls| calls.answered).sum()
    }

    pub(super) fn failed(&self) -> u64 {
        self.by_kind.values().map(|calls| calls.failed).sum()
    }

    pub(super) fn not_started(&self) -> u64 {
        self.by_kind.values().map(|calls| calls.not_started).sum()
    }

    /// That there is none is the fault of bounds that are constants, so it is left out and not told.
    fn of(&mut self, kind: CallKind) -> Option<&mut Calls> {
        use std::collections::btree_map::Entry;
        match self.by_kind.entry(kind) {
            Entry::Occupied(calls) => Some(calls.into_mut()),
            Entry::Vacant(none) => Calls::new().ok().map(|calls| none.insert(calls)),
        }
    }
}

/// How far it is, for whoever watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Glance {
    pub(super) elapsed: Duration,
    pub(super) answered: u64,
    pub(super) failed: u64,
    pub(super) under_way: u64,
    pub(super) held_up: u64,
}

/// Where all calls of a run are counted, from its begin.
pub(super) struct Board {
    begin: Instant,
    measured_from: Instant,
    tally: Mutex<Tally>,
}

impl Board {
    /// The run begins now.
    pub(super) fn new(warm_up: Duration) -> Self {
        let begin = Instant::now();
        Self { begin, measured_from: begin + warm_up, tally: Mutex::default() }
    }

    pub(super) const fn begin(&self) -> Instant {
        self.begin
    }

    pub(super) fn started(&self) {
        self.tally().started += 1;
    }

    pub(super) fn held_up(&self) {
        self.tally().held_up += 1;
    }

    /// A call that was due then (if it was due at all), started then, and ended now.
    pub(super) fn answered(&self, answer: &Answer, due: Option<Instant>, started: Instant) {
        let now = Instant::now();
        let has_failed = answer.failure.is_some();
        let mut tally = self.tally();
        if answer.kind == CallKind::Place && !has_failed {
            tally.placed += 1;
        }
        if let Some(refused) = &answer.failure {
            let reason = refused.reason().to_owned();
            let cause = Cause { kind: answer.kind, code: refused.code(), reason };
            let first = || Seen { count: 0, message: refused.to_string() };
            tally.failures.entry(cause).or_insert_with(first).count += 1;
        }
        if due.unwrap_or(started) < self.measured_from {
            tally.warm_up_answered += 1;
            tally.warm_up_failed += u64::from(has_failed);
            return;
        }
        tally.measured = now.duration_since(self.measured_from);
        let Some(calls) = tally.of(answer.kind) else { return };
        calls.answered += 1;
        calls.failed += u64::from(has_failed);
        calls.uncorrected.saturating_record(micros(now - started));
        if let Some(due) = due {
            calls.corrected.saturating_record(micros(now - due));
        }
    }

    /// A call that was due then, and for which there was no room until now, the end.
    pub(super) fn not_started(&self, kind: CallKind, due: Instant) {
        let waited = due.elapsed();
        if let Some(calls) = self.tally().of(kind) {
            calls.not_started += 1;
            calls.corrected.saturating_record(micros(waited));
        }
    }

    pub(super) fn glance(&self) -> Glance {
        let tally = self.tally();
        let answered = tally.answered() + tally.warm_up_answered;
        Glance {
            elapsed: self.begin.elapsed(),
            answered,
            failed: tally.failed() + tally.warm_up_failed,
            under_way: tally.started.saturating_sub(answered),
            held_up: tally.held_up,
        }
    }

    /// All that was counted.
    pub(super) fn take(&self) -> Tally {
        std::mem::take(&mut *self.tally())
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
