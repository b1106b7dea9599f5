//! [`OrderStore`] on the tables `orders`, `order_history` and `progress`.

use async_trait::async_trait;
use events::{EventId, OrderId, State};
use ports::{
    Checkpoint, Commit, CommitError, HistoryRow, ListKey, LookedUp, Offset, OrderFilter,
    OrderStore, Partition, Progress, StoreError, StoredSnapshot,
};

use super::{SqliteStore, dead_letters, history, look_up, progress, snapshots};
use crate::database::Error;

#[async_trait]
impl OrderStore for SqliteStore {
    /// Opening did it.
    async fn prepare(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn bind_partitions(&self, partitions: u32) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        progress::bind(&mut transaction, partitions).await?;
        Ok(transaction.commit().await.map_err(Error::from)?)
    }

    async fn progress(&self, partitions: &[Partition]) -> Result<Vec<Progress>, StoreError> {
        Ok(progress::load(&self.database.readers, partitions).await?)
    }

    async fn load(&self, orders: &[OrderId]) -> Result<Vec<StoredSnapshot>, StoreError> {
        Ok(snapshots::load(&self.database.readers, orders).await?)
    }

    /// One transaction (promise 4); the partitions come first, so that a fenced projector touches no order.
    async fn commit(&self, commit: &Commit) -> Result<(), CommitError> {
        let mut transaction = self.begin().await?;
        progress::advance(&mut transaction, &commit.partitions).await?;
        snapshots::store(&mut transaction, &commit.snapshots).await?;
        history::store(&mut transaction, &commit.history).await?;
        dead_letters::store(&mut transaction, &commit.dead_letters).await?;
        progress::pass(&mut transaction, &commit.checkpoints).await?;
        for refold in &commit.refolds {
            progress::rewritten_from(&mut transaction, refold.letter).await?;
            history::replace(&mut transaction, &refold.history).await?;
            dead_letters::decided(&mut transaction, refold).await?;
        }
        Ok(transaction.commit().await.map_err(Error::from)?)
    }

    async fn announced(&self, progress: Progress) -> Result<(), CommitError> {
        let mut transaction = self.begin().await?;
        progress::announce(&mut transaction, progress).await?;
        Ok(transaction.commit().await.map_err(Error::from)?)
    }

    async fn checkpoints(
        &self,
        partition: Partition,
        after: Offset,
        limit: usize,
    ) -> Result<Vec<Checkpoint>, StoreError> {
        Ok(progress::checkpoints(&self.database.readers, partition, after, limit).await?)
    }

    async fn look_up(
        &self,
        questions: &[(OrderId, EventId)],
    ) -> Result<Vec<Option<LookedUp>>, StoreError> {
        Ok(look_up::look_up(&self.database.readers, questions).await?)
    }

    async fn history_page(
        &self,
        order: OrderId,
        after: Option<Offset>,
        limit: usize,
    ) -> Result<Vec<HistoryRow>, StoreError> {
        Ok(history::page(&self.database.readers, order, after, limit).await?)
    }

    async fn rows(
        &self,
        partition: Partition,
        from: Offset,
        until: Offset,
        limit: usize,
    ) -> Result<Vec<HistoryRow>, StoreError> {
        Ok(history::rows(&self.database.readers, partition, from..until, limit).await?)
    }

    async fn list(
        &self,
        filter: &OrderFilter,
        after: Option<ListKey>,
        limit: usize,
    ) -> Result<Vec<StoredSnapshot>, StoreError> {
        Ok(snapshots::list(&self.database.readers, filter, after, limit).await?)
    }

    async fn touched_since(
        &self,
        partition: Partition,
        from: Offset,
        limit: usize,
    ) -> Result<Vec<(OrderId, Offset)>, StoreError> {
        Ok(history::touched_since(&self.database.readers, partition, from, limit).await?)
    }

    async fn scan(
        &self,
        after: Option<OrderId>,
        limit: usize,
    ) -> Result<Vec<StoredSnapshot>, StoreError> {
        Ok(snapshots::scan(&self.database.readers, after, limit).await?)
    }

    async fn count_by_state(&self) -> Result<Vec<(State, u64)>, StoreError> {
        Ok(snapshots::count_by_state(&self.database.readers).await?)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        let ping = sqlx::query("SELECT 1").execute(&self.database.readers).await;
        ping.map_err(Error::from)?;
        Ok(())
    }
}
