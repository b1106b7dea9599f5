//! Another projector at work on the same partitions. It commits, at once or late, and dies before it announces anything.

use std::{collections::BTreeMap, sync::Arc};

use adapter_embedded::SqliteStore;
use ports::{
    Commit, CommitError, DeadLetter, DeadLetters as _, EventLog, LetterFilter, LetterStatus,
    LogRecord, OrderStore as _, Partition, PartitionCommit, Topic,
};
use projection::{Decided, Discarded, Known, Projected, Projection, Refolded};
use testkit::{log, sample};

use crate::story::PARTITIONS;

pub(crate) struct Rival {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) store: Arc<SqliteStore>,
}

impl Rival {
    /// Commits what the log has and the store has not, of each partition the next `most` records.
    pub(crate) async fn fold(&self, most: usize) {
        let commit = self.read(most).await;
        self.store.commit(&commit).await.unwrap();
    }

    /// What [`Self::fold`] commits, made of what is stored now.
    pub(crate) async fn read(&self, most: usize) -> Commit {
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
        commit
    }

    /// What lets a parked order go on without the record of its first dead letter that is open, made of what is stored
    /// now; `None` if there is no such letter.
    pub(crate) async fn refold(&self) -> Option<Commit> {
        let progress = self.store.progress(&[]).await.unwrap();
        let [letter, others @ ..] = &self.parking().await[..] else { return None };
        let (order, at) = (letter.parks.unwrap(), letter.record.position);
        let mut others = others.iter().filter(|other| other.parks == Some(order));
        let parked_again = others.next().map(|other| other.record.position);
        let decided = Decided { letter: at, event: None, parked_again };
        let history = self.store.history(order).await.unwrap();
        let Refolded { mut commit, .. } = projection::decided(history, decided).unwrap();
        let stands = progress.iter().find(|stands| stands.partition == at.partition).unwrap();
        commit.partitions = vec![PartitionCommit {
            partition: at.partition,
            expected: stands.place(),
            next: stands.next,
            announced: stands.announced,
            digest: stands.digest,
        }];
        Some(commit)
    }

    /// Lets every parked order go on without what can't be read.
    pub(crate) async fn discard(&self) {
        while let Some(commit) = self.refold().await {
            self.store.commit(&commit).await.unwrap();
        }
    }

    /// Wants every parked order to go on without what can't be read.
    pub(crate) async fn want_discarded(&self) {
        for letter in self.parking().await {
            self.store.decide(letter.key(), LetterStatus::Discard).await.unwrap();
        }
    }

    /// Whether no order is parked any more.
    pub(crate) async fn is_all_decided(&self) -> bool {
        self.parking().await.is_empty()
    }

    /// Commits what was read a while ago, unless it is known to be old.
    pub(crate) async fn commit_late(&self, commit: &Commit) {
        match self.store.commit(commit).await {
            Ok(()) | Err(CommitError::Fenced { .. }) => {}
            Err(other) => panic!("stored or fenced, not {other:?}"),
        }
    }

    /// Every dead letter that parks an order, in log order.
    async fn parking(&self) -> Vec<DeadLetter> {
        let filter = LetterFilter::undecided(None);
        let mut letters = self.store.letters(&filter, None, 1_000).await.unwrap();
        letters.retain(|letter| letter.parks.is_some());
        letters
    }
}
