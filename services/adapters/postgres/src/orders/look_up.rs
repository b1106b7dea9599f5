//! An order and one of its events, together: what the api asks before it appends, and after.

use bytes::Bytes;
use events::{EventId, OrderId};
use ports::{LookedUp, Offset, Partition, Position, StoredSnapshot};
use sqlx::{PgConnection, Row as _, postgres::PgRow};

use super::history::history_row;
use crate::{columns, error::Error};

/// One row a history row, or one without if there is none; none for an unknown order.
const LOOK_UP: &str = r#"
    SELECT asked.n, orders.partition AS snapshot_partition, orders."offset" AS snapshot_offset, orders.snapshot,
           orders.order_id, rows.partition, rows."offset", rows.version, rows.event_id, rows.event, rows.outcome,
           rows.from_state, rows.to_state, rows.reason, rows.recorded, rows.occurred_at, rows.actor, rows.record
    FROM UNNEST($1::uuid[], $2::uuid[]) WITH ORDINALITY AS asked (order_id, event_id, n)
    JOIN orders ON orders.order_id = asked.order_id
    LEFT JOIN LATERAL (
        SELECT * FROM order_history
        WHERE order_history.order_id = asked.order_id AND order_history.event_id = asked.event_id
        ORDER BY "offset" LIMIT $3
    ) AS rows ON true
    ORDER BY asked.n, rows."offset"
"#;

pub(super) async fn look_up(
    connection: &mut PgConnection,
    questions: &[(OrderId, EventId)],
) -> Result<Vec<Option<LookedUp>>, Error> {
    let (orders, events): (Vec<_>, Vec<_>) =
        questions.iter().map(|(order, event)| (order.as_uuid(), event.as_uuid())).unzip();
    let rows = sqlx::query(LOOK_UP)
        .bind(orders)
        .bind(events)
        .bind(columns::limit(LookedUp::HISTORY_MAX))
        .fetch_all(connection)
        .await?;
    let mut answers: Vec<Option<LookedUp>> = vec![None; questions.len()];
    for row in &rows {
        // Ordinality counts from 1.
        let n = usize::try_from(row.try_get::<i64, _>("n")?).unwrap_or_default();
        let Some(answer) = n.checked_sub(1).and_then(|n| answers.get_mut(n)) else { continue };
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

fn snapshot(row: &PgRow) -> Result<StoredSnapshot, Error> {
    let partition: i32 = row.try_get("snapshot_partition")?;
    let partition = Partition(u32::try_from(partition).map_err(|_| columns::negative(partition))?);
    Ok(StoredSnapshot {
        order_id: columns::order_id(row)?,
        bytes: Bytes::from(row.try_get::<Vec<u8>, _>("snapshot")?),
        position: Position { partition, offset: Offset(row.try_get("snapshot_offset")?) },
    })
}
