//! The table `order_history`: one row a record, in the order of the log. Only what an order was parked for is written anew.

use std::ops::Range;

use bytes::Bytes;
use events::{EventKind, OrderId, Rejection, State};
use ports::{HistoryOutcome, HistoryRow, Offset, Partition};
use sqlx::{
    QueryBuilder, Row as _, Sqlite, SqliteConnection, SqlitePool, query_builder::Separated,
    sqlite::SqliteRow,
};

use crate::database::{self, Error};

pub(super) async fn store(
    connection: &mut SqliteConnection,
    history: &[HistoryRow],
) -> Result<(), Error> {
    for chunk in database::statements(history) {
        let mut insert = QueryBuilder::<Sqlite>::new(
            r#"INSERT INTO order_history (
                   partition, "offset", order_id, version, event_id, event, outcome, from_state, to_state, reason,
                   recorded, occurred_at, actor, record
               ) "#,
        );
        insert.push_values(chunk, push);
        insert.build().execute(&mut *connection).await?;
    }
    Ok(())
}

fn push(mut values: Separated<'_, Sqlite, &'static str>, row: &HistoryRow) {
    let (from, to, reason) = row.outcome.parts();
    values
        .push_bind(i64::from(row.position.partition.0))
        .push_bind(row.position.offset.0)
        .push_bind(row.order_id.to_string())
        .push_bind(database::signed(row.version))
        .push_bind(row.event_id.to_string())
        .push_bind(row.kind.name())
        .push_bind(row.outcome.name())
        .push_bind(from.map(State::name))
        .push_bind(to.map(State::name))
        .push_bind(reason.map(Rejection::name))
        .push_bind(row.outcome.is_recorded())
        .push_bind(database::micros(row.occurred_at))
        .push_bind(row.actor.clone())
        .push_bind(row.event.to_vec());
}

/// Puts rows in the place of those of the same records.
pub(super) async fn replace(
    connection: &mut SqliteConnection,
    history: &[HistoryRow],
) -> Result<(), Error> {
    for row in history {
        sqlx::query(r#"DELETE FROM order_history WHERE partition = $1 AND "offset" = $2"#)
            .bind(i64::from(row.position.partition.0))
            .bind(row.position.offset.0)
            .execute(&mut *connection)
            .await?;
    }
    store(connection, history).await
}

/// An order lies in one partition, so its offsets are its order.
pub(super) async fn page(
    pool: &SqlitePool,
    order: OrderId,
    after: Option<Offset>,
    limit: usize,
) -> Result<Vec<HistoryRow>, Error> {
    let rows = sqlx::query(
        r#"SELECT partition, "offset", order_id, version, event_id, event, outcome, from_state, to_state, reason,
                  recorded, occurred_at, actor, record
           FROM order_history WHERE order_id = $1 AND "offset" > $2 ORDER BY "offset" LIMIT $3"#,
    )
    .bind(order.to_string())
    .bind(after.map_or(-1, |after| after.0))
    .bind(database::limit(limit))
    .fetch_all(pool)
    .await?;
    rows.iter().map(history_row).collect()
}

pub(super) async fn rows(
    pool: &SqlitePool,
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
    .bind(i64::from(partition.0))
    .bind(offsets.start.0)
    .bind(offsets.end.0)
    .bind(database::limit(limit))
    .fetch_all(pool)
    .await?;
    rows.iter().map(history_row).collect()
}

pub(super) async fn touched_since(
    pool: &SqlitePool,
    partition: Partition,
    from: Offset,
    limit: usize,
) -> Result<Vec<(OrderId, Offset)>, Error> {
    let rows: Vec<(String, i64)> = sqlx::query_as(
        r#"SELECT order_id, min("offset") AS first FROM order_history
           WHERE partition = $1 AND "offset" >= $2 GROUP BY order_id ORDER BY first LIMIT $3"#,
    )
    .bind(i64::from(partition.0))
    .bind(from.0)
    .bind(database::limit(limit))
    .fetch_all(pool)
    .await?;
    let touched =
        |(order, first): (String, i64)| Ok((database::id("order_id", &order)?, Offset(first)));
    rows.into_iter().map(touched).collect()
}

pub(super) fn history_row(row: &SqliteRow) -> Result<HistoryRow, Error> {
    Ok(HistoryRow {
        order_id: database::id("order_id", row.try_get("order_id")?)?,
        position: database::position(row)?,
        version: database::unsigned(row.try_get("version")?)?,
        event_id: database::id("event_id", row.try_get("event_id")?)?,
        kind: database::named("event", row.try_get("event")?, EventKind::from_name)?,
        outcome: outcome(row)?,
        occurred_at: database::instant(row.try_get("occurred_at")?)?,
        actor: row.try_get("actor")?,
        event: Bytes::from(row.try_get::<Vec<u8>, _>("record")?),
    })
}

fn outcome(row: &SqliteRow) -> Result<HistoryOutcome, Error> {
    let from = state(row, "from_state")?;
    let to = state(row, "to_state")?;
    let reason: Option<&str> = row.try_get("reason")?;
    let name: &str = row.try_get("outcome")?;
    match (name, to, reason) {
        ("applied", Some(to), None) => Ok(HistoryOutcome::Applied { from, to }),
        ("rejected", state, Some(reason)) => Ok(HistoryOutcome::Rejected {
            reason: database::named("reason", reason, Rejection::from_name)?,
            state,
            recorded: row.try_get("recorded")?,
        }),
        ("duplicate", Some(state), None) => Ok(HistoryOutcome::Duplicate { state }),
        ("parked", state, None) => Ok(HistoryOutcome::Parked { state }),
        _ => Err(Error::Corrupt(format!(
            "a history row says {name:?}, to state {to:?}, for reason {reason:?}"
        ))),
    }
}

fn state(row: &SqliteRow, column: &str) -> Result<Option<State>, Error> {
    let name: Option<&str> = row.try_get(column)?;
    name.map(|name| database::named(column, name, State::from_name)).transpose()
}
