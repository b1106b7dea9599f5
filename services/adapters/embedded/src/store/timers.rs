//! [`TimerStore`] on the tables `timers` and `timer_versions`.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use events::{OrderId, Version};
use ports::{StoreError, Timer, TimerKey, TimerKind, TimerStore};
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use super::SqliteStore;
use crate::database::{self, Error};

#[async_trait]
impl TimerStore for SqliteStore {
    async fn replace(&self, orders: &[(OrderId, Version, Vec<Timer>)]) -> Result<(), StoreError> {
        let mut transaction = self.database.begin().await?;
        for (order, version, timers) in orders {
            replace(&mut transaction, *order, *version, timers).await?;
        }
        Ok(transaction.commit().await.map_err(Error::from)?)
    }

    async fn claim(
        &self,
        now: DateTime<Utc>,
        lease: Duration,
        limit: usize,
    ) -> Result<Vec<Timer>, StoreError> {
        let mut transaction = self.database.begin().await?;
        let claimed = claim(&mut transaction, now, lease, limit).await?;
        transaction.commit().await.map_err(Error::from)?;
        Ok(claimed)
    }

    async fn fired(&self, timers: &[Timer]) -> Result<(), StoreError> {
        let mut transaction = self.database.begin().await?;
        for Timer { key, version, .. } in timers {
            sqlx::query("DELETE FROM timers WHERE order_id = $1 AND kind = $2 AND version = $3")
                .bind(key.order_id.to_string())
                .bind(key.kind.name())
                .bind(database::signed(version.get()))
                .execute(&mut *transaction)
                .await
                .map_err(Error::from)?;
        }
        Ok(transaction.commit().await.map_err(Error::from)?)
    }

    async fn next_due(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        let next_due: Option<i64> =
            sqlx::query_scalar("SELECT min(due_at) FROM timers WHERE claimed_until IS NULL")
                .fetch_one(&self.database.readers)
                .await
                .map_err(Error::from)?;
        Ok(next_due.map(database::instant).transpose()?)
    }

    async fn count(&self) -> Result<u64, StoreError> {
        let count = sqlx::query_scalar("SELECT count(*) FROM timers");
        let count: i64 = count.fetch_one(&self.database.readers).await.map_err(Error::from)?;
        Ok(database::unsigned(count)?)
    }

    async fn overdue(&self, now: DateTime<Utc>) -> Result<u64, StoreError> {
        let count = sqlx::query_scalar("SELECT count(*) FROM timers WHERE due_at <= $1");
        let count = count.bind(database::micros(now)).fetch_one(&self.database.readers);
        Ok(database::unsigned(count.await.map_err(Error::from)?)?)
    }
}

async fn replace(
    connection: &mut SqliteConnection,
    order: OrderId,
    version: Version,
    timers: &[Timer],
) -> Result<(), Error> {
    let order = order.to_string();
    let moved = sqlx::query(
        "INSERT INTO timer_versions (order_id, version) VALUES ($1, $2)
         ON CONFLICT DO UPDATE SET version = excluded.version WHERE timer_versions.version <= excluded.version",
    )
    .bind(&order)
    .bind(database::signed(version.get()))
    .execute(&mut *connection)
    .await?;
    if moved.rows_affected() == 0 {
        // A newer version came before.
        return Ok(());
    }
    sqlx::query("DELETE FROM timers WHERE order_id = $1")
        .bind(&order)
        .execute(&mut *connection)
        .await?;
    for Timer { key, version, due_at, amount } in timers {
        sqlx::query(
            "INSERT INTO timers (order_id, kind, version, due_at, amount_minor, currency)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(key.order_id.to_string())
        .bind(key.kind.name())
        .bind(database::signed(version.get()))
        .bind(database::micros(*due_at))
        .bind(amount.as_ref().map(|(minor, _)| *minor))
        .bind(amount.as_ref().map(|(_, currency)| currency.as_str()))
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// The transaction keeps others out meanwhile.
async fn claim(
    connection: &mut SqliteConnection,
    now: DateTime<Utc>,
    lease: Duration,
    limit: usize,
) -> Result<Vec<Timer>, Error> {
    let rows = sqlx::query(
        "SELECT rowid, order_id, kind, version, due_at, amount_minor, currency FROM timers
         WHERE due_at <= $1 AND (claimed_until IS NULL OR claimed_until <= $1)
         ORDER BY due_at, order_id, kind LIMIT $2",
    )
    .bind(database::micros(now))
    .bind(database::limit(limit))
    .fetch_all(&mut *connection)
    .await?;
    for row in &rows {
        sqlx::query("UPDATE timers SET claimed_until = $2 WHERE rowid = $1")
            .bind(row.try_get::<i64, _>("rowid")?)
            .bind(database::lease_end(now, lease))
            .execute(&mut *connection)
            .await?;
    }
    rows.iter().map(timer).collect()
}

fn timer(row: &SqliteRow) -> Result<Timer, Error> {
    let amount: Option<i64> = row.try_get("amount_minor")?;
    let currency: Option<String> = row.try_get("currency")?;
    Ok(Timer {
        key: TimerKey {
            order_id: database::id("order_id", row.try_get("order_id")?)?,
            kind: database::named("kind", row.try_get("kind")?, TimerKind::from_name)?,
        },
        version: Version::new(database::unsigned(row.try_get("version")?)?),
        due_at: database::instant(row.try_get("due_at")?)?,
        amount: amount.zip(currency),
    })
}
