//! Where the fold's results live: snapshots, history and each partition's progress, committed together.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, SubsecRound as _, Utc};
use events::{Digest, EventId, Order, OrderId, State};

use crate::{DeadLetter, HistoryRow, Offset, Partition, Position};

/// Why a store did not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It is away or too slow; a later try may succeed.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// It answered something that can't be: a bug or a damaged database. Retrying won't help.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
    /// Another version of the fold made what it holds. Nothing may be folded further before a replay.
    #[error(
        "what is stored was made by version {stored} of the fold, and this program folds by version {}: \
         run `order-ledger replay`",
        events::FOLD_VERSION
    )]
    OtherFold {
        /// [`events::FOLD_VERSION`] of the program that made it.
        stored: u32,
    },
}

/// Why a commit was rolled back. Nothing of it is stored.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Another projector moved the partition, or what lies below its next offset was written anew. Drop every cache and
    /// reload.
    #[error("partition {partition} is at {found}, not at {expected}: it was changed meanwhile")]
    Fenced {
        /// Which partition.
        partition: Partition,
        /// What this projector thought.
        expected: Place,
        /// What is stored.
        found: Place,
    },
    /// The partitions stand where they should, but what is stored is newer than what the commit was made from. Drop every
    /// cache and reload; if that does not help, the store is damaged.
    #[error("it was made from what is not stored any more: {0}")]
    Stale(String),
    /// The store failed. If the commit went through all the same, the next try is fenced.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Counts how often what lies below a partition's next offset was written anew: by a decision on a dead letter, or by a
/// cut. What was read in one epoch can't be committed in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub i64);

impl Epoch {
    /// Nothing was written anew.
    pub const FIRST: Self = Self(0);

    /// The one after this.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Where a partition stands, for whoever compares: the offset alone stays the same when what lies below changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// See [`Progress::next`].
    pub next: Offset,
    /// See [`Progress::epoch`].
    pub epoch: Epoch,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "offset {} in epoch {}", self.next, self.epoch.0)
    }
}

/// How far a partition of `orders.events` has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Which partition.
    pub partition: Partition,
    /// Every record below is accounted for: applied, rejected, duplicate, parked or dead letter.
    pub next: Offset,
    /// How often what lies below was written anew.
    pub epoch: Epoch,
    /// The state changes of every record below are acknowledged by `orders.state-changed`. At most `next`.
    pub announced: Offset,
    /// The head of the chain over every record below, as they were read.
    pub digest: Digest,
}

impl Progress {
    /// What a commit that is made from what is stored now expects.
    #[must_use]
    pub const fn place(&self) -> Place {
        Place { next: self.next, epoch: self.epoch }
    }
}

/// A snapshot to store, whole.
#[derive(Clone, Debug)]
pub struct SnapshotRow {
    /// The order, for the columns that people query.
    pub order: Order,
    /// The order encoded; what a load gives back.
    pub bytes: Bytes,
    /// The last record that counted.
    pub position: Position,
}

/// A snapshot as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSnapshot {
    /// Whose.
    pub order_id: OrderId,
    /// As committed.
    pub bytes: Bytes,
    /// The last record that counted.
    pub position: Position,
}

/// An order and what became of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookedUp {
    /// The order.
    pub snapshot: StoredSnapshot,
    /// The rows of that event id, in log order: the first [`LookedUp::HISTORY_MAX`].
    pub history: Vec<HistoryRow>,
}

impl LookedUp {
    /// How many rows of one event id are told: the one that was recorded comes first, the rest are repeats.
    pub const HISTORY_MAX: usize = 16;
}

/// Which orders are meant. What is left out matches everything; texts match exactly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderFilter {
    /// In any of these states; in any at all if there is none.
    pub states: Vec<State>,
    /// Of this region.
    pub region: Option<String>,
    /// Of this customer.
    pub customer_email: Option<String>,
    /// Placed then or later.
    pub placed_from: Option<DateTime<Utc>>,
    /// Placed earlier.
    pub placed_until: Option<DateTime<Utc>>,
}

impl OrderFilter {
    /// What every order of a page stands before, by instant (to the microsecond) and then by id: `after`, where the last
    /// page ended, or `placed_until`, whichever is earlier. One bound instead of two, so that a store finds the place in
    /// its index and does not walk there from `placed_until`.
    #[must_use]
    pub fn before(&self, after: Option<ListKey>) -> Option<(DateTime<Utc>, Option<OrderId>)> {
        // No order stands before `None`.
        let until = self.placed_until.map(|until| (until.trunc_subsecs(6), None));
        let after = after.map(|key| (key.placed_at.trunc_subsecs(6), Some(key.order_id)));
        until.into_iter().chain(after).min()
    }
}

/// Where a page of a list ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListKey {
    /// When the last order was placed. Digits below the microsecond do not matter.
    pub placed_at: DateTime<Utc>,
    /// Which it was.
    pub order_id: OrderId,
}

/// One partition's step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionCommit {
    /// Which partition.
    pub partition: Partition,
    /// Where it must stand for the commit to go through: where it stood before anything was read that this is made from.
    pub expected: Place,
    /// Where it stands afterwards.
    pub next: Offset,
    /// How far its state changes are acknowledged by now.
    pub announced: Offset,
    /// [`Progress::digest`] afterwards.
    pub digest: Digest,
}

/// What the chain over a partition's records was at some place: whoever changes the log afterwards is found out there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which partition.
    pub partition: Partition,
    /// The head is that over every record below.
    pub next: Offset,
    /// The head.
    pub digest: Digest,
}

/// An order folded again from its first record, because someone decided on a dead letter of it. The letter's partition is
/// in its next epoch afterwards.
#[derive(Clone, Debug)]
pub struct Refold {
    /// Which dead letter. Its order's state changes from here on are to be announced again.
    pub letter: Position,
    /// It can be read by now and has a row, so it is no dead letter any more. If not, it is discarded.
    pub readable: bool,
    /// Rows that take the place of those of the same records.
    pub history: Vec<HistoryRow>,
}

/// Everything that a batch of records changes.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// The partitions that move, each at most once.
    pub partitions: Vec<PartitionCommit>,
    /// The snapshots as they are after the batch, each order at most once.
    pub snapshots: Vec<SnapshotRow>,
    /// One row a record.
    pub history: Vec<HistoryRow>,
    /// Records that could not be read.
    pub dead_letters: Vec<DeadLetter>,
    /// Places that were passed.
    pub checkpoints: Vec<Checkpoint>,
    /// Orders that were parked; their snapshots are among `snapshots`.
    pub refolds: Vec<Refold>,
}

/// Snapshots, history and progress.
#[async_trait]
pub trait OrderStore: Send + Sync {
    /// Creates or upgrades the tables. Idempotent; safe when several processes do it at once.
    async fn prepare(&self) -> Result<(), StoreError>;

    /// Says how many partitions the log has; they must be as many as the first time, or orders would move between
    /// partitions. Creates their progress at offset 0.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] says how many there were; [`StoreError::OtherFold`] if another fold made what is stored.
    async fn bind_partitions(&self, partitions: u32) -> Result<(), StoreError>;

    /// How far these partitions have come; all of them if none is named.
    async fn progress(&self, partitions: &[Partition]) -> Result<Vec<Progress>, StoreError>;

    /// The snapshots of these orders, those that exist, in no order.
    async fn load(&self, orders: &[OrderId]) -> Result<Vec<StoredSnapshot>, StoreError>;

    /// Stores everything or nothing, in one transaction; the partitions' places are compared and set (promise 4).
    ///
    /// # Errors
    /// [`CommitError::Fenced`] if any partition is not where it is expected, [`CommitError::Stale`] if an order is stored in
    /// a newer version; [`StoreError::OtherFold`] if a replay has brought in what another fold made.
    async fn commit(&self, commit: &Commit) -> Result<(), CommitError>;

    /// Moves `announced` alone forward, for a partition that stands still.
    ///
    /// # Errors
    /// [`CommitError::Fenced`] if it is not where `progress` says: what was announced may have been taken back.
    async fn announced(&self, progress: Progress) -> Result<(), CommitError>;

    /// The checkpoints of a partition above `after`, in order, at most `limit`.
    async fn checkpoints(
        &self,
        partition: Partition,
        after: Offset,
        limit: usize,
    ) -> Result<Vec<Checkpoint>, StoreError>;

    /// The snapshots of orders, each with the history rows of one event id, as of one instant and in one round trip. One
    /// answer a question, in order; `None` where the order is unknown.
    async fn look_up(
        &self,
        questions: &[(OrderId, EventId)],
    ) -> Result<Vec<Option<LookedUp>>, StoreError>;

    /// History rows of an order, in log order, those after `after`, at most `limit`.
    async fn history_page(
        &self,
        order: OrderId,
        after: Option<Offset>,
        limit: usize,
    ) -> Result<Vec<HistoryRow>, StoreError>;

    /// Every history row of an order, in log order.
    async fn history(&self, order: OrderId) -> Result<Vec<HistoryRow>, StoreError> {
        const PAGE: usize = 1_000;
        let mut rows = Vec::new();
        loop {
            let after = rows.last().map(|row: &HistoryRow| row.position.offset);
            let page = self.history_page(order, after, PAGE).await?;
            let is_last = page.len() < PAGE;
            rows.extend(page);
            if is_last {
                return Ok(rows);
            }
        }
    }

    /// The same of several orders at once: of each the first `limit` rows, in log order; the orders come in any order.
    async fn histories(
        &self,
        orders: &[OrderId],
        limit: usize,
    ) -> Result<Vec<HistoryRow>, StoreError> {
        let mut rows = Vec::new();
        for order in orders {
            rows.extend(self.history_page(*order, None, limit).await?);
        }
        Ok(rows)
    }

    /// What became of the record at this position; `None` if it is a dead letter or not folded yet.
    async fn record_at(&self, position: Position) -> Result<Option<HistoryRow>, StoreError> {
        let Position { partition, offset } = position;
        Ok(self.rows(partition, offset, offset.next(), 1).await?.pop())
    }

    /// History rows of a partition, in log order, those at `from` or above and below `until`, at most `limit`.
    async fn rows(
        &self,
        partition: Partition,
        from: Offset,
        until: Offset,
        limit: usize,
    ) -> Result<Vec<HistoryRow>, StoreError>;

    /// Snapshots that match, newest placed first (then by id, the highest first), those after `after`, at most `limit`.
    /// Every instant, given or stored, counts to the microsecond: digits below are cut off.
    async fn list(
        &self,
        filter: &OrderFilter,
        after: Option<ListKey>,
        limit: usize,
    ) -> Result<Vec<StoredSnapshot>, StoreError>;

    /// The orders that have history rows in `partition` at `from` or above, each with its lowest such offset, in that
    /// order: at most `limit`.
    async fn touched_since(
        &self,
        partition: Partition,
        from: Offset,
        limit: usize,
    ) -> Result<Vec<(OrderId, Offset)>, StoreError>;

    /// Snapshots in the order of their ids, after `after`, at most `limit`: a scan over all of them.
    async fn scan(
        &self,
        after: Option<OrderId>,
        limit: usize,
    ) -> Result<Vec<StoredSnapshot>, StoreError>;

    /// How many orders stand in each state; states without orders may be left out.
    async fn count_by_state(&self) -> Result<Vec<(State, u64)>, StoreError>;

    /// Whether the store answers.
    async fn ping(&self) -> Result<(), StoreError>;
}
