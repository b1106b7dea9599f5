//! What came of a run, for people; `document` has the same for programs.

pub(super) mod document;

use std::{
    io::{self, Write},
    time::Duration,
};

use hdrhistogram::Histogram;

use super::{
    plan::{Pace, Plan},
    tally::{Calls, Tally},
};
use crate::table;

/// The quantiles that are told, by name.
pub(super) const QUANTILES: [(&str, f64); 5] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];

/// A run that is over.
pub(super) struct Report<'a> {
    pub(super) plan: &'a Plan,
    pub(super) tally: &'a Tally,
    /// By a signal.
    pub(super) ended_early: bool,
    pub(super) placed_instead: u64,
}

impl Report<'_> {
    /// Whether every call that was due was made and succeeded, those of the warm-up included.
    pub(super) fn is_clean(&self) -> bool {
        let tally = self.tally;
        tally.failed() == 0 && tally.warm_up_failed == 0 && tally.not_started() == 0
    }

    /// Whether there are times at which calls were due.
    const fn is_open(&self) -> bool {
        match self.plan.pace {
            Pace::Rate { .. } => true,
            Pace::Callers(_) => false,
        }
    }

    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{}", self.plan.told())?;
        self.write_calls(out)?;
        let Tally { placed, warm_up_answered, warm_up_failed, held_up, .. } = self.tally;
        let not_started = self.tally.not_started();
        writeln!(out, "{placed} orders placed")?;
        if *warm_up_answered > 0 {
            writeln!(
                out,
                "{warm_up_answered} calls in the warm-up, {warm_up_failed} failed; not in the table"
            )?;
        }
        if self.placed_instead > 0 {
            let instead = self.placed_instead;
            writeln!(
                out,
                "{instead} calls placed an order because there was none to read or to move"
            )?;
        }
        if *held_up > 0 {
            writeln!(
                out,
                "{held_up} calls were started late: as many as --in-flight-max were under way"
            )?;
        }
        if not_started > 0 {
            writeln!(
                out,
                "{not_started} calls were due and not started before the end, for the same reason"
            )?;
        }
        self.write_failures(out)?;
        if self.ended_early {
            writeln!(out, "a signal ended it early")?;
        }
        Ok(())
    }

    fn write_calls(&self, out: &mut impl Write) -> io::Result<()> {
        let names = QUANTILES.map(|(name, _)| format!("{name} ms"));
        let [p50, p90, p99, p999, max] = names.each_ref().map(String::as_str);
        let header = ["call", "answered", "failed", "per second", "time", p50, p90, p99, p999, max];
        let mut rows = table::table(header);
        for (kind, calls) in &self.tally.by_kind {
            let per_second = format!("{:.1}", rate(calls.answered, self.tally.measured));
            let counts = [calls.answered.to_string(), calls.failed.to_string(), per_second];
            let first = std::iter::once(kind.name().to_owned()).chain(counts);
            let blank = std::iter::repeat_n(String::new(), 4);
            if self.is_open() {
                rows.add_row(first.chain(times("corrected", &calls.corrected)));
                rows.add_row(blank.chain(times("uncorrected", &calls.uncorrected)));
            } else {
                rows.add_row(first.chain(times("uncorrected", &calls.uncorrected)));
            }
        }
        writeln!(out, "{rows}")
    }

    fn write_failures(&self, out: &mut impl Write) -> io::Result<()> {
        if self.tally.failures.is_empty() {
            return Ok(());
        }
        let mut rows = table::table(["call", "code", "reason", "failed", "the first one said"]);
        for (cause, seen) in &self.tally.failures {
            let count = seen.count.to_string();
            let cells = [cause.kind.name(), cause.code, &cause.reason, &count, &seen.message];
            rows.add_row(cells);
        }
        writeln!(out, "{rows}")
    }
}

/// Calls a second.
pub(super) fn rate(calls: u64, time: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let calls = calls as f64;
    if time.is_zero() { 0.0 } else { calls / time.as_secs_f64() }
}

/// Which time it is, and its quantiles in milliseconds; nothing of what never was.
fn times(name: &'static str, of: &Histogram<u64>) -> impl Iterator<Item = String> {
    let quantiles = QUANTILES.map(|(_, quantile)| {
        if of.is_empty() {
            return String::new();
        }
        let micros = of.value_at_quantile(quantile);
        format!("{}.{:02}", micros / 1_000, micros % 1_000 / 10)
    });
    std::iter::once(name.to_owned()).chain(quantiles)
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
