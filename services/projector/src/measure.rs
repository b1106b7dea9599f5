//! How long a batch's events took from the log to the store. Looks at what is committed anyway, and never fails.

use std::{collections::VecDeque, time::Duration};

use chrono::{DateTime, Utc};
use events::OrderId;
use ports::{
    Commit, HistoryOutcome, HistoryRow, LogRecord, Measured, Measures, Position, load_test_type,
};

/// When each record of a batch was appended, in the batch's order, but for those that are measured.
pub(crate) struct Appended(VecDeque<(Position, Option<DateTime<Utc>>)>);

impl Appended {
    pub(crate) fn of(records: &[LogRecord]) -> Self {
        Self(records.iter().map(|record| (record.position, record.appended_at)).collect())
    }

    /// Notes the delay of the newest record that is committed, and that of each event by what it did.
    pub(crate) fn measure(&mut self, commit: &Commit, committed_at: DateTime<Utc>, to: &Measures) {
        // Each record has become the one or the other.
        let count = commit.history.len().saturating_add(commit.dead_letters.len());
        let committed: Vec<_> = self.0.drain(..count.min(self.0.len())).collect();
        let delay = |appended_at: DateTime<Utc>| {
            (committed_at - appended_at).to_std().unwrap_or(Duration::ZERO)
        };
        if let Some(newest) = committed.iter().filter_map(|(_, appended_at)| *appended_at).max() {
            metrics::histogram!("order_ledger_projector_delay_seconds").record(delay(newest));
        }
        let Some(mut updates) = to.updates() else { return };
        // The rows are in the order of the records, of which some may have become dead letters.
        let mut appended = committed.iter();
        for row in &commit.history {
            let Some((_, appended_at)) = appended.find(|(at, _)| *at == row.position) else {
                return;
            };
            let (outcome, state) = match row.outcome {
                HistoryOutcome::Applied { to, .. } => (Measured::Success, Some(to)),
                HistoryOutcome::Rejected { state, .. } => (Measured::Failure, state),
                // Neither is an update: nothing came of it, or nothing yet.
                HistoryOutcome::Duplicate { .. } | HistoryOutcome::Parked { .. } => continue,
            };
            // A log that does not say when: the event counts, as if it had taken no time.
            let latency = appended_at.map_or(Duration::ZERO, delay);
            updates.record(row.kind, outcome, state, label(commit, row), latency);
        }
    }
}

/// The load test that the order of a row is of. An order that nothing was recorded of is not among the snapshots.
fn label<'a>(commit: &'a Commit, row: &HistoryRow) -> Option<&'a str> {
    let at = commit.snapshots.binary_search_by_key::<OrderId, _>(&row.order_id, |s| s.order.id);
    load_test_type(&commit.snapshots.get(at.ok()?)?.order.details)
}
