//! The pure step: records go in; changes, dead letters and the offsets to commit come out.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use codec::StateChange;
use ports::{
    Consumer, DeadLetter, DeadLetterReason, LetterStatus, LogRecord, Offset, Partition, Position,
    Traceparent,
};

/// A state change and the record that it came in.
#[derive(Clone, Debug)]
pub struct Changed {
    /// As read; its value is what decoded into `change`.
    pub record: LogRecord,
    /// What happened.
    pub change: StateChange,
    /// What goes on from here is part of this trace: the record's, under the span of its processing if that has one.
    pub traceparent: Option<Traceparent>,
}

impl Changed {
    /// The change that a record tells, in the record's trace.
    pub(crate) fn of(record: LogRecord, change: StateChange) -> Self {
        let traceparent = Traceparent::of(&record.headers);
        Self { record, change, traceparent }
    }
}

/// A batch of records: each one decoded, or given up with its reason.
pub(crate) struct Batch {
    pub(crate) changes: Vec<Changed>,
    pub(crate) dead_letters: Vec<DeadLetter>,
    /// The next offset to read, per partition that the batch has records of.
    pub(crate) next: Vec<Position>,
}

impl Batch {
    /// Decodes records of `orders.state-changed`; what can't be read is given up at `now` (promise 10).
    pub(crate) fn decode(consumer: Consumer, records: Vec<LogRecord>, now: DateTime<Utc>) -> Self {
        let mut changes = Vec::with_capacity(records.len());
        let mut dead_letters = Vec::new();
        let mut next: BTreeMap<Partition, Offset> = BTreeMap::new();
        for record in records {
            next.insert(record.position.partition, record.position.offset.next());
            match read(&record) {
                Ok(change) => changes.push(Changed::of(record, change)),
                Err(Unreadable { reason, detail }) => {
                    dead_letters.push(dead_letter(consumer, record, reason, detail, now));
                }
            }
        }
        let next = next.into_iter().map(|(partition, offset)| Position { partition, offset });
        Self { changes, dead_letters, next: next.collect() }
    }

    /// When the oldest change of the batch happened.
    pub(crate) fn oldest(&self) -> Option<DateTime<Utc>> {
        self.changes.iter().map(|changed| changed.change.occurred_at).min()
    }
}

pub(crate) const fn dead_letter(
    consumer: Consumer,
    record: LogRecord,
    reason: DeadLetterReason,
    detail: String,
    at: DateTime<Utc>,
) -> DeadLetter {
    let (parks, status) = (None, LetterStatus::Open);
    DeadLetter { consumer, record, reason, detail, at, parks, status }
}

/// Why a record is no state change.
pub(crate) struct Unreadable {
    pub(crate) reason: DeadLetterReason,
    pub(crate) detail: String,
}

pub(crate) fn read(record: &LogRecord) -> Result<StateChange, Unreadable> {
    let unreadable = |reason, detail| Unreadable { reason, detail };
    let Some(value) = &record.value else {
        let detail = "the record has no value".to_owned();
        return Err(unreadable(DeadLetterReason::NoValue, detail));
    };
    let change = codec::decode_state_change(value)
        .map_err(|error| unreadable(DeadLetterReason::Undecodable, format!("the value {error}")))?;
    let key = change.order.id.to_string();
    if record.key.as_deref() != Some(key.as_bytes()) {
        let detail = format!("the record's key is not the order id {key} of its value");
        return Err(unreadable(DeadLetterReason::ForeignKey, detail));
    }
    Ok(change)
}

/// Each order's change of the highest version, in no order: the others tell what is past. Repeats and a version that
/// comes before a lower one change nothing about the result.
#[must_use]
pub fn newest<'a>(changes: impl IntoIterator<Item = &'a Changed>) -> Vec<&'a Changed> {
    let mut newest: HashMap<_, &Changed> = HashMap::new();
    for changed in changes {
        let order = &changed.change.order;
        newest
            .entry(order.id)
            .and_modify(|seen| {
                if order.version > seen.change.order.version {
                    *seen = changed;
                }
            })
            .or_insert(changed);
    }
    newest.into_values().collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use testkit::sample;

    use super::*;

    fn record(partition: u32, offset: i64, key: Option<&[u8]>, value: Option<Bytes>) -> LogRecord {
        LogRecord {
            position: Position { partition: Partition(partition), offset: Offset(offset) },
            appended_at: None,
            key: key.map(Bytes::copy_from_slice),
            value,
            headers: Vec::new(),
        }
    }

    fn good(order: u64, partition: u32, offset: i64) -> Vec<LogRecord> {
        let id = sample::order_id(order);
        (offset..)
            .zip(sample::changes(&sample::lifecycle(id)))
            .map(|(offset, change)| {
                let key = id.to_string();
                let value = codec::encode_state_change(&change);
                record(partition, offset, Some(key.as_bytes()), Some(value))
            })
            .collect()
    }

    #[test]
    fn every_record_is_a_change_or_a_dead_letter_and_moves_the_offset() {
        let mut records = good(1, 0, 10);
        let value = records[0].value.clone();
        records.push(record(0, 16, None, None));
        records.push(record(0, 17, Some(b"x"), Some(Bytes::from_static(b"\xff"))));
        records.push(record(3, 7, Some(b"someone else"), value));
        let batch = Batch::decode(Consumer::Search, records, sample::at(60));

        assert_eq!(batch.changes.len(), 6);
        let given_up: Vec<_> = batch
            .dead_letters
            .iter()
            .map(|letter| (letter.record.position.offset.0, letter.reason.name()))
            .collect();
        assert_eq!(given_up, [(16, "NoValue"), (17, "Undecodable"), (7, "ForeignKey")]);
        let next: Vec<_> = batch.next.iter().map(|at| (at.partition.0, at.offset.0)).collect();
        assert_eq!(next, [(0, 18), (3, 8)]);
        assert_eq!(batch.oldest(), Some(sample::at(0)));
    }

    #[test]
    fn the_newest_is_the_highest_version_in_whatever_order_they_come() {
        let mut records = good(1, 0, 0);
        records.extend(good(2, 0, 6));
        records.swap(4, 5);
        records.push(records[2].clone());
        let batch = Batch::decode(Consumer::Search, records, sample::at(60));
        let mut newest: Vec<_> = newest(&batch.changes)
            .into_iter()
            .map(|changed| (changed.change.order.id, changed.change.order.version.get()))
            .collect();
        newest.sort_unstable();
        let mut expected = vec![(sample::order_id(1), 6), (sample::order_id(2), 6)];
        expected.sort_unstable();
        assert_eq!(newest, expected);
    }
}
