//! Another projector at work on the same partitions. It commits, and dies before it announces anything.

use std::{collections::BTreeMap, sync::Arc};

use adapter_embedded::SqliteStore;
use ports::{DeadLetters as _, EventLog, LogRecord, OrderStore as _, Partition, Topic};
use projection::{Discarded, Known, Projected, Projection};
use testkit::{log, sample};

use crate::story::PARTITIONS;

pub(crate) struct Rival {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) store: Arc<SqliteStore>,
}

impl Rival {
    /// Commits what the log has and the store has not, of each partition the next `most` records.
    pub(crate) async fn fold(&self, most: usize) {
        let progress = self.store.progress(&[]).await.unwrap();
        let progress: BTreeMap<_, _> = progress.into_iter().map(|p| (p.partition, p)).collect();
        let mut records = log::read_all(self.log.as_ref(), Topic::Events).await;
        let mut taken: BTreeMap<Partition, usize> = BTreeMap::new();
        records.retain(|LogRecord { position, .. }| {
            let new = position.offset >= progress[&position.partition].next;
            let taken = taken.entry(position.partition).or_default();
            *taken += usize::from(new);
            new && *taken <= most
        });
        let undecided = Discarded::default();
        let projection = Projection::decode(records, PARTITIONS, sample::at(0), &undecided);
        let parked = self.store.parked(&projection.orders()).await.unwrap();
        let stored = self.store.load(&projection.orders()).await.unwrap();
        let snapshots = stored
            .into_iter()
            .map(|stored| (stored.order_id, codec::decode_snapshot(&stored.bytes).unwrap()))
            .collect();
        let known = Known { snapshots, parked: parked.into_iter().collect() };
        let Projected { commit, .. } = projection.fold(known, &progress);
        self.store.commit(&commit).await.unwrap();
    }
}
