//! The search index: documents as JSON, their words in FTS5.

mod find;

use std::{collections::BTreeMap, path::Path};

use async_trait::async_trait;
use events::{OrderId, State};
use ports::{
    Documents, Found, IndexOutcome, OrderDocument, SearchError, SearchIndex, SearchKey, SearchQuery,
};
use sqlx::SqliteConnection;

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
        let begun = self.database.writer.begin_with("BEGIN IMMEDIATE").await;
        let mut transaction = begun.map_err(Error::from)?;
        let mut outcomes = Vec::with_capacity(documents.len());
        for document in documents {
            outcomes.push(upsert(&mut transaction, document).await?);
        }
        transaction.commit().await.map_err(Error::from)?;
        Ok(outcomes)
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

/// Writes a document and its words, unless the index has that version or a newer one (promise 6).
async fn upsert(
    connection: &mut SqliteConnection,
    document: &OrderDocument,
) -> Result<IndexOutcome, Error> {
    let Ok(json) = serde_json::to_string(document) else {
        return Ok(IndexOutcome::Refused("it can't be written as JSON".to_owned()));
    };
    let id: Option<i64> = sqlx::query_scalar(
        "INSERT INTO documents (order_id, version, state, document, region, customer_email, payment_gateway, placed_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (order_id) DO UPDATE
         SET version = excluded.version, state = excluded.state, document = excluded.document,
             region = excluded.region, customer_email = excluded.customer_email,
             payment_gateway = excluded.payment_gateway, placed_ms = excluded.placed_ms
         WHERE documents.version < excluded.version
         RETURNING id",
    )
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
    let Some(id) = id else { return Ok(IndexOutcome::Stale) };
    sqlx::query("INSERT OR REPLACE INTO words (rowid, text) VALUES ($1, $2)")
        .bind(id)
        .bind(&document.words)
        .execute(connection)
        .await?;
    Ok(IndexOutcome::Indexed)
}
