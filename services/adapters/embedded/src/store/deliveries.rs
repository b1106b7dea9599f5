//! [`DeliveryStore`] on the table `deliveries`.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use events::Version;
use ports::{
    Delivery, DeliveryKey, DeliveryResult, DeliveryStore, Finished, NewDelivery, StoreError,
};
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use super::SqliteStore;
use crate::database::{self, Error};

#[async_trait]
impl DeliveryStore for SqliteStore {
    async fn add(&self, deliveries: &[NewDelivery]) -> Result<(), StoreError> {
        let mut transaction = self.database.begin().await?;
        add(&mut transaction, deliveries).await?;
        Ok(transaction.commit().await.map_err(Error::from)?)
    }

    async fn claim(
        &self,
        now: DateTime<Utc>,
        lease: Duration,
        limit: usize,
    ) -> Result<Vec<Delivery>, StoreError> {
        let mut transaction = self.database.begin().await?;
        let claimed = claim(&mut transaction, now, lease, limit).await?;
        transaction.commit().await.map_err(Error::from)?;
        Ok(claimed)
    }

    async fn finish(&self, now: DateTime<Utc>, finished: &[Finished]) -> Result<(), StoreError> {
        let mut transaction = self.database.begin().await?;
        for finished in finished {
            finish(&mut transaction, now, finished).await?;
        }
        Ok(transaction.commit().await.map_err(Error::from)?)
    }

    async fn next_due(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        let next_due: Option<i64> = sqlx::query_scalar(
            "SELECT min(due_at) FROM deliveries WHERE status = 'pending' AND claimed_until IS NULL",
        )
        .fetch_one(&self.database.readers)
        .await
        .map_err(Error::from)?;
        Ok(next_due.map(database::instant).transpose()?)
    }

    async fn counts(&self) -> Result<(u64, u64, u64), StoreError> {
        let (pending, sent, failed): (i64, i64, i64) = sqlx::query_as(
            "SELECT count(*) FILTER (WHERE status = 'pending'), count(*) FILTER (WHERE status = 'sent'),
                    count(*) FILTER (WHERE status = 'failed')
             FROM deliveries",
        )
        .fetch_one(&self.database.readers)
        .await
        .map_err(Error::from)?;
        let [pending, sent, failed] = [pending, sent, failed].map(database::unsigned);
        Ok((pending?, sent?, failed?))
    }

    async fn pending(&self) -> Result<u64, StoreError> {
        let count = sqlx::query_scalar("SELECT count(*) FROM deliveries WHERE status = 'pending'");
        let count = count.fetch_one(&self.database.readers).await.map_err(Error::from)?;
        Ok(database::unsigned(count)?)
    }
}

async fn add(connection: &mut SqliteConnection, deliveries: &[NewDelivery]) -> Result<(), Error> {
    for NewDelivery { key, state_change, due_at, traceparent } in deliveries {
        sqlx::query(
            "INSERT INTO deliveries (order_id, version, template, due_at, state_change, traceparent)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        )
        .bind(key.order_id.to_string())
        .bind(database::signed(key.version.get()))
        .bind(key.template.as_str())
        .bind(database::micros(*due_at))
        .bind(state_change.as_ref())
        .bind(traceparent.map(|traceparent| traceparent.to_string()))
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// The transaction keeps others out meanwhile (promise 7).
async fn claim(
    connection: &mut SqliteConnection,
    now: DateTime<Utc>,
    lease: Duration,
    limit: usize,
) -> Result<Vec<Delivery>, Error> {
    let claimed_until = database::lease_end(now, lease);
    let rows = sqlx::query(
        "SELECT rowid, order_id, version, template, attempts + 1 AS attempts, $3 AS claimed_until, state_change,
                traceparent
         FROM deliveries
         WHERE status = 'pending' AND due_at <= $1 AND (claimed_until IS NULL OR claimed_until <= $1)
         ORDER BY due_at, order_id, version, template LIMIT $2",
    )
    .bind(database::micros(now))
    .bind(database::limit(limit))
    .bind(claimed_until)
    .fetch_all(&mut *connection)
    .await?;
    for row in &rows {
        sqlx::query(
            "UPDATE deliveries SET claimed_until = $2, attempts = attempts + 1 WHERE rowid = $1",
        )
        .bind(row.try_get::<i64, _>("rowid")?)
        .bind(claimed_until)
        .execute(&mut *connection)
        .await?;
    }
    rows.iter().map(delivery).collect()
}

/// What is sent or failed stays so: a sender whose claim ran out may speak after another one has. What is pending is left as it
/// is unless the claim is still this sender's (promise 7).
async fn finish(
    connection: &mut SqliteConnection,
    now: DateTime<Utc>,
    Finished { key, claimed_until, result }: &Finished,
) -> Result<(), Error> {
    let (status, due_at, error, given_back) = match result {
        DeliveryResult::Sent => ("sent", None, None, 0_i64),
        DeliveryResult::Retry { due_at, error } => ("pending", Some(*due_at), Some(error), 0),
        DeliveryResult::PutBack { error } => ("pending", Some(now), Some(error), 1),
        DeliveryResult::Failed { error } => ("failed", None, Some(error), 0),
    };
    let finished_at = (status != "pending").then_some(now);
    sqlx::query(
        "UPDATE deliveries SET status = $4, due_at = coalesce($5, due_at), claimed_until = NULL, last_error = $6,
                finished_at = $7, attempts = max(attempts - $8, 0)
         WHERE order_id = $1 AND version = $2 AND template = $3 AND status = 'pending'
             AND ($4 <> 'pending' OR claimed_until = $9)",
    )
    .bind(key.order_id.to_string())
    .bind(database::signed(key.version.get()))
    .bind(key.template.as_str())
    .bind(status)
    .bind(due_at.map(database::micros))
    .bind(error)
    .bind(finished_at.map(database::micros))
    .bind(given_back)
    .bind(database::micros(*claimed_until))
    .execute(connection)
    .await?;
    Ok(())
}

fn delivery(row: &SqliteRow) -> Result<Delivery, Error> {
    let attempts: i64 = row.try_get("attempts")?;
    let traceparent: Option<String> = row.try_get("traceparent")?;
    Ok(Delivery {
        key: DeliveryKey {
            order_id: database::id("order_id", row.try_get("order_id")?)?,
            version: Version::new(database::unsigned(row.try_get("version")?)?),
            template: row.try_get("template")?,
        },
        state_change: Bytes::from(row.try_get::<Vec<u8>, _>("state_change")?),
        attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
        claimed_until: database::instant(row.try_get("claimed_until")?)?,
        // What is not one is nobody's trace; the mail goes out all the same.
        traceparent: traceparent.and_then(|text| text.parse().ok()),
    })
}
