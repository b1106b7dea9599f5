//! Folding an order again, from its history.

use chrono::{DateTime, Utc};
use codec::StateChange;
use events::{Event, Order, fold};
use ports::{
    Commit, HistoryOutcome, HistoryRow, LogRecord, NewRecord, Position, Refold, SnapshotRow,
    StoreError,
};

use crate::{Step, announcement, change, parked, step};

/// One recorded event of a history that is folded again.
pub struct Refolding<'a> {
    /// The order after it.
    pub order: &'a Order,
    /// When the order had come into its state before it; `None` for the first.
    pub entered_at_before: Option<DateTime<Utc>>,
    /// The event.
    pub event: &'a Event,
    /// Its row.
    pub row: &'a HistoryRow,
}

impl Refolding<'_> {
    /// What the projector tells of it.
    #[must_use]
    pub fn announcement(&self) -> Option<NewRecord> {
        Some(codec::state_change_record(&self.change()?))
    }

    /// What it did.
    #[must_use]
    pub fn change(&self) -> Option<StateChange> {
        let Self { order, entered_at_before, event, row } = self;
        change(order, *entered_at_before, event, row.outcome, row.position)
    }
}

/// Folds an order again from its history rows; `each` sees every recorded event.
///
/// # Errors
/// [`StoreError::Corrupt`] if a row's event can't be read.
pub fn refold(
    history: &[HistoryRow],
    mut each: impl FnMut(Refolding<'_>),
) -> Result<Option<Order>, StoreError> {
    let mut order: Option<Order> = None;
    for row in history.iter().filter(|row| !matches!(row.outcome, HistoryOutcome::Parked { .. })) {
        let event = event(row)?;
        let entered_at_before = order.as_ref().map(|order| order.entered_at);
        order = fold(order, &event).order;
        if let Some(order) = order.as_ref().filter(|_| row.outcome.is_recorded()) {
            each(Refolding { order, entered_at_before, event: &event, row });
        }
    }
    Ok(order)
}

/// A dead letter of an order, decided on.
#[derive(Debug)]
pub struct Decided {
    /// Where it stands.
    pub letter: Position,
    /// Its event, if it can be read by now; if not, the order goes on without it.
    pub event: Option<(LogRecord, Event)>,
    /// Where the next dead letter of the order stands that parks it still.
    pub parked_again: Option<Position>,
}

/// What a decision changes.
pub struct Refolded {
    /// To be stored with the partition's progress where it is; `partitions` is left to the caller.
    pub commit: Commit,
    /// To be announced once it is stored, in order.
    pub announcements: Vec<NewRecord>,
}

/// Folds an order from its whole history, in which a dead letter was decided on, up to the next one that parks it.
///
/// # Errors
/// [`StoreError::Corrupt`] if a row's event can't be read.
pub fn decided(history: Vec<HistoryRow>, decided: Decided) -> Result<Refolded, StoreError> {
    let Decided { letter, event: read, parked_again } = decided;
    let readable = read.is_some();
    let mut events = Vec::with_capacity(history.len().saturating_add(1));
    for row in history {
        events.push((record(&row), event(&row)?));
    }
    events.extend(read);
    events.sort_by_key(|(record, _)| record.position);
    let mut order: Option<Order> = None;
    let mut last = None;
    let (mut rows, mut announcements) = (Vec::new(), Vec::new());
    for (record, event) in events {
        let position = record.position;
        if parked_again.is_some_and(|parked| parked < position) {
            rows.push(parked(order.as_ref(), record, &event));
            continue;
        }
        let Step { order: after, row, entered_at_before } = step(order, record, &event);
        order = after;
        // What was before the letter stands as it stood.
        if position < letter {
            continue;
        }
        if let Some(order) = order.as_ref().filter(|_| row.outcome.is_recorded()) {
            let told = announcement(order, entered_at_before, &event, row.outcome, position);
            announcements.extend(told);
            last = Some(position);
        }
        rows.push(row);
    }
    let snapshot = order.zip(last);
    let snapshots = snapshot.map(|(order, position)| SnapshotRow {
        bytes: codec::encode_snapshot(&order),
        order,
        position,
    });
    let refold = Refold { letter, readable, history: rows };
    let commit = Commit {
        snapshots: snapshots.into_iter().collect(),
        refolds: vec![refold],
        ..Commit::default()
    };
    Ok(Refolded { commit, announcements })
}

/// The record of a row, as far as the fold is concerned.
fn record(row: &HistoryRow) -> LogRecord {
    LogRecord {
        position: row.position,
        appended_at: None,
        key: None,
        value: Some(row.event.clone()),
        headers: Vec::new(),
    }
}

fn event(row: &HistoryRow) -> Result<Event, StoreError> {
    codec::decode_event(&row.event).map_err(|error| {
        StoreError::Corrupt(format!(
            "history of order {} at {:?} {error}",
            row.order_id, row.position
        ))
    })
}
