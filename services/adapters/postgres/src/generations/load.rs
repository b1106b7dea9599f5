//! Loading: rows by COPY, into tables whose indexes are made afterwards, all at once.

use async_trait::async_trait;
use ports::{Commit, GenerationStore, StoreError};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::{dead_letters, error::Error, orders, session::PostgresStore};

#[async_trait]
impl GenerationStore for PostgresStore {
    async fn load_rows(&self, rows: &Commit) -> Result<(), StoreError> {
        let load = async |connection: &mut PgConnection| {
            let mut transaction = connection.begin().await?;
            // A crash of the server takes the whole generation with it, for it is loading still: no need to wait for its
            // disk. What says that it has loaded is written through, and everything before it.
            sqlx::raw_sql("SET LOCAL synchronous_commit = off").execute(&mut *transaction).await?;
            for (statement, rows) in orders::copies(rows) {
                copy(&mut transaction, statement, rows).await?;
            }
            dead_letters::store(&mut transaction, &rows.dead_letters).await?;
            orders::pass(&mut transaction, &rows.checkpoints).await?;
            Ok::<(), Error>(transaction.commit().await?)
        };
        Ok(self.run(load).await?)
    }

    async fn finish_loading(&self) -> Result<(), StoreError> {
        let set_aside = async |connection: &mut PgConnection| {
            let indexes = "SELECT tablename, make FROM indexes_set_aside ORDER BY make";
            Ok::<Vec<(String, String)>, Error>(sqlx::query_as(indexes).fetch_all(connection).await?)
        };
        let (of_history, of_orders): (Vec<_>, Vec<_>) =
            self.run(set_aside).await?.into_iter().partition(|(table, _)| table == "order_history");
        // Side by side: one of the history takes about as long as all of the orders.
        tokio::try_join!(self.index("order_history", of_history), self.index("orders", of_orders))?;
        let drop = "DROP TABLE indexes_set_aside";
        Ok(self.change(sqlx::query(drop)).await?)
    }
}

impl PostgresStore {
    /// Makes the indexes of a table that were set aside.
    async fn index(
        &self,
        table: &'static str,
        indexes: Vec<(String, String)>,
    ) -> Result<(), Error> {
        // An index over all orders may take longer than an answer, and is sorted in memory if there is some.
        let mut connection = self.connection_to_close().await?;
        unlimited(&mut connection).await?;
        let memory = "SET maintenance_work_mem = '256MB'";
        sqlx::raw_sql(memory).execute(&mut *connection).await?;
        for (_, index) in indexes {
            sqlx::raw_sql(AssertSqlSafe(index)).execute(&mut *connection).await?;
        }
        sqlx::raw_sql(AssertSqlSafe(format!("ANALYZE {table}"))).execute(&mut *connection).await?;
        Ok(())
    }

    /// Drops the indexes that no loading needs, and writes down how to make them again: all but the one that finds an
    /// order which was let go of too early.
    pub(super) async fn set_indexes_aside(&self) -> Result<(), Error> {
        self.run(async |connection| {
            let mut transaction = connection.begin().await?;
            sqlx::query(
                "CREATE TABLE indexes_set_aside AS
                 SELECT tablename, format('DROP INDEX %I', indexname) AS \"drop\", indexdef AS make FROM pg_indexes
                 WHERE schemaname = current_schema() AND tablename IN ('orders', 'order_history')
                   AND indexname NOT IN (SELECT conname FROM pg_constraint)
                 UNION ALL
                 SELECT 'order_history', format('ALTER TABLE order_history DROP CONSTRAINT %I', conname),
                        format('ALTER TABLE order_history ADD CONSTRAINT %I %s', conname, pg_get_constraintdef(oid))
                 FROM pg_constraint WHERE conrelid = 'order_history'::regclass AND contype = 'p'",
            )
            .execute(&mut *transaction)
            .await?;
            let drops: Vec<String> = sqlx::query_scalar("SELECT \"drop\" FROM indexes_set_aside")
                .fetch_all(&mut *transaction)
                .await?;
            for drop in drops {
                sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut *transaction).await?;
            }
            Ok(transaction.commit().await?)
        })
        .await
    }
}

/// No limits but the server's own, for a connection that is closed afterwards.
pub(crate) async fn unlimited(connection: &mut PgConnection) -> Result<(), Error> {
    let unlimited = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0";
    sqlx::raw_sql(unlimited).execute(connection).await?;
    Ok(())
}

async fn copy(
    connection: &mut PgConnection,
    statement: &'static str,
    rows: Vec<u8>,
) -> Result<(), Error> {
    let mut copy = connection.copy_in_raw(statement).await?;
    match copy.send(rows).await {
        Ok(_) => {
            copy.finish().await?;
            Ok(())
        }
        Err(error) => {
            copy.abort("the rows could not be sent").await?;
            Err(error.into())
        }
    }
}
