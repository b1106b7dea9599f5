//! The stream of transitions: a table beside the documents.

use async_trait::async_trait;
use events::OrderId;
use ports::{IndexOutcome, SearchError, TransitionDocument, TransitionStream};
use serde_json::Value;
use sqlx::SqliteConnection;

use super::SqliteSearch;
use crate::database::{self, Error};

#[async_trait]
impl TransitionStream for SqliteSearch {
    async fn append(
        &self,
        transitions: &[TransitionDocument],
    ) -> Result<Vec<IndexOutcome>, SearchError> {
        let appended = async {
            let mut transaction = self.database.begin().await?;
            let mut outcomes = Vec::with_capacity(transitions.len());
            for transition in transitions {
                outcomes.push(append(&mut transaction, transition).await?);
            }
            transaction.commit().await?;
            Ok::<_, Error>(outcomes)
        };
        Ok(appended.await?)
    }

    /// The table has them all.
    async fn append_missing(
        &self,
        transitions: &[TransitionDocument],
    ) -> Result<Vec<IndexOutcome>, SearchError> {
        TransitionStream::append(self, transitions).await
    }

    async fn transitions(&self, order: OrderId) -> Result<Vec<Value>, SearchError> {
        let rows: Vec<String> = sqlx::query_scalar(
            "SELECT document FROM transitions WHERE order_id = $1 ORDER BY version",
        )
        .bind(order.to_string())
        .fetch_all(&self.database.readers)
        .await
        .map_err(Error::from)?;
        let document = |document: &String| {
            serde_json::from_str(document).map_err(|error| {
                Error::Corrupt(format!("a transition of order {order} is no JSON: {error}"))
            })
        };
        rows.iter().map(document).collect::<Result<_, Error>>().map_err(SearchError::from)
    }
}

async fn append(
    connection: &mut SqliteConnection,
    transition: &TransitionDocument,
) -> Result<IndexOutcome, Error> {
    let Ok(json) = serde_json::to_string(transition) else {
        return Ok(IndexOutcome::Refused("it can't be written as JSON".to_owned()));
    };
    let inserted = sqlx::query(
        "INSERT INTO transitions (order_id, version, document) VALUES ($1, $2, $3)
         ON CONFLICT (order_id, version) DO NOTHING",
    )
    .bind(&transition.order_id)
    .bind(database::signed(transition.version))
    .bind(json)
    .execute(connection)
    .await?;
    Ok(if inserted.rows_affected() == 0 { IndexOutcome::Stale } else { IndexOutcome::Indexed })
}
