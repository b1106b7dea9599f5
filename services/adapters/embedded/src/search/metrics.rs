//! The stream of metrics: a table beside the documents, of bounded size.

use async_trait::async_trait;
use ports::{IndexOutcome, MetricDocument, MetricStream, SearchError};
use serde_json::Value;
use sqlx::SqliteConnection;

use super::SqliteSearch;
use crate::database::Error;

/// How much older than the newest a document gets: thirty days, as on Elasticsearch.
const AGE_MAX_MS: i64 = 30 * 24 * 60 * 60 * 1_000;

/// How many documents there are at most, some 100 MB: on a machine that is never idle, less than thirty days' worth.
const ROWS_MAX: i64 = 200_000;

/// How many one call tells.
const KEPT_MAX: i64 = 10_000;

#[async_trait]
impl MetricStream for SqliteSearch {
    /// Opening did it.
    async fn prepare(&self) -> Result<(), SearchError> {
        Ok(())
    }

    async fn append(&self, documents: &[MetricDocument]) -> Result<Vec<IndexOutcome>, SearchError> {
        Ok(append_all(self, documents, ROWS_MAX).await?)
    }

    async fn kept(&self, node: &str) -> Result<Vec<Value>, SearchError> {
        let rows: Vec<String> = sqlx::query_scalar(
            "SELECT document FROM metrics WHERE node = $1 ORDER BY ended_at_ms, number LIMIT $2",
        )
        .bind(node)
        .bind(KEPT_MAX)
        .fetch_all(&self.database.readers)
        .await
        .map_err(Error::from)?;
        let document = |document: &String| {
            serde_json::from_str(document)
                .map_err(|error| Error::Corrupt(format!("a metric of {node} is no JSON: {error}")))
        };
        rows.iter().map(document).collect::<Result<_, Error>>().map_err(SearchError::from)
    }
}

async fn append_all(
    search: &SqliteSearch,
    documents: &[MetricDocument],
    rows_max: i64,
) -> Result<Vec<IndexOutcome>, Error> {
    let mut transaction = search.database.begin().await?;
    let mut outcomes = Vec::with_capacity(documents.len());
    for document in documents {
        outcomes.push(append(&mut transaction, document).await?);
    }
    let newest = documents.iter().map(|document| document.timestamp.timestamp_millis()).max();
    if let Some(newest) = newest {
        sqlx::query("DELETE FROM metrics WHERE ended_at_ms < $1")
            .bind(newest.saturating_sub(AGE_MAX_MS))
            .execute(&mut *transaction)
            .await?;
        sqlx::query("DELETE FROM metrics WHERE number <= (SELECT max(number) FROM metrics) - $1")
            .bind(rows_max)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(outcomes)
}

async fn append(
    connection: &mut SqliteConnection,
    document: &MetricDocument,
) -> Result<IndexOutcome, Error> {
    let Ok(json) = serde_json::to_string(document) else {
        return Ok(IndexOutcome::Refused("it can't be written as JSON".to_owned()));
    };
    let inserted = sqlx::query(
        "INSERT INTO metrics (id, node, ended_at_ms, document) VALUES ($1, $2, $3, $4)
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(document.id())
    .bind(&document.service.node.name)
    .bind(document.timestamp.timestamp_millis())
    .bind(json)
    .execute(connection)
    .await?;
    Ok(if inserted.rows_affected() == 0 { IndexOutcome::Stale } else { IndexOutcome::Indexed })
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use tempfile::TempDir;
    use testkit::metrics::interval;

    use super::*;

    async fn opened(folder: &TempDir) -> SqliteSearch {
        SqliteSearch::open(&folder.path().join("search.db")).await.unwrap()
    }

    #[tokio::test]
    async fn what_is_old_is_deleted() {
        let folder = TempDir::new().unwrap();
        let search = opened(&folder).await;
        let old = interval("old", 1);
        MetricStream::append(&search, &old).await.unwrap();
        let mut new = interval("new", 1);
        for document in &mut new {
            document.timestamp += TimeDelta::days(30);
        }
        MetricStream::append(&search, &new).await.unwrap();
        assert_eq!(search.kept("old").await.unwrap().len(), old.len(), "not yet");
        for document in &mut new {
            document.timestamp += TimeDelta::seconds(1);
        }
        MetricStream::append(&search, &new).await.unwrap();
        assert!(search.kept("old").await.unwrap().is_empty());
        assert_eq!(search.kept("new").await.unwrap().len(), 2 * new.len());
    }

    #[tokio::test]
    async fn there_are_never_more_than_the_most() {
        let folder = TempDir::new().unwrap();
        let search = opened(&folder).await;
        for n in 1..=20 {
            append_all(&search, &interval("one", n), 12).await.unwrap();
        }
        let kept = search.kept("one").await.unwrap();
        assert_eq!(kept.len(), 12);
        let newest = serde_json::to_value(interval("one", 20).remove(0)).unwrap();
        assert_eq!(kept.last().unwrap()["@timestamp"], newest["@timestamp"]);
    }
}
