//! [`DeliveryStore`] on the table `deliveries`.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use ports::{
    Delivery, DeliveryKey, DeliveryResult, DeliveryStore, Finished, NewDelivery, StoreError,
};
use sqlx::{PgConnection, Row as _, postgres::PgRow};
use uuid::Uuid;

use crate::{columns, error::Error, session::PostgresStore};

#[async_trait]
impl DeliveryStore for PostgresStore {
    async fn add(&self, deliveries: &[NewDelivery]) -> Result<(), StoreError> {
        if deliveries.is_empty() {
            return Ok(());
        }
        Ok(self.run(async |connection| add(connection, deliveries).await).await?)
    }

    async fn claim(
        &self,
        now: DateTime<Utc>,
        lease: Duration,
        limit: usize,
    ) -> Result<Vec<Delivery>, StoreError> {
        Ok(self.run(async |connection| claim(connection, now, lease, limit).await).await?)
    }

    async fn finish(&self, now: DateTime<Utc>, finished: &[Finished]) -> Result<(), StoreError> {
        if finished.is_empty() {
            return Ok(());
        }
        Ok(self.run(async |connection| finish(connection, now, finished).await).await?)
    }

    async fn next_due(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        let next_due = async |connection: &mut PgConnection| {
            Ok(sqlx::query_scalar(
                "SELECT min(due_at) FROM deliveries WHERE status = 'pending' AND claimed_until IS NULL",
            )
            .fetch_one(connection)
            .await?)
        };
        Ok(self.run::<_, Error>(next_due).await?)
    }

    async fn counts(&self) -> Result<(u64, u64, u64), StoreError> {
        let counts = async |connection: &mut PgConnection| {
            let (pending, sent, failed) = sqlx::query_as::<_, (i64, i64, i64)>(
                "SELECT count(*) FILTER (WHERE status = 'pending'), count(*) FILTER (WHERE status = 'sent'),
                        count(*) FILTER (WHERE status = 'failed')
                 FROM deliveries",
            )
            .fetch_one(connection)
            .await?;
            Ok((columns::unsigned(pending)?, columns::unsigned(sent)?, columns::unsigned(failed)?))
        };
        Ok(self.run::<_, Error>(counts).await?)
    }

    async fn pending(&self) -> Result<u64, StoreError> {
        let count = async |connection: &mut PgConnection| {
            let count =
                sqlx::query_scalar("SELECT count(*) FROM deliveries WHERE status = 'pending'");
            columns::unsigned(count.fetch_one(connection).await?)
        };
        Ok(self.run(count).await?)
    }
}

/// In the order of the keys, so that two who add the same never wait for each other in a circle.
async fn add(connection: &mut PgConnection, deliveries: &[NewDelivery]) -> Result<(), Error> {
    let (orders, versions, templates) = keys(deliveries.iter().map(|delivery| &delivery.key));
    let due: Vec<_> = deliveries.iter().map(|delivery| delivery.due_at).collect();
    let changes: Vec<&[u8]> = deliveries.iter().map(|delivery| &*delivery.state_change).collect();
    let traces: Vec<_> =
        deliveries.iter().map(|delivery| delivery.traceparent.map(|t| t.to_string())).collect();
    sqlx::query(
        "INSERT INTO deliveries (order_id, version, template, due_at, state_change, traceparent)
         SELECT * FROM UNNEST($1::uuid[], $2::bigint[], $3::text[], $4::timestamptz[], $5::bytea[], $6::text[])
             AS new (order_id, version, template, due_at, state_change, traceparent)
         ORDER BY order_id, version, template
         ON CONFLICT DO NOTHING",
    )
    .bind(orders)
    .bind(versions)
    .bind(templates)
    .bind(due)
    .bind(changes)
    .bind(traces)
    .execute(connection)
    .await?;
    Ok(())
}

/// Passes over rows that another sender is claiming at this moment instead of waiting for them (promise 7).
async fn claim(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    lease: Duration,
    limit: usize,
) -> Result<Vec<Delivery>, Error> {
    let rows = sqlx::query(
        "WITH due AS (
             SELECT order_id, version, template FROM deliveries
             WHERE status = 'pending' AND due_at <= $1 AND (claimed_until IS NULL OR claimed_until <= $1)
             ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED
         ), claimed AS (
             UPDATE deliveries SET claimed_until = $2, attempts = attempts + 1 FROM due
             WHERE (deliveries.order_id, deliveries.version, deliveries.template)
                 = (due.order_id, due.version, due.template)
             RETURNING deliveries.*
         )
         SELECT order_id, version, template, attempts, claimed_until, state_change, traceparent FROM claimed
         ORDER BY due_at, order_id, version, template",
    )
    .bind(now)
    .bind(columns::lease_end(now, lease))
    .bind(columns::limit(limit))
    .fetch_all(connection)
    .await?;
    rows.iter().map(delivery).collect()
}

async fn finish(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    finished: &[Finished],
) -> Result<(), Error> {
    let (orders, versions, templates) = keys(finished.iter().map(|finished| &finished.key));
    let claims: Vec<_> = finished.iter().map(|finished| finished.claimed_until).collect();
    let ends = finished.iter().map(|finished| match &finished.result {
        DeliveryResult::Sent => ("sent", None, None, 0),
        DeliveryResult::Retry { due_at, error } => ("pending", Some(*due_at), Some(error), 0),
        DeliveryResult::PutBack { error } => ("pending", Some(now), Some(error), 1),
        DeliveryResult::Failed { error } => ("failed", None, Some(error), 0),
    });
    let (mut statuses, mut due, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    let mut given_back = Vec::<i32>::new();
    for (status, due_at, error, attempts) in ends {
        statuses.push(status);
        due.push(due_at);
        errors.push(error.map(|error| columns::storable(error)));
        given_back.push(attempts);
    }
    // What is sent or failed stays so: a sender whose claim ran out may speak after another one has, and of several words about
    // one mail the final one counts, or else that of the newest claim. Only that claim's may end it (promise 7). In the order of
    // the keys, as in `add`.
    sqlx::query(
        "UPDATE deliveries SET
             status = said.status, due_at = coalesce(said.due_at, deliveries.due_at), claimed_until = NULL,
             last_error = said.error, finished_at = CASE WHEN said.status <> 'pending' THEN $9 END,
             attempts = greatest(deliveries.attempts - said.given_back, 0)
         FROM (
             SELECT DISTINCT ON (order_id, version, template) *
             FROM UNNEST($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::timestamptz[], $6::text[], $7::int[],
                         $8::timestamptz[])
                 AS word (order_id, version, template, status, due_at, error, given_back, claimed_until)
             ORDER BY order_id, version, template, status = 'pending', claimed_until DESC
         ) AS said
         WHERE (deliveries.order_id, deliveries.version, deliveries.template)
             = (said.order_id, said.version, said.template)
             AND deliveries.status = 'pending'
             AND (said.status <> 'pending' OR deliveries.claimed_until = said.claimed_until)",
    )
    .bind(orders)
    .bind(versions)
    .bind(templates)
    .bind(statuses)
    .bind(due)
    .bind(errors)
    .bind(given_back)
    .bind(claims)
    .bind(now)
    .execute(connection)
    .await?;
    Ok(())
}

fn keys<'a>(keys: impl Iterator<Item = &'a DeliveryKey>) -> (Vec<Uuid>, Vec<i64>, Vec<&'a str>) {
    let (mut orders, mut versions, mut templates) = (Vec::new(), Vec::new(), Vec::new());
    for DeliveryKey { order_id, version, template } in keys {
        orders.push(order_id.as_uuid());
        versions.push(columns::version(version.get()));
        templates.push(template.as_str());
    }
    (orders, versions, templates)
}

fn delivery(row: &PgRow) -> Result<Delivery, Error> {
    let attempts: i32 = row.try_get("attempts")?;
    let traceparent: Option<String> = row.try_get("traceparent")?;
    Ok(Delivery {
        key: DeliveryKey {
            order_id: columns::order_id(row)?,
            version: columns::version_from(row)?,
            template: row.try_get("template")?,
        },
        state_change: Bytes::from(row.try_get::<Vec<u8>, _>("state_change")?),
        attempts: u32::try_from(attempts).unwrap_or_default(),
        claimed_until: row.try_get("claimed_until")?,
        // What is not one is nobody's trace; the mail goes out all the same.
        traceparent: traceparent.and_then(|text| text.parse().ok()),
    })
}
