//! What the table of transitions has, for whoever compares it with the log.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use events::OrderId;
use ports::{KeptTransitions, SearchError, TransitionKey, TransitionScan};
use serde_json::Value;
use sqlx::SqlitePool;

use super::SqliteSearch;
use crate::database::{self, Error};

/// Ids of one page of a scan.
const PAGE: i64 = 10_000;

#[async_trait]
impl KeptTransitions for SqliteSearch {
    /// When the table was made, to the second: nothing is ever deleted from it.
    async fn whole_since(&self) -> Result<DateTime<Utc>, SearchError> {
        let made: i64 = sqlx::query_scalar(
            "SELECT unixepoch(installed_on) FROM _sqlx_migrations WHERE description = 'transitions'",
        )
        .fetch_one(&self.database.readers)
        .await
        .map_err(Error::from)?;
        Ok(database::instant(made.saturating_mul(1_000_000))?)
    }

    /// Reads see what is committed.
    async fn refresh(&self) -> Result<(), SearchError> {
        Ok(())
    }

    async fn find(
        &self,
        transitions: &[TransitionKey],
    ) -> Result<Vec<(TransitionKey, Value)>, SearchError> {
        let key = |key: &TransitionKey| {
            Value::from_iter([Value::from(key.order_id.to_string()), Value::from(key.version)])
        };
        let keys: Value = transitions.iter().map(key).collect();
        let rows: Vec<(String, i64, String)> = sqlx::query_as(
            "SELECT order_id, version, document FROM transitions WHERE (order_id, version) IN
             (SELECT value ->> 0, value ->> 1 FROM json_each($1))",
        )
        .bind(keys.to_string())
        .fetch_all(&self.database.readers)
        .await
        .map_err(Error::from)?;
        let found = |(order, version, document): (String, i64, String)| {
            let order_id: OrderId = database::id("order_id", &order)?;
            let key = TransitionKey { order_id, version: database::unsigned(version)? };
            let document = serde_json::from_str(&document).map_err(|error| {
                Error::Corrupt(format!("a transition of order {order} is no JSON: {error}"))
            })?;
            Ok((key, document))
        };
        rows.into_iter().map(found).collect::<Result<_, Error>>().map_err(SearchError::from)
    }

    async fn scan(&self) -> Result<Box<dyn TransitionScan>, SearchError> {
        let readers = self.database.readers.clone();
        Ok(Box::new(Scan { readers, after: Some((String::new(), i64::MIN)) }))
    }
}

/// In the order of the table.
struct Scan {
    readers: SqlitePool,
    /// `None` once it is through.
    after: Option<(String, i64)>,
}

#[async_trait]
impl TransitionScan for Scan {
    async fn next(&mut self) -> Result<Vec<String>, SearchError> {
        let Some((order, version)) = self.after.clone() else { return Ok(Vec::new()) };
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT order_id, version FROM transitions WHERE (order_id, version) > ($1, $2)
             ORDER BY order_id, version LIMIT $3",
        )
        .bind(order)
        .bind(version)
        .bind(PAGE)
        .fetch_all(&self.readers)
        .await
        .map_err(Error::from)?;
        self.after = rows.last().cloned();
        Ok(rows.into_iter().map(|(order, version)| format!("{order}-{version}")).collect())
    }
}
