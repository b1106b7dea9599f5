//! Verification: the log folded again must equal every stored snapshot, byte for byte.
//!
//! One partition after the other, up to the offset that the store says is folded, so memory is bounded by the orders
//! of one partition. It shares nothing with the projector but the fold itself.

use std::collections::BTreeMap;

use events::{Order, OrderId, fold};
use ports::{
    EventLog, LogError, LogRecord, Offset, OrderStore, Partition, Position, StoreError,
    StoredSnapshot, Topic, partition_for_key,
};

/// The log or the store could not be read.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The log.
    #[error("can't read the event log")]
    Log(#[from] LogError),
    /// The store.
    #[error("can't read the state store")]
    Store(#[from] StoreError),
}

/// One order that is stored otherwise than the log says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which order.
    pub order_id: OrderId,
    /// In which way.
    pub kind: DifferenceKind,
}

/// How an order differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DifferenceKind {
    /// The log has it, the store does not.
    Missing,
    /// The store has it, the log does not.
    Unexpected,
    /// The stored bytes are not those of the fold.
    Snapshot,
    /// The stored position is not that of the order's last recorded event.
    Position,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = match self.kind {
            DifferenceKind::Missing => "is in the log, not in the store",
            DifferenceKind::Unexpected => "is in the store, not in the log",
            DifferenceKind::Snapshot => "has another snapshot than the log folds to",
            DifferenceKind::Position => "has another position than its last event",
        };
        write!(f, "order {} {what}", self.order_id)
    }
}

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// Records read, below the folded offsets.
    pub records: u64,
    /// Of these, records that are no event of an order that lives there.
    pub undecodable: u64,
    /// Records above the folded offsets: not projected yet, not looked at.
    pub behind: u64,
    /// Orders that the log has.
    pub orders: u64,
    /// Every order that is stored otherwise.
    pub differences: Vec<Difference>,
}

/// How many snapshots are compared at once.
const PAGE: usize = 1_000;

/// Folds everything below the stored offsets and compares. Orders that move meanwhile show up as differences: verify
/// a system at rest, or again.
///
/// # Errors
/// [`VerifyError`] if log or store can't be read.
pub async fn verify(
    log: &dyn EventLog,
    store: &dyn OrderStore,
) -> Result<Verification, VerifyError> {
    let mut found = Verification::default();
    let parts = parts(log, store).await?;
    let partitions = log.partitions(Topic::Events).await?;
    for part in &parts {
        found.behind += u64::try_from(part.end.0.saturating_sub(part.next.0)).unwrap_or(0);
        let folded = Folded::read(log, part, partitions).await?;
        found.records += folded.records;
        found.undecodable += folded.undecodable;
        found.orders += u64::try_from(folded.orders.len()).unwrap_or(u64::MAX);
        compare(store, &folded, &mut found.differences).await?;
    }
    // Most often the numbers say that the store holds nothing besides, and a second reading is spared.
    let missing = found.differences.iter().filter(|d| d.kind == DifferenceKind::Missing).count();
    let expected = found.orders.saturating_sub(u64::try_from(missing).unwrap_or(u64::MAX));
    if count(store).await? > expected {
        for part in &parts {
            let folded = Folded::read(log, part, partitions).await?;
            surplus(store, part.partition, partitions, &folded, &mut found.differences).await?;
        }
    }
    Ok(found)
}

/// One partition: how far it is folded, and how far it could be.
struct Part {
    partition: Partition,
    next: Offset,
    end: Offset,
}

async fn parts(log: &dyn EventLog, store: &dyn OrderStore) -> Result<Vec<Part>, VerifyError> {
    // The store first: what it has folded by now is in the log by then.
    let progress = store.progress(&[]).await?;
    let ends = log.end_offsets(Topic::Events).await?;
    Ok(ends
        .into_iter()
        .map(|Position { partition, offset: end }| {
            let folded = progress.iter().find(|progress| progress.partition == partition);
            Part { partition, next: folded.map_or(Offset::START, |progress| progress.next), end }
        })
        .collect())
}

/// The orders of one partition, folded.
#[derive(Default)]
struct Folded {
    orders: BTreeMap<OrderId, (Order, Position)>,
    records: u64,
    undecodable: u64,
}

impl Folded {
    async fn read(log: &dyn EventLog, part: &Part, partitions: u32) -> Result<Self, LogError> {
        let mut folded = Self::default();
        let mut reader = log.read(Topic::Events, part.partition, Offset::START, part.next).await?;
        loop {
            let records = reader.next().await?;
            if records.is_empty() {
                return Ok(folded);
            }
            for record in &records {
                folded.records += 1;
                folded.undecodable += u64::from(!folded.add(record, partitions));
            }
        }
    }

    /// Folds a record in; whether it is an event of an order that lives in its partition.
    fn add(&mut self, record: &LogRecord, partitions: u32) -> bool {
        let Some(event) = record.value.as_deref().and_then(|v| codec::decode_event(v).ok()) else {
            return false;
        };
        let key = event.order_id.to_string();
        if record.key.as_deref() != Some(key.as_bytes())
            || partition_for_key(key.as_bytes(), partitions) != record.position.partition
        {
            return false;
        }
        let (before, position) = match self.orders.remove(&event.order_id) {
            Some((order, position)) => (Some(order), position),
            None => (None, record.position),
        };
        let version = before.as_ref().map(|order| order.version);
        if let Some(order) = fold(before, &event).order {
            let moved = version != Some(order.version);
            let position = if moved { record.position } else { position };
            self.orders.insert(order.id, (order, position));
        }
        true
    }
}

/// Compares each order of a partition with what is stored of it.
async fn compare(
    store: &dyn OrderStore,
    folded: &Folded,
    differences: &mut Vec<Difference>,
) -> Result<(), StoreError> {
    let ids: Vec<_> = folded.orders.keys().copied().collect();
    for page in ids.chunks(PAGE) {
        let stored: BTreeMap<OrderId, StoredSnapshot> =
            store.load(page).await?.into_iter().map(|s| (s.order_id, s)).collect();
        for order_id in page {
            let Some((order, position)) = folded.orders.get(order_id) else { continue };
            let kind = match stored.get(order_id) {
                None => Some(DifferenceKind::Missing),
                Some(stored) if stored.bytes != codec::encode_snapshot(order) => {
                    Some(DifferenceKind::Snapshot)
                }
                Some(stored) if stored.position != *position => Some(DifferenceKind::Position),
                Some(_) => None,
            };
            differences.extend(kind.map(|kind| Difference { order_id: *order_id, kind }));
        }
    }
    Ok(())
}

/// How many orders are stored.
async fn count(store: &dyn OrderStore) -> Result<u64, StoreError> {
    let mut stored = 0;
    let mut page = store.scan(None, PAGE).await?;
    while let Some(last) = page.last().map(|snapshot| snapshot.order_id) {
        stored += u64::try_from(page.len()).unwrap_or(u64::MAX);
        page = store.scan(Some(last), PAGE).await?;
    }
    Ok(stored)
}

/// Looks for stored orders that would live in a partition, but are not there.
async fn surplus(
    store: &dyn OrderStore,
    partition: Partition,
    partitions: u32,
    folded: &Folded,
    differences: &mut Vec<Difference>,
) -> Result<(), StoreError> {
    let lives_here =
        |order: &OrderId| partition_for_key(order.to_string().as_bytes(), partitions) == partition;
    let mut page = store.scan(None, PAGE).await?;
    while let Some(last) = page.last().map(|snapshot| snapshot.order_id) {
        let ids = page.into_iter().map(|snapshot| snapshot.order_id);
        differences.extend(
            ids.filter(|id| lives_here(id) && !folded.orders.contains_key(id))
                .map(|order_id| Difference { order_id, kind: DifferenceKind::Unexpected }),
        );
        page = store.scan(Some(last), PAGE).await?;
    }
    Ok(())
}
