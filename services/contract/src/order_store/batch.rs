//! A projector in small: folds events into the commit that stores them.

use std::collections::BTreeMap;

use bytes::Bytes;
use events::{Digest, Event, Order, OrderId, Outcome, fold};
use ports::{
    Commit, Epoch, HistoryOutcome, HistoryRow, Offset, OrderStore, Partition, PartitionCommit,
    Place, Position, Progress, SnapshotRow, StoredSnapshot,
};

pub(super) fn position(partition: u32, offset: i64) -> Position {
    Position { partition: Partition(partition), offset: Offset(offset) }
}

/// Where a partition stands of which nothing was written anew.
pub(crate) const fn place(next: i64) -> Place {
    Place { next: Offset(next), epoch: Epoch::FIRST }
}

/// The same commit of a projector that has read everything in a later epoch.
#[must_use]
pub fn in_epoch(epoch: i64, mut commit: Commit) -> Commit {
    for step in &mut commit.partitions {
        step.expected.epoch = Epoch(epoch);
    }
    commit
}

/// The step of a partition of which nothing is announced.
pub(super) const fn step(partition: u32, expected: i64, next: i64) -> PartitionCommit {
    PartitionCommit {
        partition: Partition(partition),
        expected: place(expected),
        next: Offset(next),
        announced: Offset::START,
        digest: Digest::ZERO,
    }
}

/// What a projector commits that reads `events` in `partition` from offset `from` on and knows no order yet.
#[must_use]
pub fn batch(partition: u32, from: i64, events: &[Event]) -> Commit {
    batch_after(&[], partition, from, events)
}

/// As [`batch`], of a projector that has folded `before` already.
#[must_use]
pub fn batch_after(before: &[Event], partition: u32, from: i64, events: &[Event]) -> Commit {
    let mut orders: BTreeMap<OrderId, Order> = BTreeMap::new();
    for event in before {
        let folded = fold(orders.remove(&event.order_id), event);
        orders.extend(folded.order.map(|order| (order.id, order)));
    }
    let mut snapshots = BTreeMap::new();
    let mut history = Vec::new();
    for (event, offset) in events.iter().zip(from..) {
        let position = position(partition, offset);
        let before = orders.remove(&event.order_id);
        let stood = before.as_ref().map(|order| order.state);
        let folded = fold(before, event);
        let outcome = match folded.outcome {
            Outcome::Applied { from, to } => HistoryOutcome::Applied { from, to },
            Outcome::Rejected(reason) => {
                HistoryOutcome::Rejected { reason, state: stood, recorded: folded.order.is_some() }
            }
            Outcome::Duplicate => HistoryOutcome::Duplicate { state: stood.unwrap() },
        };
        let version = folded.order.as_ref().map_or(0, |order| order.version.get());
        history.push(history_row(event, position, version, outcome));
        if let Some(order) = folded.order {
            snapshots.insert(order.id, snapshot_row(&order, position));
            orders.insert(order.id, order);
        }
    }
    let next = from + i64::try_from(events.len()).unwrap();
    Commit {
        partitions: vec![step(partition, from, next)],
        snapshots: snapshots.into_values().collect(),
        history,
        ..Commit::default()
    }
}

pub(super) fn snapshot_row(order: &Order, position: Position) -> SnapshotRow {
    SnapshotRow { order: order.clone(), bytes: codec::encode_snapshot(order), position }
}

pub(super) fn history_row(
    event: &Event,
    position: Position,
    version: u64,
    outcome: HistoryOutcome,
) -> HistoryRow {
    HistoryRow {
        order_id: event.order_id,
        position,
        version,
        event_id: event.id,
        kind: event.body.kind(),
        outcome,
        occurred_at: event.occurred_at,
        actor: event.actor.as_ref().map(ToString::to_string),
        event: codec::encode_event(event),
    }
}

/// Two commits of different partitions as one.
pub(super) fn together(mut one: Commit, other: Commit) -> Commit {
    one.partitions.extend(other.partitions);
    one.snapshots.extend(other.snapshots);
    one.history.extend(other.history);
    one.dead_letters.extend(other.dead_letters);
    one
}

/// What a load must give back of a snapshot row.
pub(super) fn stored(row: &SnapshotRow) -> StoredSnapshot {
    StoredSnapshot { order_id: row.order.id, bytes: row.bytes.clone(), position: row.position }
}

/// All progress, by partition.
pub(super) async fn progress(store: &dyn OrderStore) -> Vec<Progress> {
    let mut progress = store.progress(&[]).await.unwrap();
    progress.sort_by_key(|progress| progress.partition);
    progress
}

/// The next offsets of all partitions, by partition.
pub(super) async fn next_offsets(store: &dyn OrderStore) -> Vec<i64> {
    progress(store).await.into_iter().map(|progress| progress.next.0).collect()
}

/// The bytes of an order's snapshot, if it is there.
pub(super) async fn snapshot(store: &dyn OrderStore, order: OrderId) -> Option<Bytes> {
    let found = store.load(&[order]).await.unwrap();
    assert!(found.len() <= 1, "one order, one snapshot: {found:?}");
    found.into_iter().next().map(|snapshot| snapshot.bytes)
}

/// Asserts that a commit left nothing behind.
pub(super) async fn assert_absent(store: &dyn OrderStore, commit: &Commit) {
    for row in &commit.snapshots {
        assert_ne!(snapshot(store, row.order.id).await.as_ref(), Some(&row.bytes), "a snapshot");
    }
    for row in &commit.history {
        let history = store.history(row.order_id).await.unwrap();
        assert!(!history.contains(row), "a history row: {row:?}");
    }
}
