//! [`TimerStore`] on the tables `timers` and `timer_versions`.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use events::{OrderId, Version};
use ports::{StoreError, Timer, TimerKey, TimerKind, TimerStore};
use sqlx::{Connection as _, PgConnection, Row as _, postgres::PgRow};
use uuid::Uuid;

use crate::{columns, error::Error, session::PostgresStore};

/// Of each order the newest version that a call names, and its timers.
type Newest<'a> = BTreeMap<OrderId, (Version, &'a [Timer])>;

#[async_trait]
impl TimerStore for PostgresStore {
    async fn replace(&self, orders: &[(OrderId, Version, Vec<Timer>)]) -> Result<(), StoreError> {
        let mut newest = Newest::new();
        for (order, version, timers) in orders {
            if newest.get(order).is_none_or(|(other, _)| other <= version) {
                newest.insert(*order, (*version, timers));
            }
        }
        if newest.is_empty() {
            return Ok(());
        }
        Ok(self.run(async |connection| replace(connection, &newest).await).await?)
    }

    async fn claim(
        &self,
        now: DateTime<Utc>,
        lease: Duration,
        limit: usize,
    ) -> Result<Vec<Timer>, StoreError> {
        Ok(self.run(async |connection| claim(connection, now, lease, limit).await).await?)
    }

    async fn fired(&self, timers: &[Timer]) -> Result<(), StoreError> {
        if timers.is_empty() {
            return Ok(());
        }
        Ok(self.run(async |connection| remove(connection, timers).await).await?)
    }

    async fn next_due(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        let next_due = async |connection: &mut PgConnection| {
            Ok(sqlx::query_scalar("SELECT min(due_at) FROM timers WHERE claimed_until IS NULL")
                .fetch_one(connection)
                .await?)
        };
        Ok(self.run::<_, Error>(next_due).await?)
    }

    async fn count(&self) -> Result<u64, StoreError> {
        let count = async |connection: &mut PgConnection| {
            let count: i64 =
                sqlx::query_scalar("SELECT count(*) FROM timers").fetch_one(connection).await?;
            columns::unsigned(count)
        };
        Ok(self.run(count).await?)
    }

    async fn overdue(&self, now: DateTime<Utc>) -> Result<u64, StoreError> {
        let count = async |connection: &mut PgConnection| {
            let count = sqlx::query_scalar("SELECT count(*) FROM timers WHERE due_at <= $1");
            columns::unsigned(count.bind(now).fetch_one(connection).await?)
        };
        Ok(self.run(count).await?)
    }
}

async fn replace(connection: &mut PgConnection, newest: &Newest<'_>) -> Result<(), Error> {
    let mut transaction = connection.begin().await?;
    let moved = move_versions(&mut transaction, newest).await?;
    sqlx::query("DELETE FROM timers WHERE order_id = ANY($1)")
        .bind(&moved)
        .execute(&mut *transaction)
        .await?;
    let timers: Vec<_> = moved
        .iter()
        .filter_map(|order| newest.get(&OrderId::new(*order)))
        .flat_map(|(_, timers)| *timers)
        .collect();
    insert(&mut transaction, &timers).await?;
    Ok(transaction.commit().await?)
}

/// Compares and sets; returns the orders of which no newer version came before. Their rows stay locked, one after the
/// other in the order of the ids, so that two who replace the same orders never wait for each other in a circle.
async fn move_versions(
    connection: &mut PgConnection,
    newest: &Newest<'_>,
) -> Result<Vec<Uuid>, Error> {
    let orders: Vec<_> = newest.keys().map(OrderId::as_uuid).collect();
    let versions: Vec<_> =
        newest.values().map(|(version, _)| columns::version(version.get())).collect();
    Ok(sqlx::query_scalar(
        "INSERT INTO timer_versions AS known (order_id, version)
         SELECT * FROM UNNEST($1::uuid[], $2::bigint[]) AS new (order_id, version) ORDER BY order_id
         ON CONFLICT (order_id) DO UPDATE SET version = EXCLUDED.version WHERE known.version <= EXCLUDED.version
         RETURNING order_id",
    )
    .bind(orders)
    .bind(versions)
    .fetch_all(connection)
    .await?)
}

async fn insert(connection: &mut PgConnection, timers: &[&Timer]) -> Result<(), Error> {
    if timers.is_empty() {
        return Ok(());
    }
    let (orders, kinds, versions) = keys(timers.iter().copied());
    let due: Vec<_> = timers.iter().map(|timer| timer.due_at).collect();
    let (amounts, currencies): (Vec<_>, Vec<_>) = timers
        .iter()
        .map(|timer| match &timer.amount {
            Some((amount, currency)) => (Some(*amount), Some(currency.as_str())),
            None => (None, None),
        })
        .unzip();
    sqlx::query(
        "INSERT INTO timers (order_id, kind, version, due_at, amount_minor, currency)
         SELECT * FROM UNNEST($1::uuid[], $2::text[], $3::bigint[], $4::timestamptz[], $5::bigint[], $6::text[])",
    )
    .bind(orders)
    .bind(kinds)
    .bind(versions)
    .bind(due)
    .bind(amounts)
    .bind(currencies)
    .execute(connection)
    .await?;
    Ok(())
}

/// Passes over rows that another worker is claiming at this moment instead of waiting for them.
async fn claim(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    lease: Duration,
    limit: usize,
) -> Result<Vec<Timer>, Error> {
    let rows = sqlx::query(
        "WITH due AS (
             SELECT order_id, kind FROM timers
             WHERE due_at <= $1 AND (claimed_until IS NULL OR claimed_until <= $1)
             ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED
         ), claimed AS (
             UPDATE timers SET claimed_until = $2 FROM due
             WHERE (timers.order_id, timers.kind) = (due.order_id, due.kind)
             RETURNING timers.*
         )
         SELECT order_id, kind, version, due_at, amount_minor, currency FROM claimed
         ORDER BY due_at, order_id, kind",
    )
    .bind(now)
    .bind(columns::lease_end(now, lease))
    .bind(columns::limit(limit))
    .fetch_all(connection)
    .await?;
    rows.iter().map(timer).collect()
}

/// A row that is locked is being replaced by a newer version, or claimed once more: it is not ours to remove, and
/// firing it once more does no harm.
async fn remove(connection: &mut PgConnection, timers: &[Timer]) -> Result<(), Error> {
    let (orders, kinds, versions) = keys(timers.iter());
    sqlx::query(
        "WITH fired AS (
             SELECT timers.order_id, timers.kind FROM timers
             JOIN UNNEST($1::uuid[], $2::text[], $3::bigint[]) AS fired (order_id, kind, version)
                 ON (timers.order_id, timers.kind, timers.version) = (fired.order_id, fired.kind, fired.version)
             FOR UPDATE OF timers SKIP LOCKED
         )
         DELETE FROM timers USING fired WHERE (timers.order_id, timers.kind) = (fired.order_id, fired.kind)",
    )
    .bind(orders)
    .bind(kinds)
    .bind(versions)
    .execute(connection)
    .await?;
    Ok(())
}

fn keys<'a>(timers: impl Iterator<Item = &'a Timer>) -> (Vec<Uuid>, Vec<&'static str>, Vec<i64>) {
    let (mut orders, mut kinds, mut versions) = (Vec::new(), Vec::new(), Vec::new());
    for Timer { key, version, .. } in timers {
        orders.push(key.order_id.as_uuid());
        kinds.push(key.kind.name());
        versions.push(columns::version(version.get()));
    }
    (orders, kinds, versions)
}

fn timer(row: &PgRow) -> Result<Timer, Error> {
    let amount: Option<i64> = row.try_get("amount_minor")?;
    let currency: Option<String> = row.try_get("currency")?;
    Ok(Timer {
        key: TimerKey {
            order_id: columns::order_id(row)?,
            kind: columns::named("kind", row.try_get("kind")?, TimerKind::from_name)?,
        },
        version: columns::version_from(row)?,
        due_at: row.try_get("due_at")?,
        amount: amount.zip(currency),
    })
}
