//! The table `orders`: the columns are written for people, the bytes are what is read back.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use events::{OrderId, State};
use ports::{CommitError, ListKey, OrderFilter, SnapshotRow, StoredSnapshot};
use sqlx::{PgConnection, Postgres, QueryBuilder, Row as _, postgres::PgRow};
use uuid::Uuid;

use crate::{columns, copy::Copy, error::Error};

macro_rules! columns {
    () => {
        r#"(order_id, state, version, currency, total_minor, captured_minor, refunded_minor, region, customer_email,
            payment_gateway, anomalies, placed_at, updated_at, partition, "offset", snapshot)"#
    };
}

const COPY: &str = concat!("COPY orders ", columns!(), " FROM STDIN (FORMAT binary)");

/// A snapshot only ever gives way to one that is as new or newer.
const UPSERT: &str = concat!(
    "INSERT INTO orders ",
    columns!(),
    r#"
    SELECT * FROM UNNEST(
        $1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::text[],
        $9::text[], $10::text[], $11::bigint[], $12::timestamptz[], $13::timestamptz[], $14::integer[],
        $15::bigint[], $16::bytea[]
    )
    ON CONFLICT (order_id) DO UPDATE SET
        state = EXCLUDED.state, version = EXCLUDED.version, captured_minor = EXCLUDED.captured_minor,
        refunded_minor = EXCLUDED.refunded_minor, anomalies = EXCLUDED.anomalies,
        updated_at = EXCLUDED.updated_at, partition = EXCLUDED.partition, "offset" = EXCLUDED."offset",
        snapshot = EXCLUDED.snapshot
    WHERE orders.version <= EXCLUDED.version
"#
);

/// One array a column, so that any number of rows is one statement with one parse and one plan.
#[derive(Default)]
struct Columns<'a> {
    order_id: Vec<Uuid>,
    state: Vec<&'static str>,
    version: Vec<i64>,
    currency: Vec<&'static str>,
    total_minor: Vec<i64>,
    captured_minor: Vec<i64>,
    refunded_minor: Vec<i64>,
    region: Vec<&'a str>,
    customer_email: Vec<&'a str>,
    payment_gateway: Vec<&'a str>,
    anomalies: Vec<i64>,
    placed_at: Vec<DateTime<Utc>>,
    updated_at: Vec<DateTime<Utc>>,
    partition: Vec<i32>,
    offset: Vec<i64>,
    snapshot: Vec<&'a [u8]>,
}

impl<'a> Columns<'a> {
    fn push(&mut self, row: &'a SnapshotRow) {
        let SnapshotRow { order, bytes, position } = row;
        let details = &order.details;
        self.order_id.push(order.id.as_uuid());
        self.state.push(order.state.name());
        self.version.push(columns::version(order.version.get()));
        self.currency.push(details.currency().code());
        self.total_minor.push(details.total().get());
        self.captured_minor.push(order.captured.get());
        self.refunded_minor.push(order.refunded.get());
        self.region.push(details.region.as_str());
        self.customer_email.push(details.customer.email.as_str());
        self.payment_gateway.push(details.payment.gateway.as_str());
        self.anomalies.push(order.anomalies.into());
        self.placed_at.push(columns::instant(order.placed_at));
        self.updated_at.push(order.updated_at);
        self.partition.push(columns::partition(position.partition));
        self.offset.push(position.offset.0);
        self.snapshot.push(bytes);
    }
}

/// New orders, as COPY takes them, and its statement.
pub(super) fn copy(snapshots: &[SnapshotRow]) -> (&'static str, Vec<u8>) {
    let mut copy = Copy::new();
    for SnapshotRow { order, bytes, position } in snapshots {
        let details = &order.details;
        copy.row(16);
        copy.uuid(order.id.as_uuid());
        copy.text(order.state.name());
        copy.bigint(columns::version(order.version.get()));
        copy.text(details.currency().code());
        copy.bigint(details.total().get());
        copy.bigint(order.captured.get());
        copy.bigint(order.refunded.get());
        copy.text(details.region.as_str());
        copy.text(details.customer.email.as_str());
        copy.text(details.payment.gateway.as_str());
        copy.bigint(order.anomalies.into());
        copy.instant(columns::instant(order.placed_at));
        copy.instant(order.updated_at);
        copy.integer(columns::partition(position.partition));
        copy.bigint(position.offset.0);
        copy.bytes(bytes);
    }
    (COPY, copy.finish())
}

pub(super) async fn store(
    connection: &mut PgConnection,
    snapshots: &[SnapshotRow],
) -> Result<(), CommitError> {
    if snapshots.is_empty() {
        return Ok(());
    }
    let mut columns = Columns::default();
    for row in snapshots {
        columns.push(row);
    }
    let done = sqlx::query(UPSERT)
        .bind(columns.order_id)
        .bind(columns.state)
        .bind(columns.version)
        .bind(columns.currency)
        .bind(columns.total_minor)
        .bind(columns.captured_minor)
        .bind(columns.refunded_minor)
        .bind(columns.region)
        .bind(columns.customer_email)
        .bind(columns.payment_gateway)
        .bind(columns.anomalies)
        .bind(columns.placed_at)
        .bind(columns.updated_at)
        .bind(columns.partition)
        .bind(columns.offset)
        .bind(columns.snapshot)
        .execute(connection)
        .await
        .map_err(Error::from)?;
    let stale = u64::try_from(snapshots.len()).unwrap_or(u64::MAX).abs_diff(done.rows_affected());
    if stale > 0 {
        return Err(CommitError::Stale(format!(
            "{stale} of {} orders are stored in a newer version than their partition's progress allows",
            snapshots.len()
        )));
    }
    Ok(())
}

pub(super) async fn load(
    connection: &mut PgConnection,
    orders: &[OrderId],
) -> Result<Vec<StoredSnapshot>, Error> {
    let orders: Vec<_> = orders.iter().map(OrderId::as_uuid).collect();
    let rows = sqlx::query(
        r#"SELECT order_id, partition, "offset", snapshot FROM orders WHERE order_id = ANY($1)"#,
    )
    .bind(orders)
    .fetch_all(connection)
    .await?;
    rows.iter().map(stored).collect()
}

pub(super) async fn scan(
    connection: &mut PgConnection,
    after: Option<OrderId>,
    limit: usize,
) -> Result<Vec<StoredSnapshot>, Error> {
    let rows = sqlx::query(
        r#"SELECT order_id, partition, "offset", snapshot FROM orders
           WHERE $1 IS NULL OR order_id > $1 ORDER BY order_id LIMIT $2"#,
    )
    .bind(after.map(|order| order.as_uuid()))
    .bind(columns::limit(limit))
    .fetch_all(connection)
    .await?;
    rows.iter().map(stored).collect()
}

/// The statement holds what the filter holds, so that each kind of filter has a plan of its own.
pub(super) async fn list(
    connection: &mut PgConnection,
    filter: &OrderFilter,
    after: Option<ListKey>,
    limit: usize,
) -> Result<Vec<StoredSnapshot>, Error> {
    let texts = [&filter.region, &filter.customer_email];
    if texts.into_iter().flatten().any(|text| text.contains('\0')) {
        // No column can hold it, so none does; Postgres would call it an error.
        return Ok(Vec::new());
    }
    let mut list = QueryBuilder::<Postgres>::new(
        r#"SELECT order_id, partition, "offset", snapshot FROM orders WHERE true"#,
    );
    if !filter.states.is_empty() {
        let states: Vec<_> = filter.states.iter().map(|state| state.name()).collect();
        list.push(" AND state = ANY(").push_bind(states).push(")");
    }
    if let Some(region) = &filter.region {
        list.push(" AND region = ").push_bind(region);
    }
    if let Some(email) = &filter.customer_email {
        list.push(" AND customer_email = ").push_bind(email);
    }
    if let Some(from) = filter.placed_from {
        list.push(" AND placed_at >= ").push_bind(columns::instant(from));
    }
    if let Some((placed_at, order_id)) = filter.before(after) {
        let order_id = order_id.map_or_else(Uuid::nil, |order| order.as_uuid());
        list.push(" AND (placed_at, order_id) < (").push_bind(placed_at);
        list.push(", ").push_bind(order_id).push(")");
    }
    list.push(" ORDER BY placed_at DESC, order_id DESC LIMIT ").push_bind(columns::limit(limit));
    let rows = list.build().fetch_all(connection).await?;
    rows.iter().map(stored).collect()
}

pub(super) async fn count_by_state(
    connection: &mut PgConnection,
) -> Result<Vec<(State, u64)>, Error> {
    let rows =
        sqlx::query_as::<_, (String, i64)>("SELECT state, count(*) FROM orders GROUP BY state")
            .fetch_all(connection)
            .await?;
    rows.into_iter()
        .map(|(state, count)| {
            Ok((columns::named("state", &state, State::from_name)?, columns::unsigned(count)?))
        })
        .collect()
}

fn stored(row: &PgRow) -> Result<StoredSnapshot, Error> {
    Ok(StoredSnapshot {
        order_id: columns::order_id(row)?,
        bytes: Bytes::from(row.try_get::<Vec<u8>, _>("snapshot")?),
        position: columns::position(row)?,
    })
}
