//! [`OrderStore`] on the tables `orders`, `order_history` and `progress`.

mod history;
mod look_up;
mod outcome;
mod progress;
mod snapshots;

use async_trait::async_trait;
use events::{EventId, OrderId, State};
use ports::{
    Checkpoint, Commit, CommitError, HistoryRow, ListKey, LookedUp, Offset, OrderFilter,
    OrderStore, Partition, Progress, StoreError, StoredSnapshot,
};
use sqlx::{Connection as _, PgConnection};

use crate::{dead_letters, error::Error, session::PostgresStore};

#[async_trait]
impl OrderStore for PostgresStore {
    async fn prepare(&self) -> Result<(), StoreError> {
        Ok(self.migrate().await?)
    }

    async fn bind_partitions(&self, partitions: u32) -> Result<(), StoreError> {
        Ok(self.run(async |connection| progress::bind(connection, partitions).await).await?)
    }

    async fn progress(&self, partitions: &[Partition]) -> Result<Vec<Progress>, StoreError> {
        Ok(self.run(async |connection| progress::load(connection, partitions).await).await?)
    }

    async fn load(&self, orders: &[OrderId]) -> Result<Vec<StoredSnapshot>, StoreError> {
        if orders.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.run(async |connection| snapshots::load(connection, orders).await).await?)
    }

    async fn commit(&self, commit: &Commit) -> Result<(), CommitError> {
        self.run(async |connection| store(connection, commit).await).await
    }

    async fn announced(&self, progress: Progress) -> Result<(), CommitError> {
        self.run(async |connection| progress::announce(connection, progress).await).await
    }

    async fn checkpoints(
        &self,
        partition: Partition,
        after: Offset,
        limit: usize,
    ) -> Result<Vec<Checkpoint>, StoreError> {
        let checkpoints = async |connection: &mut PgConnection| {
            progress::checkpoints(connection, partition, after, limit).await
        };
        Ok(self.run(checkpoints).await?)
    }

    async fn look_up(
        &self,
        questions: &[(OrderId, EventId)],
    ) -> Result<Vec<Option<LookedUp>>, StoreError> {
        Ok(self.run(async |connection| look_up::look_up(connection, questions).await).await?)
    }

    async fn history_page(
        &self,
        order: OrderId,
        after: Option<Offset>,
        limit: usize,
    ) -> Result<Vec<HistoryRow>, StoreError> {
        let page = async |connection: &mut PgConnection| {
            history::page(connection, order, after, limit).await
        };
        Ok(self.run(page).await?)
    }

    async fn histories(
        &self,
        orders: &[OrderId],
        limit: usize,
    ) -> Result<Vec<HistoryRow>, StoreError> {
        let histories = async |connection: &mut PgConnection| {
            history::histories(connection, orders, limit).await
        };
        Ok(self.run(histories).await?)
    }

    async fn rows(
        &self,
        partition: Partition,
        from: Offset,
        until: Offset,
        limit: usize,
    ) -> Result<Vec<HistoryRow>, StoreError> {
        let rows = async |connection: &mut PgConnection| {
            history::rows(connection, partition, from..until, limit).await
        };
        Ok(self.run(rows).await?)
    }

    async fn list(
        &self,
        filter: &OrderFilter,
        after: Option<ListKey>,
        limit: usize,
    ) -> Result<Vec<StoredSnapshot>, StoreError> {
        let list = async |connection: &mut PgConnection| {
            snapshots::list(connection, filter, after, limit).await
        };
        Ok(self.run(list).await?)
    }

    async fn touched_since(
        &self,
        partition: Partition,
        from: Offset,
        limit: usize,
    ) -> Result<Vec<(OrderId, Offset)>, StoreError> {
        let touched = async |connection: &mut PgConnection| {
            history::touched_since(connection, partition, from, limit).await
        };
        Ok(self.run(touched).await?)
    }

    async fn scan(
        &self,
        after: Option<OrderId>,
        limit: usize,
    ) -> Result<Vec<StoredSnapshot>, StoreError> {
        Ok(self.run(async |connection| snapshots::scan(connection, after, limit).await).await?)
    }

    async fn count_by_state(&self) -> Result<Vec<(State, u64)>, StoreError> {
        Ok(self.run(async |connection| snapshots::count_by_state(connection).await).await?)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        let ping = async |connection: &mut PgConnection| Ok(connection.ping().await?);
        Ok(self.run::<_, Error>(ping).await?)
    }
}

/// How far each partition is.
pub(crate) async fn progress(connection: &mut PgConnection) -> Result<Vec<Progress>, Error> {
    progress::load(connection, &[]).await
}

/// Checkpoints, which are never so many that COPY would be worth it.
pub(crate) async fn pass(
    connection: &mut PgConnection,
    checkpoints: &[Checkpoint],
) -> Result<(), Error> {
    progress::pass(connection, checkpoints).await
}

/// Snapshots and history rows as COPY takes them, each with its statement.
pub(crate) fn copies(rows: &Commit) -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    let snapshots = (!rows.snapshots.is_empty()).then(|| snapshots::copy(&rows.snapshots));
    let history = (!rows.history.is_empty()).then(|| history::copy(&rows.history));
    snapshots.into_iter().chain(history)
}

/// One transaction (promise 4). The partitions come first: their rows stay locked, so that of two projectors one waits
/// here and finds itself fenced, before it has touched an order.
async fn store(connection: &mut PgConnection, commit: &Commit) -> Result<(), CommitError> {
    let mut transaction = connection.begin().await.map_err(Error::from)?;
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
    transaction.commit().await.map_err(Error::from)?;
    Ok(())
}
