//! The table `orders`: the columns are written for people, the bytes are what is read back.

use bytes::Bytes;
use events::{OrderId, State};
use ports::{CommitError, ListKey, OrderFilter, SnapshotRow, StoredSnapshot};
use sqlx::{
    QueryBuilder, Row as _, Sqlite, SqliteConnection, SqlitePool, query_builder::Separated,
    sqlite::SqliteRow,
};

use crate::database::{self, Error};

pub(super) async fn store(
    connection: &mut SqliteConnection,
    snapshots: &[SnapshotRow],
) -> Result<(), CommitError> {
    let mut stored = 0;
    for chunk in database::statements(snapshots) {
        let mut upsert = QueryBuilder::<Sqlite>::new(
            r#"INSERT INTO orders (
                   order_id, state, version, currency, total_minor, captured_minor, refunded_minor, region,
                   customer_email, payment_gateway, anomalies, placed_at, updated_at, partition, "offset", snapshot
               ) "#,
        );
        upsert.push_values(chunk, push);
        // A snapshot only ever gives way to one that is as new or newer.
        upsert.push(
            r#" ON CONFLICT (order_id) DO UPDATE SET
                    state = excluded.state, version = excluded.version, captured_minor = excluded.captured_minor,
                    refunded_minor = excluded.refunded_minor, anomalies = excluded.anomalies,
                    updated_at = excluded.updated_at, partition = excluded.partition,
                    "offset" = excluded."offset", snapshot = excluded.snapshot
                WHERE orders.version <= excluded.version"#,
        );
        let upserted = upsert.build().execute(&mut *connection).await.map_err(Error::from)?;
        stored += upserted.rows_affected();
    }
    let stale = u64::try_from(snapshots.len()).unwrap_or(u64::MAX).abs_diff(stored);
    if stale > 0 {
        return Err(CommitError::Stale(format!(
            "{stale} of {} orders are stored in a newer version than their partition's progress allows",
            snapshots.len()
        )));
    }
    Ok(())
}

fn push(mut values: Separated<'_, Sqlite, &'static str>, row: &SnapshotRow) {
    let SnapshotRow { order, bytes, position } = row;
    let details = &order.details;
    values
        .push_bind(order.id.to_string())
        .push_bind(order.state.name())
        .push_bind(database::signed(order.version.get()))
        .push_bind(details.currency().code())
        .push_bind(details.total().get())
        .push_bind(order.captured.get())
        .push_bind(order.refunded.get())
        .push_bind(details.region.to_string())
        .push_bind(details.customer.email.to_string())
        .push_bind(details.payment.gateway.to_string())
        .push_bind(i64::from(order.anomalies))
        .push_bind(database::micros(order.placed_at))
        .push_bind(database::micros(order.updated_at))
        .push_bind(i64::from(position.partition.0))
        .push_bind(position.offset.0)
        .push_bind(bytes.to_vec());
}

pub(super) async fn load(
    pool: &SqlitePool,
    orders: &[OrderId],
) -> Result<Vec<StoredSnapshot>, Error> {
    // One parameter for all: SQLite has no arrays, but it reads JSON.
    let ids = serde_json::Value::from_iter(orders.iter().map(ToString::to_string));
    let rows = sqlx::query(
        r#"SELECT order_id, partition, "offset", snapshot FROM orders
           WHERE order_id IN (SELECT value FROM json_each($1))"#,
    )
    .bind(ids.to_string())
    .fetch_all(pool)
    .await?;
    rows.iter().map(stored).collect()
}

pub(super) async fn scan(
    pool: &SqlitePool,
    after: Option<OrderId>,
    limit: usize,
) -> Result<Vec<StoredSnapshot>, Error> {
    let rows = sqlx::query(
        r#"SELECT order_id, partition, "offset", snapshot FROM orders
           WHERE order_id > $1 ORDER BY order_id LIMIT $2"#,
    )
    .bind(after.map_or_else(String::new, |order| order.to_string()))
    .bind(database::limit(limit))
    .fetch_all(pool)
    .await?;
    rows.iter().map(stored).collect()
}

/// The statement holds what the filter holds, so that each kind of filter has a plan of its own.
pub(super) async fn list(
    pool: &SqlitePool,
    filter: &OrderFilter,
    after: Option<ListKey>,
    limit: usize,
) -> Result<Vec<StoredSnapshot>, Error> {
    let mut list = QueryBuilder::<Sqlite>::new(
        r#"SELECT order_id, partition, "offset", snapshot FROM orders WHERE true"#,
    );
    if !filter.states.is_empty() {
        let states = serde_json::Value::from_iter(filter.states.iter().map(|state| state.name()));
        list.push(" AND state IN (SELECT value FROM json_each(").push_bind(states.to_string());
        list.push("))");
    }
    if let Some(region) = &filter.region {
        list.push(" AND region = ").push_bind(region);
    }
    if let Some(email) = &filter.customer_email {
        list.push(" AND customer_email = ").push_bind(email);
    }
    if let Some(from) = filter.placed_from {
        list.push(" AND placed_at >= ").push_bind(database::micros(from));
    }
    if let Some((placed_at, order_id)) = filter.before(after) {
        let order_id = order_id.map_or_else(String::new, |order| order.to_string());
        list.push(" AND (placed_at, order_id) < (").push_bind(database::micros(placed_at));
        list.push(", ").push_bind(order_id).push(")");
    }
    list.push(" ORDER BY placed_at DESC, order_id DESC LIMIT ").push_bind(database::limit(limit));
    let rows = list.build().fetch_all(pool).await?;
    rows.iter().map(stored).collect()
}

pub(super) async fn count_by_state(pool: &SqlitePool) -> Result<Vec<(State, u64)>, Error> {
    let rows: Vec<(String, i64)> =
        sqlx::query_as("SELECT state, count(*) FROM orders GROUP BY state").fetch_all(pool).await?;
    rows.into_iter()
        .map(|(state, count)| {
            let state = database::named("state", &state, State::from_name)?;
            Ok((state, database::unsigned(count)?))
        })
        .collect()
}

fn stored(row: &SqliteRow) -> Result<StoredSnapshot, Error> {
    Ok(StoredSnapshot {
        order_id: database::id("order_id", row.try_get("order_id")?)?,
        bytes: Bytes::from(row.try_get::<Vec<u8>, _>("snapshot")?),
        position: database::position(row)?,
    })
}
