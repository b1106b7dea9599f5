//! The pure step: records and the snapshots they touch go in, one commit and its announcements come out.
//!
//! The projector takes it a batch at a time, beside the store; a replay takes it an event at a time, in memory. Both make
//! the same of the same log.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use codec::{DecodeError, StateChange, StateChangeOutcome};
use events::{Event, Order, OrderId, Outcome, fold};
use ports::{
    Commit, Consumer, DeadLetter, DeadLetterReason, HistoryOutcome, HistoryRow, LogRecord,
    NewRecord, Offset, Partition, PartitionCommit, Position, Progress, SnapshotRow, StoreError,
    Topic, partition_for_key,
};

/// Records on their way to a commit: each one decoded, or given up with its reason.
pub struct Projection {
    events: Vec<(LogRecord, Event)>,
    dead_letters: Vec<DeadLetter>,
    moved: BTreeMap<Partition, Offset>,
}

/// What a batch of records changes.
pub struct Projected {
    /// To be stored, all or nothing.
    pub commit: Commit,
    /// To be announced once it is stored, in order per order.
    pub announcements: Vec<NewRecord>,
    /// How many events of this batch were rejected though they were facts.
    pub anomalies: u64,
}

impl Projection {
    /// Decodes records of `orders.events`, which has `partitions` partitions. What can't be read becomes a dead letter
    /// given up at `now`, never an error (promise 10).
    #[must_use]
    pub fn decode(records: Vec<LogRecord>, partitions: u32, now: DateTime<Utc>) -> Self {
        let mut projection = Self {
            events: Vec::with_capacity(records.len()),
            dead_letters: Vec::new(),
            moved: BTreeMap::new(),
        };
        for record in records {
            projection.moved.insert(record.position.partition, record.position.offset.next());
            match decode(record, partitions, now) {
                Ok(event) => projection.events.push(event),
                Err(dead_letter) => projection.dead_letters.push(*dead_letter),
            }
        }
        projection
    }

    /// The orders whose snapshots the fold needs, each once.
    #[must_use]
    pub fn orders(&self) -> Vec<OrderId> {
        let mut orders: Vec<_> = self.events.iter().map(|(_, event)| event.order_id).collect();
        orders.sort_unstable();
        orders.dedup();
        orders
    }

    /// Folds every event, in log order, into the snapshots loaded for [`Self::orders`].
    #[must_use]
    pub fn fold(
        self,
        mut snapshots: HashMap<OrderId, Order>,
        progress: &BTreeMap<Partition, Progress>,
    ) -> Projected {
        let mut touched: BTreeMap<OrderId, Position> = BTreeMap::new();
        let mut history = Vec::with_capacity(self.events.len());
        let mut announcements = Vec::with_capacity(self.events.len());
        let mut anomalies = 0;
        for (record, event) in self.events {
            let before = snapshots.remove(&event.order_id);
            let anomalies_before = before.as_ref().map_or(0, |order| order.anomalies);
            let Step { order, row } = step(before, record, &event);
            if let Some(order) = order {
                if row.outcome.is_recorded() {
                    announcements.extend(announcement(&order, &event, row.outcome, row.position));
                    anomalies += u64::from(order.anomalies.saturating_sub(anomalies_before));
                    touched.insert(order.id, row.position);
                }
                snapshots.insert(order.id, order);
            }
            history.push(row);
        }
        let snapshots = touched
            .into_iter()
            .filter_map(|(id, position)| Some((snapshots.remove(&id)?, position)))
            .map(|(order, position)| SnapshotRow {
                bytes: codec::encode_snapshot(&order),
                order,
                position,
            })
            .collect();
        let partitions = self
            .moved
            .into_iter()
            .filter_map(|(partition, next)| {
                let Progress { next: expected, announced, .. } = *progress.get(&partition)?;
                Some(PartitionCommit { partition, expected, next, announced })
            })
            .collect();
        let dead_letters = self.dead_letters;
        Projected {
            commit: Commit { partitions, snapshots, history, dead_letters },
            announcements,
            anomalies,
        }
    }
}

/// What one event makes of an order.
pub struct Step {
    /// The order afterwards; `None` only if it is unknown.
    pub order: Option<Order>,
    /// What became of the event.
    pub row: HistoryRow,
}

/// Folds one event and writes down what became of it.
#[must_use]
pub fn step(before: Option<Order>, record: LogRecord, event: &Event) -> Step {
    let position = record.position;
    let folded = fold(before, event);
    let state = folded.order.as_ref().map(|order| order.state);
    let outcome = match (folded.outcome, state) {
        (Outcome::Applied { from, to }, _) => HistoryOutcome::Applied { from, to },
        (Outcome::Duplicate, Some(state)) => HistoryOutcome::Duplicate { state },
        // The fold answers Duplicate only of an order that exists; were it not so, nothing is recorded.
        (Outcome::Duplicate, None) => HistoryOutcome::Rejected {
            reason: events::Rejection::UnknownOrder,
            state: None,
            recorded: false,
        },
        (Outcome::Rejected(reason), state) => {
            let recorded =
                folded.order.as_ref().and_then(|order| order.recorded.last()).is_some_and(|last| {
                    last.event_id == event.id && last.fingerprint == event.fingerprint
                });
            HistoryOutcome::Rejected { reason, state, recorded }
        }
    };
    let row = HistoryRow {
        order_id: event.order_id,
        position,
        version: folded.order.as_ref().map_or(0, |order| order.version.get()),
        event_id: event.id,
        kind: event.body.kind(),
        outcome,
        occurred_at: event.occurred_at,
        actor: event.actor.as_ref().map(ToString::to_string),
        event: record.value.unwrap_or_default(),
    };
    Step { order: folded.order, row }
}

/// The record that tells of a recorded event; derived from the event and the order after it, nothing else.
#[must_use]
pub fn announcement(
    order: &Order,
    event: &Event,
    outcome: HistoryOutcome,
    position: Position,
) -> Option<NewRecord> {
    let outcome = match outcome {
        HistoryOutcome::Applied { from, .. } => StateChangeOutcome::Applied { from },
        HistoryOutcome::Rejected { reason, .. } => StateChangeOutcome::Rejected(reason),
        HistoryOutcome::Duplicate { .. } => return None,
    };
    Some(codec::state_change_record(&StateChange {
        event_id: event.id,
        kind: event.body.kind(),
        outcome,
        actor: event.actor.as_ref().map_or_else(String::new, ToString::to_string),
        occurred_at: event.occurred_at,
        position,
        order: order.clone(),
    }))
}

/// Decodes one record of `orders.events`, which has `partitions` partitions.
///
/// # Errors
/// The dead letter that it is, given up at `now`.
pub fn decode(
    record: LogRecord,
    partitions: u32,
    now: DateTime<Utc>,
) -> Result<(LogRecord, Event), Box<DeadLetter>> {
    match read(&record, partitions) {
        Ok(event) => Ok((record, event)),
        Err((reason, detail)) => Err(Box::new(DeadLetter {
            consumer: Consumer::Projector,
            topic: Topic::Events,
            record,
            reason,
            detail,
            at: now,
        })),
    }
}

fn read(record: &LogRecord, partitions: u32) -> Result<Event, (DeadLetterReason, String)> {
    let Some(value) = &record.value else {
        return Err((DeadLetterReason::NoValue, "the record has no value".to_owned()));
    };
    let event = codec::decode_event(value).map_err(|error| {
        let reason = match error {
            DecodeError::UnknownType => DeadLetterReason::UnknownType,
            DecodeError::Malformed(_) | DecodeError::Invalid(_) => DeadLetterReason::Undecodable,
        };
        (reason, format!("the value {error}"))
    })?;
    let key = event.order_id.to_string();
    if record.key.as_deref() != Some(key.as_bytes()) {
        return Err((
            DeadLetterReason::ForeignKey,
            format!("the record's key is not the order id {key} of its value"),
        ));
    }
    let home = partition_for_key(key.as_bytes(), partitions);
    if home != record.position.partition {
        return Err((
            DeadLetterReason::WrongPartition,
            format!(
                "order {key} lives in partition {home}: the producer must partition by murmur2"
            ),
        ));
    }
    Ok(event)
}

/// Folds an order again from its history rows; `each` sees the order after every recorded event.
///
/// # Errors
/// [`StoreError::Corrupt`] if a row's event can't be read.
pub fn refold(
    history: &[HistoryRow],
    mut each: impl FnMut(&Order, &Event, &HistoryRow),
) -> Result<Option<Order>, StoreError> {
    let mut order = None;
    for row in history {
        let event = codec::decode_event(&row.event).map_err(|error| {
            StoreError::Corrupt(format!(
                "history of order {} at {:?} {error}",
                row.order_id, row.position
            ))
        })?;
        order = fold(order, &event).order;
        if let Some(order) = order.as_ref().filter(|_| row.outcome.is_recorded()) {
            each(order, &event, row);
        }
    }
    Ok(order)
}
