//! A batch of records, from their bytes to a commit.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use events::{Event, EventKind, Order, OrderId};
use ports::{
    Checkpoint, Commit, DeadLetter, HistoryRow, LetterStatus, LogRecord, NewRecord, Partition,
    PartitionCommit, Position, Progress, SnapshotRow, TraceId, Traceparent,
};

use crate::{Chain, Discarded, Entry, Step, announcement, parked, step};

/// The most bytes that are announced of one commit, but for the last announcement. Each has a whole order in it, which may have
/// half a million bytes, and a batch has thousands of events: those of ordinary orders stay far below this.
pub const ANNOUNCED_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Records on their way to a commit: each one decoded, or given up with its reason.
pub struct Projection {
    entries: Vec<Entry>,
}

/// What the store knows of the orders of a batch.
#[derive(Debug, Default)]
pub struct Known {
    /// As they stand.
    pub snapshots: HashMap<OrderId, Order>,
    /// Those that wait for a decision on a dead letter.
    pub parked: HashSet<OrderId>,
}

/// What a batch of records changes.
pub struct Projected {
    /// To be stored, all or nothing.
    pub commit: Commit,
    /// To be announced once it is stored, in order per order. Each is part of its event's trace.
    pub announcements: Vec<NewRecord>,
    /// The events of this batch that were rejected though they were facts.
    pub anomalies: Vec<Anomaly>,
    /// The records of this batch that are part of a trace.
    pub traced: Vec<Traced>,
    /// The records that are left, if the announcements have come to [`ANNOUNCED_BYTES_MAX`]: the next batch, to be folded
    /// once this one is stored. The commit stands before them.
    pub rest: Option<Projection>,
}

/// A fact that did not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// Its place among the history rows of the commit.
    pub row: usize,
    /// The trace that it is part of.
    pub trace_id: Option<TraceId>,
}

/// A record that is part of a trace, and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traced {
    /// What it goes on from.
    pub parent: Traceparent,
    /// Where it stands.
    pub position: Position,
    /// Its order and its event, if it could be read.
    pub event: Option<(OrderId, EventKind)>,
    /// What the history calls what became of it; of a dead letter, the reason.
    pub outcome: &'static str,
    /// The place among the announcements of what it announces, if it does.
    pub announcement: Option<usize>,
}

impl Projection {
    /// Reads each record as [`Entry::read`] does.
    #[must_use]
    pub fn decode(
        records: Vec<LogRecord>,
        partitions: u32,
        now: DateTime<Utc>,
        discarded: &Discarded,
    ) -> Self {
        let entry = |record| Entry::read(record, partitions, now, discarded);
        Self { entries: records.into_iter().map(entry).collect() }
    }

    /// The orders that the fold must know, each once.
    #[must_use]
    pub fn orders(&self) -> Vec<OrderId> {
        let mut orders: Vec<_> = self.entries.iter().filter_map(Entry::order_id).collect();
        orders.sort_unstable();
        orders.dedup();
        orders
    }

    /// Folds events, in log order, into what is known of [`Self::orders`]: every one, unless their announcements are large.
    #[must_use]
    pub fn fold(self, known: Known, progress: &BTreeMap<Partition, Progress>) -> Projected {
        let mut fold = Fold { known, ..Fold::default() };
        let mut entries = self.entries.into_iter();
        while fold.announced_bytes < ANNOUNCED_BYTES_MAX
            && let Some(entry) = entries.next()
        {
            match entry {
                Entry::Event(record, event) => {
                    fold.passes(&record, progress);
                    fold.event(record, &event);
                }
                Entry::Dead(letter) => {
                    fold.passes(&letter.record, progress);
                    fold.dead_letter(*letter);
                }
            }
        }
        let rest = Self { entries: entries.collect() };
        Projected { rest: (!rest.entries.is_empty()).then_some(rest), ..fold.finish() }
    }
}

/// A fold on its way through a batch.
#[derive(Default)]
struct Fold {
    known: Known,
    partitions: BTreeMap<Partition, (PartitionCommit, Chain)>,
    touched: BTreeMap<OrderId, Position>,
    history: Vec<HistoryRow>,
    dead_letters: Vec<DeadLetter>,
    checkpoints: Vec<Checkpoint>,
    announcements: Vec<NewRecord>,
    announced_bytes: usize,
    anomalies: Vec<Anomaly>,
    traced: Vec<Traced>,
}

impl Fold {
    fn passes(&mut self, record: &LogRecord, progress: &BTreeMap<Partition, Progress>) {
        let partition = record.position.partition;
        let Some(stands) = progress.get(&partition).copied() else { return };
        let Progress { next, announced, digest, .. } = stands;
        let (step, chain) = self.partitions.entry(partition).or_insert_with(|| {
            let expected = stands.place();
            let step = PartitionCommit { partition, expected, next, announced, digest };
            (step, Chain::at(partition, next, digest))
        });
        self.checkpoints.extend(chain.add(record));
        step.next = record.position.offset.next();
        step.digest = chain.digest();
    }

    fn event(&mut self, record: LogRecord, event: &Event) {
        let traceparent = Traceparent::of(&record.headers);
        let (row, announced) = self.fold(record, event, traceparent);
        self.traced.extend(traceparent.map(|parent| Traced {
            parent,
            position: row.position,
            event: Some((row.order_id, row.kind)),
            outcome: row.outcome.name(),
            announcement: announced,
        }));
        self.history.push(row);
    }

    /// The row of an event, and the place of what it announces.
    fn fold(
        &mut self,
        record: LogRecord,
        event: &Event,
        traceparent: Option<Traceparent>,
    ) -> (HistoryRow, Option<usize>) {
        let Known { snapshots, parked: waiting } = &mut self.known;
        if waiting.contains(&event.order_id) {
            return (parked(snapshots.get(&event.order_id), record, event), None);
        }
        let before = snapshots.remove(&event.order_id);
        let anomalies_before = before.as_ref().map_or(0, |order| order.anomalies);
        let Step { order, row, entered_at_before } = step(before, record, event);
        let mut announced = None;
        if let Some(order) = order {
            if row.outcome.is_recorded() {
                let (outcome, position) = (row.outcome, row.position);
                let told = announcement(&order, entered_at_before, event, outcome, position);
                if let Some(mut told) = told {
                    if let Some(traceparent) = traceparent {
                        traceparent.put(&mut told.headers);
                    }
                    announced = Some(self.announcements.len());
                    self.announced_bytes = self.announced_bytes.saturating_add(told.value.len());
                    self.announcements.push(told);
                }
                if order.anomalies > anomalies_before {
                    let trace_id = traceparent.map(Traceparent::trace_id);
                    self.anomalies.push(Anomaly { row: self.history.len(), trace_id });
                }
                self.touched.insert(order.id, row.position);
            }
            snapshots.insert(order.id, order);
        }
        (row, announced)
    }

    fn dead_letter(&mut self, letter: DeadLetter) {
        if letter.status != LetterStatus::Discarded {
            self.known.parked.extend(letter.parks);
        }
        self.traced.extend(Traceparent::of(&letter.record.headers).map(|parent| Traced {
            parent,
            position: letter.record.position,
            event: None,
            outcome: letter.reason.name(),
            announcement: None,
        }));
        self.dead_letters.push(letter);
    }

    fn finish(self) -> Projected {
        let Self { mut known, touched, history, dead_letters, checkpoints, .. } = self;
        let snapshots = touched
            .into_iter()
            .filter_map(|(id, position)| Some((known.snapshots.remove(&id)?, position)))
            .map(|(order, position)| SnapshotRow {
                bytes: codec::encode_snapshot(&order),
                order,
                position,
            })
            .collect();
        let partitions = self.partitions.into_values().map(|(step, _)| step).collect();
        let refolds = Vec::new();
        Projected {
            commit: Commit { partitions, snapshots, history, dead_letters, checkpoints, refolds },
            announcements: self.announcements,
            anomalies: self.anomalies,
            traced: self.traced,
            rest: None,
        }
    }
}
