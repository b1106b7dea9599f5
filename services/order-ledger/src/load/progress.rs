//! How a run goes, while it goes: a bar on a terminal, a line now and then elsewhere; on stderr either way.

use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::Arc,
    time::Duration,
};

use indicatif::{HumanCount, ProgressBar, ProgressStyle, style::TemplateError};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::task::AbortOnDropHandle;

use super::{
    plan::Plan,
    tally::{Board, Glance},
};

/// How often a line is written, and a bar drawn.
const LINE_EVERY: Duration = Duration::from_secs(5);
const BAR_EVERY: Duration = Duration::from_millis(200);

/// Tells until it is ended.
pub(super) struct Progress {
    teller: AbortOnDropHandle<()>,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Says what begins, and goes on to say how far it is.
    pub(super) fn start(plan: &Plan, board: &Arc<Board>) -> Result<Self, TemplateError> {
        // If no one reads it the run goes on all the same.
        _ = writeln!(io::stderr(), "{}", plan.told());
        let whole = plan.warm_up + plan.duration;
        let bar = io::stderr().is_terminal().then(|| bar(whole)).transpose()?;
        let every = if bar.is_some() { BAR_EVERY } else { LINE_EVERY };
        let (shown, board) = (bar.clone(), Arc::clone(board));
        let name = plan.load_test_type.clone();
        let teller = tokio::spawn(async move {
            let mut ticks = interval_at(Instant::now() + every, every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            let mut before = board.glance();
            loop {
                ticks.tick().await;
                let now = board.glance();
                match &shown {
                    Some(bar) => {
                        bar.set_position(now.elapsed.min(whole).as_secs());
                        bar.set_message(line(before, now));
                        // A rate over a whole second is one that can be read.
                        if now.elapsed.saturating_sub(before.elapsed) >= Duration::from_secs(1) {
                            before = now;
                        }
                    }
                    None => {
                        let (done, whole) = (now.elapsed.as_secs(), whole.as_secs());
                        let line = line(before, now);
                        _ = writeln!(io::stderr(), "load {name}: {done} of {whole} s: {line}");
                        before = now;
                    }
                }
            }
        });
        Ok(Self { teller: AbortOnDropHandle::new(teller), bar })
    }

    /// Leaves nothing of the bar.
    pub(super) fn end(self) {
        self.teller.abort();
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(whole: Duration) -> Result<ProgressBar, TemplateError> {
    let style = ProgressStyle::with_template("{bar:24} {pos}/{len} s  {wide_msg}")?;
    Ok(ProgressBar::new(whole.as_secs().max(1)).with_style(style))
}

/// What was done, and how fast since `before`.
fn line(before: Glance, now: Glance) -> String {
    let millis = now.elapsed.saturating_sub(before.elapsed).as_millis();
    let since = u128::from(now.answered.saturating_sub(before.answered));
    let rate = (since * 1_000).checked_div(millis).unwrap_or_default();
    let rate = HumanCount(u64::try_from(rate).unwrap_or(u64::MAX));
    let Glance { answered, failed, under_way, held_up, .. } = now;
    let mut line = format!(
        "{} calls answered, {rate}/s, {} failed, {} under way",
        HumanCount(answered),
        HumanCount(failed),
        HumanCount(under_way),
    );
    if held_up > 0 {
        line = format!("{line}, {} held up by --in-flight-max", HumanCount(held_up));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_many_how_fast_and_what_goes_wrong() {
        let before = Glance {
            elapsed: Duration::from_secs(5),
            answered: 1_000,
            failed: 0,
            under_way: 0,
            held_up: 0,
        };
        let elapsed = Duration::from_secs(10);
        let now = Glance { elapsed, answered: 7_000, under_way: 3, ..before };
        let fine = "7,000 calls answered, 1,200/s, 0 failed, 3 under way";
        assert_eq!(line(before, now), fine);
        let now = Glance { failed: 12, held_up: 40, ..now };
        let not =
            "7,000 calls answered, 1,200/s, 12 failed, 3 under way, 40 held up by --in-flight-max";
        assert_eq!(line(before, now), not);
    }
}
