//! An order and one of its events, together: what the api asks before it appends, and after.

use bytes::Bytes;
use events::{EventId, OrderId};
use ports::{LookedUp, Offset, Position, StoredSnapshot};
use sqlx::{Row as _, SqlitePool, sqlite::SqliteRow};

use super::history::history_row;
use crate::database::{self, Error};

/// One row a history row, or one without if there is none; none for an unknown order. The questions come first
/// (`CROSS JOIN` keeps SQLite from turning the tables round), so each is two look-ups by key; of an event that came again
/// and again only the first rows are read.
const LOOK_UP: &str = r#"
    SELECT asked.key AS n, orders.partition AS snapshot_partition, orders."offset" AS snapshot_offset,
           orders.snapshot, orders.order_id, rows.partition, rows."offset", rows.version, rows.event_id, rows.event,
           rows.outcome, rows.from_state, rows.to_state, rows.reason, rows.recorded, rows.occurred_at, rows.actor,
           rows.record
    FROM json_each($1) AS asked
    CROSS JOIN orders ON orders.order_id = json_extract(asked.value, '$[0]')
    LEFT JOIN order_history AS rows ON rows.rowid IN (
        SELECT rowid FROM order_history
        WHERE order_history.order_id = orders.order_id AND event_id = json_extract(asked.value, '$[1]')
        ORDER BY "offset" LIMIT $2
    )
    ORDER BY n, rows."offset"
"#;

pub(super) async fn look_up(
    pool: &SqlitePool,
    questions: &[(OrderId, EventId)],
) -> Result<Vec<Option<LookedUp>>, Error> {
    let asked = questions
        .iter()
        .map(|(order, event)| serde_json::Value::from_iter([order.to_string(), event.to_string()]));
    let asked = serde_json::Value::from_iter(asked);
    let rows = sqlx::query(LOOK_UP)
        .bind(asked.to_string())
        .bind(database::limit(LookedUp::HISTORY_MAX))
        .fetch_all(pool)
        .await?;
    let mut answers: Vec<Option<LookedUp>> = vec![None; questions.len()];
    for row in &rows {
        let n = usize::try_from(row.try_get::<i64, _>("n")?).unwrap_or(usize::MAX);
        let Some(answer) = answers.get_mut(n) else { continue };
        if answer.is_none() {
            *answer = Some(LookedUp { snapshot: snapshot(row)?, history: Vec::new() });
        }
        let is_history = row.try_get::<Option<i64>, _>("offset")?.is_some();
        if let Some(answer) = answer.as_mut().filter(|_| is_history) {
            answer.history.push(history_row(row)?);
        }
    }
    Ok(answers)
}

fn snapshot(row: &SqliteRow) -> Result<StoredSnapshot, Error> {
    Ok(StoredSnapshot {
        order_id: database::id("order_id", row.try_get("order_id")?)?,
        bytes: Bytes::from(row.try_get::<Vec<u8>, _>("snapshot")?),
        position: Position {
            partition: database::partition(row.try_get("snapshot_partition")?)?,
            offset: Offset(row.try_get("snapshot_offset")?),
        },
    })
}
