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
        // An index over all orders may take longer than an answer.
        let mut connection = self.connection_to_close().await?;
        let finish = async {
            unlimited(&mut connection).await?;
            let indexes: Vec<String> =
                sqlx::query_scalar("SELECT indexdef FROM indexes_set_aside ORDER BY indexdef")
                    .fetch_all(&mut *connection)
                    .await?;
            for index in indexes {
                sqlx::raw_sql(AssertSqlSafe(index)).execute(&mut *connection).await?;
            }
            let rest = "ANALYZE orders; ANALYZE order_history; DROP TABLE indexes_set_aside";
            sqlx::raw_sql(rest).execute(&mut *connection).await?;
            Ok::<(), Error>(())
        };
        Ok(finish.await?)
    }
}

impl PostgresStore {
    /// Drops the indexes that no loading needs, and writes down how to make them again.
    pub(super) async fn set_indexes_aside(&self) -> Result<(), Error> {
        self.run(async |connection| {
            let mut transaction = connection.begin().await?;
            sqlx::query(
                "CREATE TABLE indexes_set_aside AS
                 SELECT indexname, indexdef FROM pg_indexes
                 WHERE schemaname = current_schema() AND tablename IN ('orders', 'order_history')
                   AND indexname NOT IN (SELECT conname FROM pg_constraint)",
            )
            .execute(&mut *transaction)
            .await?;
            let names: Vec<String> =
                sqlx::query_scalar("SELECT quote_ident(indexname) FROM indexes_set_aside")
                    .fetch_all(&mut *transaction)
                    .await?;
            for name in names {
                let drop = format!("DROP INDEX {name}");
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
