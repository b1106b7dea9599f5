//! The search index: documents as JSON, their words in FTS5; beside it their transitions, and metrics.

mod find;
mod generations;
mod kept;
mod metrics;
mod transitions;

use std::{collections::BTreeMap, path::Path};

use async_trait::async_trait;
use events::{OrderId, State};
use ports::{
    Documents, Found, IndexOutcome, OrderDocument, SearchError, SearchIndex, SearchKey, SearchQuery,
};
use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqliteConnection};

use self::generations::{InUse, Tables};
use crate::database::{self, Database, Error, OpenError};

/// The search index in a SQLite file.
#[derive(Clone, Debug)]
pub struct SqliteSearch {
    database: Database,
}

impl SqliteSearch {
    /// Opens the file, creates it if it is missing, and brings its tables up to date.
    ///
    /// # Errors
    /// [`OpenError`] if it can't be opened or holds something else.
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        const MIGRATIONS: &[(&str, &str)] = &[
            ("the search index", include_str!("../../../../migrations/sqlite/0001_search.sql")),
            (
                "filters and pages",
                include_str!("../../../../migrations/sqlite/0002_search_reading.sql"),
            ),
            (
                "an index beside the one in use",
                include_str!("../../../../migrations/sqlite/0003_search_generations.sql"),
            ),
            (
                "transitions",
                include_str!("../../../../migrations/sqlite/0004_search_transitions.sql"),
            ),
            ("metrics", include_str!("../../../../migrations/sqlite/0005_search_metrics.sql")),
        ];
        Ok(Self { database: Database::open(path, MIGRATIONS).await? })
    }
}

#[async_trait]
impl SearchIndex for SqliteSearch {
    /// Opening did it.
    async fn prepare(&self) -> Result<(), SearchError> {
        Ok(())
    }

    async fn upsert(&self, documents: &[OrderDocument]) -> Result<Vec<IndexOutcome>, SearchError> {
        let upserted = async {
            let mut transaction = self.database.begin().await?;
            let in_use = InUse::load(&mut transaction).await?;
            let tables = in_use.tables(in_use.writes);
            let outcomes = write(&mut transaction, &tables, documents).await?;
            transaction.commit().await?;
            Ok::<_, Error>(outcomes)
        };
        Ok(upserted.await?)
    }

    async fn search(
        &self,
        query: &SearchQuery,
        after: Option<SearchKey>,
        limit: usize,
    ) -> Result<Found, SearchError> {
        Ok(find::find(&self.database.readers, query, after, limit).await?)
    }

    async fn versions(&self, orders: &[OrderId]) -> Result<BTreeMap<OrderId, u64>, SearchError> {
        let ids = serde_json::Value::from_iter(orders.iter().map(ToString::to_string));
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT order_id, version FROM documents WHERE order_id IN (SELECT value FROM json_each($1))",
        )
        .bind(ids.to_string())
        .fetch_all(&self.database.readers)
        .await
        .map_err(Error::from)?;
        let version = |(order, version): (String, i64)| {
            Ok((database::id("order_id", &order)?, database::unsigned(version)?))
        };
        rows.into_iter().map(version).collect::<Result<_, Error>>().map_err(SearchError::from)
    }

    async fn documents(&self, orders: &[OrderId]) -> Result<Documents, SearchError> {
        let ids = serde_json::Value::from_iter(orders.iter().map(ToString::to_string));
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT order_id, document FROM documents WHERE order_id IN (SELECT value FROM json_each($1))",
        )
        .bind(ids.to_string())
        .fetch_all(&self.database.readers)
        .await
        .map_err(Error::from)?;
        let document = |(order, document): (String, String)| {
            let document = serde_json::from_str(&document).map_err(|error| {
                Error::Corrupt(format!("the document of order {order} is no JSON: {error}"))
            })?;
            Ok((database::id("order_id", &order)?, document))
        };
        rows.into_iter().map(document).collect::<Result<_, Error>>().map_err(SearchError::from)
    }

    async fn count_by_state(&self) -> Result<Vec<(State, u64)>, SearchError> {
        let rows: Vec<(String, i64)> =
            sqlx::query_as("SELECT state, count(*) FROM documents GROUP BY state")
                .fetch_all(&self.database.readers)
                .await
                .map_err(Error::from)?;
        let count = |(state, count): (String, i64)| {
            let state = database::named("state", &state, State::from_name)?;
            Ok((state, database::unsigned(count)?))
        };
        rows.into_iter().map(count).collect::<Result<_, Error>>().map_err(SearchError::from)
    }

    async fn ping(&self) -> Result<(), SearchError> {
        let ping = sqlx::query("SELECT 1").execute(&self.database.readers).await;
        ping.map_err(Error::from)?;
        Ok(())
    }
}

/// Writes each document and its words, unless the index has that version or a newer one (promise 6).
async fn write(
    connection: &mut SqliteConnection,
    Tables { documents: table, words }: &Tables,
    documents: &[OrderDocument],
) -> Result<Vec<IndexOutcome>, Error> {
    let upsert = format!(
        "INSERT INTO {table} (order_id, version, state, document, region, customer_email, payment_gateway, placed_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (order_id) DO UPDATE
         SET version = excluded.version, state = excluded.state, document = excluded.document,
             region = excluded.region, customer_email = excluded.customer_email,
             payment_gateway = excluded.payment_gateway, placed_ms = excluded.placed_ms
         WHERE {table}.version < excluded.version
         RETURNING id"
    );
    let upsert = AssertSqlSafe(upsert).into_sql_str();
    let words = format!("INSERT OR REPLACE INTO {words} (rowid, text) VALUES ($1, $2)");
    let words = AssertSqlSafe(words).into_sql_str();
    let mut outcomes = Vec::with_capacity(documents.len());
    for document in documents {
        let Ok(json) = serde_json::to_string(document) else {
            outcomes.push(IndexOutcome::Refused("it can't be written as JSON".to_owned()));
            continue;
        };
        let id: Option<i64> = sqlx::query_scalar(upsert.clone())
            .bind(&document.order_id)
            .bind(database::signed(document.version))
            .bind(document.state)
            .bind(json)
            .bind(&document.region)
            .bind(&document.customer.email)
            .bind(&document.payment.gateway)
            .bind(document.placed_at.timestamp_millis())
            .fetch_optional(&mut *connection)
            .await?;
        outcomes.push(match id {
            None => IndexOutcome::Stale,
            Some(id) => {
                let insert = sqlx::query(words.clone()).bind(id).bind(&document.words);
                insert.execute(&mut *connection).await?;
                IndexOutcome::Indexed
            }
        });
    }
    Ok(outcomes)
}
