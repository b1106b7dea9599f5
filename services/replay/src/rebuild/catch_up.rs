//! Catching up: as a projector folds, a batch a transaction, but nothing is announced.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use codec::decode_snapshot;
use events::{Order, OrderId};
use ports::{GenerationStore, Offset, Partition, Progress, StoreError, StoredSnapshot, Topic};
use projection::{Known, Projected, Projection};

use super::{
    Parts, ReplayError,
    discards::Discards,
    steer::{PartitionReport, Steering},
};

/// What is left to fold up to these offsets.
pub(super) fn behind(
    progress: &[Progress],
    ends: &BTreeMap<Partition, Offset>,
) -> Vec<PartitionReport> {
    let row = |Progress { partition, next, .. }: &Progress| PartitionReport {
        partition: partition.0,
        next: next.0,
        until: ends.get(partition).map_or(next.0, |end| end.0.max(next.0)),
    };
    progress.iter().map(row).collect()
}

/// Folds every partition up to these offsets, if it is not further already.
pub(super) async fn advance(
    parts: &Parts,
    store: &dyn GenerationStore,
    ends: &BTreeMap<Partition, Offset>,
    steering: &Steering,
) -> Result<(), ReplayError> {
    let partitions = parts.log.partitions(Topic::Events).await?;
    for progress in store.progress(&[]).await? {
        let Progress { partition, next, .. } = progress;
        let until = ends.get(&partition).copied().unwrap_or(next);
        if next >= until {
            continue;
        }
        let mut held = BTreeMap::from([(partition, progress)]);
        let mut discards = Discards::new(Arc::clone(&parts.dead_letters), partition, next);
        let mut reader = parts.log.read(Topic::Events, partition, next, until).await?;
        loop {
            let records = reader.next().await?;
            let count = records.len();
            let Some(last) = records.last() else { break };
            let next = last.position.offset.next();
            let (now, discarded) = (parts.clock.now(), discards.of(&records).await?);
            let mut left = Some(Projection::decode(records, partitions, now, discarded));
            while let Some(projection) = left {
                let known = load(store, &projection.orders()).await?;
                let Projected { commit, rest, .. } = projection.fold(known, &held);
                store.commit(&commit).await?;
                for step in commit.partitions {
                    let (next, digest) = (step.next, step.digest);
                    held.insert(partition, Progress { next, digest, ..progress });
                }
                left = rest;
            }
            steering.moved(partition, next, count).await?;
        }
    }
    Ok(())
}

/// The orders as this generation has them.
async fn load(store: &dyn GenerationStore, orders: &[OrderId]) -> Result<Known, StoreError> {
    let stored = store.load(orders).await?;
    let snapshots = stored.iter().map(|stored| Ok((stored.order_id, decode(stored)?)));
    let snapshots = snapshots.collect::<Result<HashMap<_, _>, StoreError>>()?;
    Ok(Known { snapshots, parked: store.parked(orders).await?.into_iter().collect() })
}

/// An order that a replay has written.
pub(super) fn decode(stored: &StoredSnapshot) -> Result<Order, StoreError> {
    decode_snapshot(&stored.bytes).map_err(|error| {
        StoreError::Corrupt(format!("the snapshot of order {} {error}", stored.order_id))
    })
}
