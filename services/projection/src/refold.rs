//! Folding an order again, from its history.

use chrono::{DateTime, Utc};
use codec::StateChange;
use events::{Event, Order, fold};
use ports::{
    Commit, HistoryOutcome, HistoryRow, LogRecord, NewRecord, Position, Refold, SnapshotRow,
    StoreError,
};

use crate::{Step, change, parked, step};

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
    let mut refolder = Refolder::default();
    for row in history {
        refolder.row(row, &mut each)?;
    }
    Ok(refolder.order)
}

/// The same, row by row, for who does not hold a whole history, or all that it tells of.
#[derive(Debug, Default)]
pub struct Refolder {
    order: Option<Order>,
}

impl Refolder {
    /// Folds the order's next row in; `each` sees its event if it is recorded.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if the row's event can't be read.
    pub fn row(
        &mut self,
        row: &HistoryRow,
        each: impl FnOnce(Refolding<'_>),
    ) -> Result<(), StoreError> {
        if is_parked(row) {
            return Ok(());
        }
        let event = event(row)?;
        self.event(row, &event).map(each);
        Ok(())
    }

    /// Folds in what the order's next row is about; tells of it if it is recorded.
    fn event<'a>(&'a mut self, row: &'a HistoryRow, event: &'a Event) -> Option<Refolding<'a>> {
        let before = self.order.take();
        let entered_at_before = before.as_ref().map(|order| order.entered_at);
        self.order = fold(before, event).order;
        let order = self.order.as_ref().filter(|_| row.outcome.is_recorded())?;
        Some(Refolding { order, entered_at_before, event, row })
    }
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
    /// The order before all of it.
    before: Option<Order>,
    /// The events of the history that is stored anew, row by row.
    events: Vec<Event>,
}

impl Refolded {
    /// To be announced once it is stored, in order. Each has a whole order in it, and is made when it is asked for.
    pub fn announcements(&self) -> impl Iterator<Item = NewRecord> {
        let mut refolder = Refolder { order: self.before.clone() };
        let rows = self.commit.refolds.iter().flat_map(|refold| &refold.history);
        let rows = rows.zip(&self.events).filter(|(row, _)| !is_parked(row));
        rows.filter_map(move |(row, event)| refolder.event(row, event)?.announcement())
    }
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
    let (mut order, mut before, mut last): (Option<Order>, Option<Order>, _) = (None, None, None);
    let (mut rows, mut folded) = (Vec::new(), Vec::new());
    for (record, event) in events {
        let position = record.position;
        if rows.is_empty() && position >= letter {
            before.clone_from(&order);
        }
        if parked_again.is_some_and(|parked| parked < position) {
            rows.push(parked(order.as_ref(), record, &event));
            folded.push(event);
            continue;
        }
        let Step { order: after, row, .. } = step(order, record, &event);
        order = after;
        // What was before the letter stands as it stood.
        if position < letter {
            continue;
        }
        if order.is_some() && row.outcome.is_recorded() {
            last = Some(position);
        }
        rows.push(row);
        folded.push(event);
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
    Ok(Refolded { commit, before, events: folded })
}

const fn is_parked(row: &HistoryRow) -> bool {
    matches!(row.outcome, HistoryOutcome::Parked { .. })
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
