//! Two copies of the log, compared order by order: the same records, byte for byte, in the same order.
//!
//! A copy may have another number of partitions, and other offsets. Memory is bounded: one pass over both keeps a head of a
//! chain for each order, of as many orders as fit, and the next pass goes on with those that did not. Only of orders that
//! differ are the records then looked at one by one. Nothing is written.

mod apart;
mod span;

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use bytes::Bytes;
use codec::record_digest;
use events::Digest;
use ports::{
    EventLog, LogError, LogRecord, Offset, Partition, Position, Reader, Topic, partition_for_key,
};
use serde::Serialize;

pub use self::apart::{LogChange, LogDifference};
use self::{
    apart::{Entry, Pair},
    span::Span,
};

/// A copy of `orders.events`, or the log itself.
#[async_trait]
pub trait LogCopy: Send + Sync {
    /// Of every partition, from 0, where it ends.
    async fn end_offsets(&self) -> Result<Vec<Position>, LogError>;

    /// Reads a partition from its start up to (not including) `until`.
    async fn read(&self, partition: Partition, until: Offset) -> Result<Box<dyn Reader>, LogError>;

    /// Whether it was taken off the log at some time, offsets included: then what the log has beyond its ends came later,
    /// if there are as many partitions.
    fn was_taken_off(&self) -> bool {
        false
    }
}

/// A log, as one of the two.
#[derive(Clone, Copy)]
pub struct WholeLog<'a>(pub &'a dyn EventLog);

#[async_trait]
impl LogCopy for WholeLog<'_> {
    async fn end_offsets(&self) -> Result<Vec<Position>, LogError> {
        self.0.end_offsets(Topic::Events).await
    }

    async fn read(&self, partition: Partition, until: Offset) -> Result<Box<dyn Reader>, LogError> {
        self.0.read(Topic::Events, partition, Offset::START, until).await
    }
}

/// What two copies have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// Orders, in either.
    pub orders: u64,
    /// Records of orders in the log.
    pub records: u64,
    /// Records of orders in the copy.
    pub copy_records: u64,
    /// Records of no order in the log: without key or value, or away from the home of their key.
    pub strays: u64,
    /// Records of no order in the copy.
    pub copy_strays: u64,
    /// Whether these were compared: partition by partition, if there are as many in both.
    pub strays_compared: bool,
    /// Records that came into the log after the copy was taken: not looked at.
    pub newer: u64,
    /// Orders, and partitions' strays, that are not the same.
    pub differences: u64,
}

/// How much is held at once.
#[derive(Clone, Copy)]
pub struct CompareSettings<'a> {
    /// Orders in one pass: some hundred bytes each.
    pub orders_max: usize,
    /// Records of orders that differ: some fifty bytes each.
    pub records_max: usize,
    /// Is told how many records were read, in all passes so far.
    pub progress: Option<&'a (dyn Fn(u64) + Send + Sync)>,
}

impl Default for CompareSettings<'_> {
    fn default() -> Self {
        // As many as a table of two to the power of twenty takes.
        Self { orders_max: 900_000, records_max: 1_000_000, progress: None }
    }
}

/// Compares, and tells of the first difference of each order that has one.
///
/// # Errors
/// One of the two can't be read.
pub async fn compare_logs<'a>(
    log: &'a dyn LogCopy,
    copy: &'a dyn LogCopy,
    settings: CompareSettings<'a>,
    tell: &mut (dyn FnMut(LogDifference) + Send),
) -> Result<Comparison, LogError> {
    let mut compared = Comparison::default();
    let (mut ends, copy_ends) = (log.end_offsets().await?, copy.end_offsets().await?);
    compared.strays_compared = ends.len() == copy_ends.len();
    if compared.strays_compared && copy.was_taken_off() {
        for (end, taken) in ends.iter_mut().zip(&copy_ends) {
            let newer = end.offset.0.saturating_sub(taken.offset.0);
            compared.newer += u64::try_from(newer).unwrap_or(0);
            end.offset = end.offset.min(taken.offset);
        }
    }
    let strays = compared.strays_compared;
    let log = Side { copy: log, ends, strays };
    let copy = Side { copy, ends: copy_ends, strays };
    let mut copies = Copies { log, copy, settings, read: 0 };
    let differing = copies.heads(&mut compared).await?;
    compared.differences = u64::try_from(differing.len()).unwrap_or(u64::MAX);
    copies.records(&differing, tell).await?;
    Ok(compared)
}

/// The first 16 bytes of a digest: enough to tell any two apart.
type Short = [u8; 16];

fn short(digest: Digest) -> Short {
    let [bytes @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = *digest.as_bytes();
    bytes
}

/// What was read of one order on one side.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Head {
    records: u32,
    head: Short,
}

impl Head {
    fn add(&mut self, record: Short) {
        self.records += 1;
        self.head = short(Digest::of([self.head, record].as_flattened()));
    }
}

/// One of the two.
struct Side<'a> {
    copy: &'a dyn LogCopy,
    ends: Vec<Position>,
    /// Strays are compared.
    strays: bool,
}

impl Side<'_> {
    /// Shows every record, with what it is compared under, if it is, and the key of its order, if it has one.
    async fn each(
        &self,
        mut see: impl FnMut(Option<Short>, Option<Bytes>, LogRecord) + Send,
    ) -> Result<(), LogError> {
        let partitions = u32::try_from(self.ends.len()).unwrap_or(u32::MAX);
        for Position { partition, offset: end } in &self.ends {
            let mut reader = self.copy.read(*partition, *end).await?;
            loop {
                let records = reader.next().await?;
                if records.is_empty() {
                    break;
                }
                for record in records {
                    let home = |key: &&Bytes| {
                        record.value.is_some() && partition_for_key(key, partitions) == *partition
                    };
                    match record.key.as_ref().filter(home) {
                        Some(key) => {
                            let id = short(Digest::of(key));
                            see(Some(id), Some(key.clone()), record);
                        }
                        None => {
                            let of = Digest::ZERO.chain(Digest::of(&partition.0.to_be_bytes()));
                            let id = self.strays.then(|| short(of));
                            see(id, None, record);
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// A record without its place, which may be another in a copy.
fn content(record: LogRecord) -> (Position, Short) {
    let position = record.position;
    let nowhere = Position { offset: Offset::START, ..position };
    (position, short(record_digest(&LogRecord { position: nowhere, ..record })))
}

struct Copies<'a> {
    log: Side<'a>,
    copy: Side<'a>,
    settings: CompareSettings<'a>,
    /// Records, in all passes.
    read: u64,
}

impl Copies<'_> {
    /// Whose records are not the same on both sides.
    async fn heads(&mut self, compared: &mut Comparison) -> Result<HashSet<Short>, LogError> {
        let (max, progress) = (self.settings.orders_max, self.settings.progress);
        let mut differing = HashSet::new();
        let mut next = Some(Span::ALL);
        let mut is_first = true;
        while let Some(mut span) = next {
            let mut heads: HashMap<Short, (Head, Head, bool)> = HashMap::new();
            for (side, is_log) in [(&self.log, true), (&self.copy, false)] {
                let read = &mut self.read;
                let counts = &mut *compared;
                let (heads, span) = (&mut heads, &mut span);
                let see = |id: Option<Short>, key: Option<Bytes>, record: LogRecord| {
                    tick(read, progress);
                    let is_order = key.is_some();
                    if is_first {
                        *match (is_log, is_order) {
                            (true, true) => &mut counts.records,
                            (true, false) => &mut counts.strays,
                            (false, true) => &mut counts.copy_records,
                            (false, false) => &mut counts.copy_strays,
                        } += 1;
                    }
                    let Some(id) = id.filter(|id| span.has(id)) else { return };
                    let (log, copy, _) = heads
                        .entry(id)
                        .or_insert_with(|| (Head::default(), Head::default(), is_order));
                    if is_log { log } else { copy }.add(content(record).1);
                    while heads.len() > max && span.halve() {
                        heads.retain(|id, _| span.has(id));
                    }
                };
                side.each(see).await?;
            }
            is_first = false;
            let orders = heads.values().filter(|(_, _, is_order)| *is_order).count();
            compared.orders += u64::try_from(orders).unwrap_or(u64::MAX);
            let apart = heads.into_iter().filter(|(_, (log, copy, _))| log != copy);
            differing.extend(apart.map(|(id, _)| id));
            next = span.next();
        }
        Ok(differing)
    }

    /// Looks at the records of those that differ.
    async fn records(
        &mut self,
        differing: &HashSet<Short>,
        tell: &mut (dyn FnMut(LogDifference) + Send),
    ) -> Result<(), LogError> {
        let (max, progress) = (self.settings.records_max, self.settings.progress);
        let mut next = (!differing.is_empty()).then_some(Span::ALL);
        while let Some(mut span) = next {
            let mut pairs: HashMap<Short, Pair> = HashMap::new();
            let mut held = 0;
            for (side, is_log) in [(&self.log, true), (&self.copy, false)] {
                let read = &mut self.read;
                let (pairs, span, held) = (&mut pairs, &mut span, &mut held);
                let see = |id: Option<Short>, key: Option<Bytes>, record: LogRecord| {
                    tick(read, progress);
                    let wanted = |id: &Short| span.has(id) && differing.contains(id);
                    let Some(id) = id.filter(wanted) else { return };
                    let (position, content) = content(record);
                    let pair = pairs.entry(id).or_insert_with(|| Pair::of(key.as_ref()));
                    let entries = if is_log { &mut pair.log } else { &mut pair.copy };
                    entries.push(Entry { position, content });
                    *held += 1;
                    while *held > max && span.halve() {
                        pairs.retain(|id, _| span.has(id));
                        *held = pairs.values().map(|pair| pair.log.len() + pair.copy.len()).sum();
                    }
                };
                side.each(see).await?;
            }
            let mut differences: Vec<_> =
                pairs.into_values().filter_map(Pair::first_difference).collect();
            differences.sort_by(|one, other| one.order.cmp(&other.order));
            differences.into_iter().for_each(&mut *tell);
            next = span.next();
        }
        Ok(())
    }
}

fn tick(read: &mut u64, progress: Option<&(dyn Fn(u64) + Send + Sync)>) {
    *read += 1;
    if let Some(progress) = progress.filter(|_| read.is_multiple_of(1_000)) {
        progress(*read);
    }
}
