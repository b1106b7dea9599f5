//! A store whose calls go wrong by plan.

use std::sync::Arc;

use async_trait::async_trait;
use events::{EventId, OrderId, State};
use ports::{
    Checkpoint, Commit, CommitError, HistoryRow, ListKey, LookedUp, Offset, OrderFilter,
    OrderStore, Partition, Progress, StoreError, StoredSnapshot,
};

use crate::faults::Plan;

pub(crate) struct FaultyStore {
    pub(crate) inner: Arc<dyn OrderStore>,
    pub(crate) plan: Arc<Plan>,
}

fn away() -> StoreError {
    StoreError::Unavailable("by plan".to_owned())
}

#[async_trait]
impl OrderStore for FaultyStore {
    async fn prepare(&self) -> Result<(), StoreError> {
        self.plan.call(away, self.inner.prepare()).await
    }

    async fn bind_partitions(&self, partitions: u32) -> Result<(), StoreError> {
        self.plan.call(away, self.inner.bind_partitions(partitions)).await
    }

    async fn progress(&self, partitions: &[Partition]) -> Result<Vec<Progress>, StoreError> {
        self.plan.call(away, self.inner.progress(partitions)).await
    }

    async fn load(&self, orders: &[OrderId]) -> Result<Vec<StoredSnapshot>, StoreError> {
        self.plan.call(away, self.inner.load(orders)).await
    }

    async fn commit(&self, commit: &Commit) -> Result<(), CommitError> {
        self.plan.call(|| away().into(), self.inner.commit(commit)).await
    }

    async fn announced(&self, progress: Progress) -> Result<(), CommitError> {
        self.plan.call(|| away().into(), self.inner.announced(progress)).await
    }

    async fn checkpoints(
        &self,
        partition: Partition,
        after: Offset,
        limit: usize,
    ) -> Result<Vec<Checkpoint>, StoreError> {
        self.plan.call(away, self.inner.checkpoints(partition, after, limit)).await
    }

    async fn look_up(
        &self,
        questions: &[(OrderId, EventId)],
    ) -> Result<Vec<Option<LookedUp>>, StoreError> {
        self.plan.call(away, self.inner.look_up(questions)).await
    }

    async fn history_page(
        &self,
        order: OrderId,
        after: Option<Offset>,
        limit: usize,
    ) -> Result<Vec<HistoryRow>, StoreError> {
        self.plan.call(away, self.inner.history_page(order, after, limit)).await
    }

    async fn rows(
        &self,
        partition: Partition,
        from: Offset,
        until: Offset,
        limit: usize,
    ) -> Result<Vec<HistoryRow>, StoreError> {
        self.plan.call(away, self.inner.rows(partition, from, until, limit)).await
    }

    async fn list(
        &self,
        filter: &OrderFilter,
        after: Option<ListKey>,
        limit: usize,
    ) -> Result<Vec<StoredSnapshot>, StoreError> {
        self.plan.call(away, self.inner.list(filter, after, limit)).await
    }

    async fn touched_since(
        &self,
        partition: Partition,
        from: Offset,
        limit: usize,
    ) -> Result<Vec<(OrderId, Offset)>, StoreError> {
        self.plan.call(away, self.inner.touched_since(partition, from, limit)).await
    }

    async fn scan(
        &self,
        after: Option<OrderId>,
        limit: usize,
    ) -> Result<Vec<StoredSnapshot>, StoreError> {
        self.plan.call(away, self.inner.scan(after, limit)).await
    }

    async fn count_by_state(&self) -> Result<Vec<(State, u64)>, StoreError> {
        self.plan.call(away, self.inner.count_by_state()).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.plan.call(away, self.inner.ping()).await
    }
}
