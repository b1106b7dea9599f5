//! The table `order_history`: one row a record, in the order of the log. Only what an order was parked for is written anew.

use std::{collections::HashSet, ops::Range};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use events::{EventId, EventKind, OrderId};
use ports::{HistoryRow, Offset, Partition};
use sqlx::{PgConnection, Row as _, postgres::PgRow};
use uuid::Uuid;

use super::outcome::{OutcomeColumns, outcome};
use crate::{columns, copy::Copy, error::Error};

macro_rules! columns {
    () => {
        r#"(partition, "offset", order_id, version, event_id, event, outcome, from_state, to_state, reason, recorded,
            occurred_at, actor, record)"#
    };
}

const COPY: &str = concat!("COPY order_history ", columns!(), " FROM STDIN (FORMAT binary)");

const INSERT: &str = concat!(
    "INSERT INTO order_history ",
    columns!(),
    r#"
    SELECT * FROM UNNEST(
        $1::integer[], $2::bigint[], $3::uuid[], $4::bigint[], $5::uuid[], $6::text[], $7::text[], $8::text[],
        $9::text[], $10::text[], $11::boolean[], $12::timestamptz[], $13::text[], $14::bytea[]
    )
"#
);

/// One array a column, as in the snapshots.
#[derive(Default)]
struct Columns<'a> {
    partition: Vec<i32>,
    offset: Vec<i64>,
    order_id: Vec<Uuid>,
    version: Vec<i64>,
    event_id: Vec<Uuid>,
    event: Vec<&'static str>,
    outcome: Vec<&'static str>,
    from_state: Vec<Option<&'static str>>,
    to_state: Vec<Option<&'static str>>,
    reason: Vec<Option<&'static str>>,
    recorded: Vec<bool>,
    occurred_at: Vec<DateTime<Utc>>,
    actor: Vec<Option<&'a str>>,
    record: Vec<&'a [u8]>,
}

impl<'a> Columns<'a> {
    fn push(&mut self, row: &'a HistoryRow) {
        let OutcomeColumns { outcome, from_state, to_state, reason, recorded } = row.outcome.into();
        self.partition.push(columns::partition(row.position.partition));
        self.offset.push(row.position.offset.0);
        self.order_id.push(row.order_id.as_uuid());
        self.version.push(columns::version(row.version));
        self.event_id.push(row.event_id.as_uuid());
        self.event.push(row.kind.name());
        self.outcome.push(outcome);
        self.from_state.push(from_state);
        self.to_state.push(to_state);
        self.reason.push(reason);
        self.recorded.push(recorded);
        self.occurred_at.push(row.occurred_at);
        self.actor.push(row.actor.as_deref());
        self.record.push(&row.event);
    }
}

/// New rows, as COPY takes them, and its statement.
pub(super) fn copy(history: &[HistoryRow]) -> (&'static str, Vec<u8>) {
    let mut copy = Copy::new();
    for row in history {
        let OutcomeColumns { outcome, from_state, to_state, reason, recorded } = row.outcome.into();
        copy.row(14);
        copy.integer(columns::partition(row.position.partition));
        copy.bigint(row.position.offset.0);
        copy.uuid(row.order_id.as_uuid());
        copy.bigint(columns::version(row.version));
        copy.uuid(row.event_id.as_uuid());
        copy.text(row.kind.name());
        copy.text(outcome);
        copy.text_or_null(from_state);
        copy.text_or_null(to_state);
        copy.text_or_null(reason);
        copy.boolean(recorded);
        copy.instant(row.occurred_at);
        copy.text_or_null(row.actor.as_deref());
        copy.bytes(&row.event);
    }
    (COPY, copy.finish())
}

pub(super) async fn store(
    connection: &mut PgConnection,
    history: &[HistoryRow],
) -> Result<(), Error> {
    if history.is_empty() {
        return Ok(());
    }
    let mut columns = Columns::default();
    for row in history {
        columns.push(row);
    }
    sqlx::query(INSERT)
        .bind(columns.partition)
        .bind(columns.offset)
        .bind(columns.order_id)
        .bind(columns.version)
        .bind(columns.event_id)
        .bind(columns.event)
        .bind(columns.outcome)
        .bind(columns.from_state)
        .bind(columns.to_state)
        .bind(columns.reason)
        .bind(columns.recorded)
        .bind(columns.occurred_at)
        .bind(columns.actor)
        .bind(columns.record)
        .execute(connection)
        .await?;
    Ok(())
}

/// Puts rows in the place of those of the same records.
pub(super) async fn replace(
    connection: &mut PgConnection,
    history: &[HistoryRow],
) -> Result<(), Error> {
    let partitions = history.iter().map(|row| columns::partition(row.position.partition));
    let offsets: Vec<_> = history.iter().map(|row| row.position.offset.0).collect();
    sqlx::query(
        r#"DELETE FROM order_history USING UNNEST($1::integer[], $2::bigint[]) AS place (partition, "offset")
           WHERE order_history.partition = place.partition AND order_history."offset" = place."offset""#,
    )
    .bind(partitions.collect::<Vec<_>>())
    .bind(offsets)
    .execute(&mut *connection)
    .await?;
    store(connection, history).await
}

/// An order lies in one partition, so its offsets are its order.
pub(super) async fn page(
    connection: &mut PgConnection,
    order: OrderId,
    after: Option<Offset>,
    limit: usize,
) -> Result<Vec<HistoryRow>, Error> {
    let rows = sqlx::query(
        r#"SELECT partition, "offset", order_id, version, event_id, event, outcome, from_state, to_state, reason,
                  recorded, occurred_at, actor, record
           FROM order_history WHERE order_id = $1 AND "offset" > $2 ORDER BY "offset" LIMIT $3"#,
    )
    .bind(order.as_uuid())
    .bind(after.map_or(-1, |after| after.0))
    .bind(columns::limit(limit))
    .fetch_all(connection)
    .await?;
    rows.iter().map(history_row).collect()
}

/// An index is looked into once for each order, whatever the planner believes of how many rows one has.
pub(super) async fn histories(
    connection: &mut PgConnection,
    orders: &[OrderId],
    limit: usize,
) -> Result<Vec<HistoryRow>, Error> {
    let orders: Vec<_> = orders.iter().map(OrderId::as_uuid).collect();
    let rows = sqlx::query(
        r#"SELECT page.* FROM UNNEST($1::uuid[]) AS wanted (order_id) CROSS JOIN LATERAL (
               SELECT partition, "offset", order_id, version, event_id, event, outcome, from_state, to_state, reason,
                      recorded, occurred_at, actor, record
               FROM order_history WHERE order_history.order_id = wanted.order_id ORDER BY "offset" LIMIT $2
           ) AS page"#,
    )
    .bind(orders)
    .bind(columns::limit(limit))
    .fetch_all(connection)
    .await?;
    rows.iter().map(history_row).collect()
}

pub(super) async fn rows(
    connection: &mut PgConnection,
    partition: Partition,
    offsets: Range<Offset>,
    limit: usize,
) -> Result<Vec<HistoryRow>, Error> {
    let rows = sqlx::query(
        r#"SELECT partition, "offset", order_id, version, event_id, event, outcome, from_state, to_state, reason,
                  recorded, occurred_at, actor, record
           FROM order_history WHERE partition = $1 AND "offset" >= $2 AND "offset" < $3
           ORDER BY "offset" LIMIT $4"#,
    )
    .bind(columns::partition(partition))
    .bind(offsets.start.0)
    .bind(offsets.end.0)
    .bind(columns::limit(limit))
    .fetch_all(connection)
    .await?;
    rows.iter().map(history_row).collect()
}

/// Goes through the rows a page at a time and stops at `limit` orders: how much was not announced, and how many rows
/// an order has among it, is not known beforehand.
pub(super) async fn touched_since(
    connection: &mut PgConnection,
    partition: Partition,
    mut from: Offset,
    limit: usize,
) -> Result<Vec<(OrderId, Offset)>, Error> {
    let mut seen = HashSet::new();
    let mut touched = Vec::new();
    while touched.len() < limit {
        let page: Vec<(Uuid, i64)> = sqlx::query_as(
            r#"SELECT order_id, "offset" FROM order_history
               WHERE partition = $1 AND "offset" >= $2 ORDER BY "offset" LIMIT $3"#,
        )
        .bind(columns::partition(partition))
        .bind(from.0)
        .bind(columns::limit(limit))
        .fetch_all(&mut *connection)
        .await?;
        let Some((_, last)) = page.last() else { break };
        from = Offset(*last).next();
        for (order, offset) in page {
            if touched.len() < limit && seen.insert(order) {
                touched.push((OrderId::new(order), Offset(offset)));
            }
        }
    }
    Ok(touched)
}

pub(super) fn history_row(row: &PgRow) -> Result<HistoryRow, Error> {
    Ok(HistoryRow {
        order_id: columns::order_id(row)?,
        position: columns::position(row)?,
        version: columns::unsigned(row.try_get("version")?)?,
        event_id: EventId::new(row.try_get("event_id")?),
        kind: columns::named("event", row.try_get("event")?, EventKind::from_name)?,
        outcome: outcome(row)?,
        occurred_at: row.try_get("occurred_at")?,
        actor: row.try_get("actor")?,
        event: Bytes::from(row.try_get::<Vec<u8>, _>("record")?),
    })
}
