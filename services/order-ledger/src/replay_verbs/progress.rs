//! How far a replay is: bars on a terminal, lines elsewhere, JSON for programs, log lines for `serve`.

use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressStyle, style::TemplateError};
use replay::{PartitionReport, Phase, Report, Watch};

use crate::cli::Output;

/// How often a line is written while a phase goes on.
const EVERY: Duration = Duration::from_secs(5);
/// Partitions that are told of at once: those that are furthest behind.
const PARTITIONS_MAX: usize = 8;

/// Shows the reports of one replay.
pub(super) struct Progress {
    form: Form,
    shown: Mutex<Shown>,
}

enum Form {
    Bars(Box<Styles>),
    Lines,
    Json,
    Log,
}

struct Styles {
    counted: ProgressStyle,
    uncounted: ProgressStyle,
}

#[derive(Default)]
struct Shown {
    phase: Option<(Phase, bool)>,
    at: Option<Instant>,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// On stderr for people, on stdout for programs.
    pub(super) fn for_person_or_program(output: Output) -> Result<Self, TemplateError> {
        let form = match output {
            Output::Json => Form::Json,
            Output::Human if io::stderr().is_terminal() => Form::Bars(Box::new(Styles {
                counted: ProgressStyle::with_template(
                    "{prefix:>12} {bar:24} {percent:>3}%  {wide_msg}",
                )?,
                uncounted: ProgressStyle::with_template("{prefix:>12} {spinner} {wide_msg}")?,
            })),
            Output::Human => Form::Lines,
        };
        Ok(Self { form, shown: Mutex::default() })
    }

    /// As lines of the process's log.
    pub(super) fn for_log() -> Self {
        Self { form: Form::Log, shown: Mutex::default() }
    }

    /// What a replay is to tell.
    pub(super) fn watch(progress: &Arc<Self>) -> Watch {
        let progress = Arc::clone(progress);
        Arc::new(move |report| progress.show(report))
    }

    /// Leaves the last bar as it is.
    pub(super) fn end(&self) {
        if let Some(bar) = self.shown().bar.take() {
            bar.abandon();
        }
    }

    fn shown(&self) -> std::sync::MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, report: &Report) {
        let mut shown = self.shown();
        let begins = shown.phase.replace((report.phase, report.paused));
        let begins = begins != Some((report.phase, report.paused));
        let is_due = begins || shown.at.is_none_or(|at| at.elapsed() >= EVERY);
        // If whoever reads is gone the replay goes on all the same.
        match &self.form {
            Form::Json => {
                _ = serde_json::to_string(report).map(|line| writeln!(io::stdout(), "{line}"));
            }
            Form::Bars(styles) => {
                let Styles { counted, uncounted } = styles.as_ref();
                let style = if percent(report).is_some() { counted } else { uncounted };
                shown.draw(report, begins, style.clone());
            }
            Form::Lines if is_due => {
                _ = writeln!(io::stderr(), "generation {}, {}", report.generation, line(report));
            }
            Form::Log if is_due => {
                tracing::info!(
                    generation = report.generation,
                    progress = line(report),
                    "replaying"
                );
            }
            Form::Lines | Form::Log => return,
        }
        shown.at = Some(Instant::now());
    }
}

impl Shown {
    /// One bar a phase; those that are done stay above.
    fn draw(&mut self, report: &Report, begins: bool, style: ProgressStyle) {
        if begins && let Some(done) = self.bar.take() {
            done.abandon();
        }
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::new(100).with_style(style).with_prefix(name(report.phase));
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        bar.set_position(percent(report).unwrap_or_default());
        bar.set_message(details(report));
    }
}

/// What people call a phase.
pub(super) const fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::Loading => "loading",
        Phase::CatchingUp => "catching up",
        Phase::Verifying => "verifying",
        Phase::Indexing => "indexing",
        Phase::Following => "index follows",
        Phase::Cutting => "cutting over",
    }
}

/// What is counted in a phase.
const fn unit(phase: Phase) -> &'static str {
    match phase {
        Phase::Loading | Phase::CatchingUp | Phase::Verifying | Phase::Cutting => "events",
        Phase::Indexing | Phase::Following => "documents",
    }
}

/// The phase and how far it is, in a line.
pub(super) fn line(report: &Report) -> String {
    let percent = percent(report).map(|percent| format!("{percent}%"));
    let details = Some(details(report)).filter(|details| !details.is_empty());
    let told = percent.into_iter().chain(details).collect::<Vec<_>>().join(", ");
    let separator = if told.is_empty() { "" } else { ": " };
    format!("{}{separator}{told}", name(report.phase))
}

/// How much of the phase is done; `None` if it is not counted.
pub(super) fn percent(report: &Report) -> Option<u64> {
    if report.partitions.is_empty() {
        let signed = |number| i64::try_from(number).unwrap_or(i64::MAX);
        return report.total.map(|total| share(signed(report.records), signed(total)));
    }
    let sum = |of: fn(&PartitionReport) -> i64| report.partitions.iter().map(of).sum();
    Some(share(sum(|row| row.next), sum(|row| row.until)))
}

/// How many are left of what is counted.
fn left(report: &Report) -> u64 {
    let of_partitions = report.partitions.iter().map(lag).sum::<i64>();
    let of_total = report.total.unwrap_or_default().saturating_sub(report.records);
    u64::try_from(of_partitions).unwrap_or_default().max(of_total)
}

/// Records folded, or documents written, in a second of the phase; `None` before there are any.
pub(super) fn per_second(report: &Report) -> Option<u64> {
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is above 0")]
    let rate = (report.records as f64 / report.seconds.max(0.001)) as u64;
    Some(rate).filter(|rate| *rate > 0)
}

/// How many records are left in a partition.
pub(super) fn lag(row: &PartitionReport) -> i64 {
    row.until.saturating_sub(row.next).max(0)
}

fn share(next: i64, until: i64) -> u64 {
    let hundredths = next.max(0).saturating_mul(100).checked_div(until.max(0)).unwrap_or(100);
    u64::try_from(hundredths.min(100)).unwrap_or_default()
}

/// The rate, what is left of the time, and the partitions that are not through.
fn details(report: &Report) -> String {
    let mut details = Vec::new();
    if report.paused {
        details.push("paused: `order-ledger replay resume` lets it go on".to_owned());
    }
    if let Some(rate) = per_second(report) {
        details.push(format!("{} {}/s", HumanCount(rate), unit(report.phase)));
        let left = left(report).checked_div(rate).unwrap_or_default();
        if left > 0 {
            details.push(format!("{} left", HumanDuration(Duration::from_secs(left))));
        }
    }
    details.extend(behind(&report.partitions));
    details.join(", ")
}

/// The partitions that are furthest behind, as many as fit: `p0 95% p1 97%`.
fn behind(partitions: &[PartitionReport]) -> Option<String> {
    let mut behind: Vec<_> = partitions.iter().filter(|row| lag(row) > 0).collect();
    behind.sort_by_key(|row| std::cmp::Reverse(lag(row)));
    let more = behind.len().saturating_sub(PARTITIONS_MAX);
    behind.truncate(PARTITIONS_MAX);
    behind.sort_by_key(|row| row.partition);
    let row =
        |row: &&PartitionReport| format!("p{} {}%", row.partition, share(row.next, row.until));
    let mut told: Vec<_> = behind.iter().map(row).collect();
    if more > 0 {
        told.push(format!("and {more} more"));
    }
    (!told.is_empty()).then(|| told.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(phase: Phase, partitions: &[(i64, i64)]) -> Report {
        let row = |(partition, (next, until)): (u32, &(i64, i64))| PartitionReport {
            partition,
            next: *next,
            until: *until,
        };
        Report {
            generation: 2,
            phase,
            paused: false,
            records: 30_000,
            total: None,
            seconds: 2.0,
            partitions: (0..).zip(partitions).map(row).collect(),
        }
    }

    #[test]
    fn a_line_says_how_far_how_fast_how_long_and_who_is_behind() {
        let loading = report(Phase::Loading, &[(50_000, 200_000), (50_000, 50_000), (0, 0)]);
        assert_eq!(line(&loading), "loading: 40%, 15,000 events/s, 10 seconds left, p0 25%");
        let paused = Report { paused: true, records: 0, ..report(Phase::CatchingUp, &[(7, 7)]) };
        let hint = "paused: `order-ledger replay resume` lets it go on";
        assert_eq!(line(&paused), format!("catching up: 100%, {hint}"));
        let indexing = Report { total: Some(120_000), ..report(Phase::Indexing, &[]) };
        assert_eq!(line(&indexing), "indexing: 25%, 15,000 documents/s, 6 seconds left");
        let verifying = Report { records: 0, ..report(Phase::Verifying, &[]) };
        assert_eq!(line(&verifying), "verifying");
        let indexing = Report { total: Some(40_000), ..report(Phase::Indexing, &[]) };
        assert_eq!(line(&indexing), "indexing: 75%, 15,000 documents/s");
    }

    #[test]
    fn of_many_partitions_those_furthest_behind_are_told() {
        let rows: Vec<_> = (0..20).map(|n| (n, 100)).collect();
        let told = behind(&report(Phase::Loading, &rows).partitions).unwrap();
        assert_eq!(told, "p0 0% p1 1% p2 2% p3 3% p4 4% p5 5% p6 6% p7 7% and 12 more");
    }
}
