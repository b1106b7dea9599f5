//! A new search index, filled from a store: every snapshot, then what moved since, until next to nothing does. The stream of
//! transitions is not built anew: what it lacks of the same orders is appended.
//!
//! Each document carries its order's version, so the order of requests does not matter and nothing is harmed by being
//! written twice. Memory is bounded by the requests under way. A document that the index refuses does not hold up the
//! others: it is counted and told.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, Utc};
use events::OrderId;
use ports::{
    DeadLetters, IndexOutcome, NewIndex, Offset, OrderDocument, OrderStore, Partition, SearchError,
    StoreError, StoredSnapshot, TransitionStream, retry_until_ok,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{
    Parts, ReplayError,
    catch_up::{behind, decode},
    parked::Parked,
    steer::{Phase, Steering},
    transitions,
};

/// Requests under way at the same time.
const IN_FLIGHT: usize = 4;
/// Documents in one of them.
const DOCUMENTS: usize = 1_000;
/// How often an index that is away or too busy is asked: for some five minutes.
const TRIES_MAX: u32 = 60;

/// What was written to a new search index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reindexed {
    /// Documents that it took, or had in that version already; one of an order that moved meanwhile counts each time.
    pub documents: u64,
    /// Transitions that the stream lacked, and took.
    pub transitions: u64,
    /// Documents that it can't take: their orders are not found; and transitions that the stream can't take.
    pub refused: u64,
    /// The first of these.
    pub refusals: Vec<RefusedDocument>,
}

impl Reindexed {
    /// How many refusals are kept to be told.
    pub const REFUSALS_MAX: usize = 10;
}

/// A document that an index can't take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedDocument {
    /// Whose.
    pub order_id: OrderId,
    /// What the index says.
    pub why: String,
}

/// A state that an index is filled from.
#[derive(Clone, Copy)]
pub(super) struct State<'a> {
    pub(super) orders: &'a dyn OrderStore,
    pub(super) dead_letters: &'a dyn DeadLetters,
}

/// An index on its way to being as its store is.
pub(super) struct Filling {
    index: Arc<dyn NewIndex>,
    stream: Arc<dyn TransitionStream>,
    /// When it began: transitions that are made of the history say so.
    now: DateTime<Utc>,
    /// It is as new as the store was there, or newer.
    followed: BTreeMap<Partition, Offset>,
    /// Orders that may move without a record above: someone decides on a dead letter below.
    parked: Parked,
    writing: JoinSet<Result<Reindexed, ReplayError>>,
    done: Reindexed,
}

impl Filling {
    /// Makes an empty index. What moves from here on will be followed.
    pub(super) async fn begin(parts: &Parts, from: State<'_>) -> Result<Self, ReplayError> {
        // The progress first: a letter that comes after this look parks an order that has a record above.
        let progress = from.orders.progress(&[]).await?;
        let mut parked = Parked::default();
        parked.look(from.dead_letters).await?;
        let index = patiently("create an index", || parts.search.create()).await?;
        Ok(Self {
            index: index.into(),
            stream: Arc::clone(&parts.transitions),
            now: parts.clock.now(),
            followed: progress.iter().map(|at| (at.partition, at.next)).collect(),
            parked,
            writing: JoinSet::new(),
            done: Reindexed::default(),
        })
    }

    /// Writes every snapshot that there is.
    pub(super) async fn fill(
        &mut self,
        from: State<'_>,
        steering: &Steering,
    ) -> Result<(), ReplayError> {
        // Only to be shown: a store that takes too long to count is scanned all the same.
        let total = from.orders.count_by_state().await.ok();
        let total = total.map(|counts| counts.iter().map(|(_, count)| count).sum());
        steering.counting(Phase::Indexing, total).await?;
        let mut after = None;
        loop {
            let page = from.orders.scan(after, DOCUMENTS).await?;
            let (Some(last), count) = (page.last(), page.len()) else { break };
            after = Some(last.order_id);
            self.write(from.orders, page).await?;
            steering.counted(count).await?;
        }
        self.settle().await
    }

    /// Writes what has moved since, up to where the store stands now; says how many documents these are.
    pub(super) async fn follow(
        &mut self,
        from: State<'_>,
        steering: &Steering,
    ) -> Result<u64, ReplayError> {
        // Each time in this order: one that came to wait since the last look and waits no longer has moved above the progress
        // of that time, and is read now; one that waits still is read again each time.
        let progress = from.orders.progress(&[]).await?;
        self.parked.look(from.dead_letters).await?;
        let ends = progress.iter().map(|at| (at.partition, at.next)).collect();
        let mut left = progress.clone();
        for row in &mut left {
            row.next = self.from(row.partition);
        }
        steering.phase(Phase::Following, &behind(&left, &ends)).await?;
        let before = self.written().await?;
        for (partition, end) in ends {
            let mut next = self.from(partition);
            while next < end {
                let touched = from.orders.touched_since(partition, next, DOCUMENTS).await?;
                let is_last = touched.len() < DOCUMENTS;
                let last = touched.last().filter(|_| !is_last);
                next = last.map_or(end, |(_, offset)| offset.next().min(end));
                let orders: Vec<_> = touched.into_iter().map(|(order, _)| order).collect();
                self.write_orders(from.orders, &orders).await?;
                steering.moved(partition, next, orders.len()).await?;
            }
            self.followed.insert(partition, end);
        }
        for orders in self.parked.orders().chunks(DOCUMENTS) {
            self.write_orders(from.orders, orders).await?;
        }
        Ok(self.written().await?.saturating_sub(before))
    }

    /// From where on what has moved is not written yet, or may have moved once more.
    fn from(&self, partition: Partition) -> Offset {
        let followed = self.followed.get(&partition).copied().unwrap_or(Offset::START);
        self.parked.from(partition, followed)
    }

    /// [`NewIndex::take_writes`].
    pub(super) async fn take_writes(&self) -> Result<(), ReplayError> {
        Ok(patiently("move writes", || self.index.take_writes()).await?)
    }

    /// [`NewIndex::take_reads`].
    pub(super) async fn take_reads(self) -> Result<Reindexed, ReplayError> {
        patiently("move reads", || self.index.take_reads()).await?;
        Ok(self.done)
    }

    /// Leaves nothing behind, if that can be had: if not, the next attempt sees to it.
    pub(super) async fn remove(mut self) {
        self.writing.shutdown().await;
        if let Err(error) = self.index.remove().await {
            tracing::warn!(%error, "the new search index is not removed; the next replay does it");
        }
    }

    async fn write_orders(
        &mut self,
        store: &dyn OrderStore,
        orders: &[OrderId],
    ) -> Result<(), ReplayError> {
        let snapshots = store.load(orders).await?;
        if snapshots.is_empty() { Ok(()) } else { self.write(store, snapshots).await }
    }

    /// Begins to write documents, and the transitions of the same orders.
    async fn write(
        &mut self,
        store: &dyn OrderStore,
        snapshots: Vec<StoredSnapshot>,
    ) -> Result<(), ReplayError> {
        let orders: Vec<_> = snapshots.iter().map(|stored| stored.order_id).collect();
        self.room().await?;
        self.writing.spawn(write(Arc::clone(&self.index), snapshots));
        for orders in orders.chunks(transitions::ORDERS) {
            let transitions = transitions::of_orders(store, orders, self.now).await?;
            self.room().await?;
            self.writing.spawn(transitions::append(Arc::clone(&self.stream), transitions));
        }
        Ok(())
    }

    /// Waits until another request can be under way.
    async fn room(&mut self) -> Result<(), ReplayError> {
        while self.writing.len() >= IN_FLIGHT {
            self.join_one().await?;
        }
        Ok(())
    }

    /// How many documents are written by now, after waiting for those under way.
    async fn written(&mut self) -> Result<u64, ReplayError> {
        self.settle().await?;
        Ok(self.done.documents.saturating_add(self.done.refused))
    }

    async fn settle(&mut self) -> Result<(), ReplayError> {
        while !self.writing.is_empty() {
            self.join_one().await?;
        }
        Ok(())
    }

    async fn join_one(&mut self) -> Result<(), ReplayError> {
        let Some(written) = self.writing.join_next().await else { return Ok(()) };
        let Reindexed { documents, transitions, refused, refusals } = written??;
        let done = &mut self.done;
        done.documents += documents;
        done.transitions += transitions;
        done.refused += refused;
        let room = Reindexed::REFUSALS_MAX.saturating_sub(done.refusals.len());
        for refusal in refusals.into_iter().take(room) {
            let RefusedDocument { order_id, why } = &refusal;
            tracing::warn!(%order_id, why, "the search index refused a document");
            done.refusals.push(refusal);
        }
        Ok(())
    }
}

/// One request.
async fn write(
    index: Arc<dyn NewIndex>,
    snapshots: Vec<StoredSnapshot>,
) -> Result<Reindexed, ReplayError> {
    let document = |stored| Ok(OrderDocument::from(&decode(stored)?));
    let documents = snapshots.iter().map(document).collect::<Result<Vec<_>, StoreError>>()?;
    let outcomes = patiently("write documents", || index.upsert(&documents)).await?;
    let mut written = Reindexed::default();
    for (stored, outcome) in snapshots.iter().zip(outcomes) {
        match outcome {
            IndexOutcome::Indexed | IndexOutcome::Stale => written.documents += 1,
            IndexOutcome::Refused(why) => {
                written.refused += 1;
                written.refusals.push(RefusedDocument { order_id: stored.order_id, why });
            }
        }
    }
    Ok(written)
}

/// Asks an index again as long as it is away or too busy, within reason.
pub(super) async fn patiently<T, F, Fut>(what: &'static str, mut ask: F) -> Result<T, SearchError>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, SearchError>>,
{
    let failed = |error: &SearchError, delay: std::time::Duration| {
        metrics::counter!("order_ledger_replay_retries_total", "operation" => what).increment(1);
        let wait_ms = delay.as_millis();
        tracing::warn!(%error, wait_ms, "could not {what}, trying again");
    };
    let (never, mut tries) = (CancellationToken::new(), 0);
    let settled = retry_until_ok(&never, failed, || {
        tries += 1;
        let (is_last, asked) = (tries >= TRIES_MAX, ask());
        async move {
            match asked.await {
                Err(error @ SearchError::Unavailable(_)) if !is_last => Err(error),
                settled => Ok(settled),
            }
        }
    });
    // No one stops it: it ends with an answer.
    settled.await.unwrap_or_else(|| Err(SearchError::Unavailable("it was not asked".to_owned())))
}
