//! Statements on the tables `partitions`, `records` and `group_offsets`.

use bytes::Bytes;
use chrono::DateTime;
use futures::TryStreamExt as _;
use ports::{Group, LogRecord, Offset, Partition, Position, Topic};
use sqlx::{QueryBuilder, Row as _, Sqlite, SqliteConnection, SqlitePool, sqlite::SqliteRow};

use super::pending::{Ends, Pending};
use crate::{
    database::{Error, statements},
    headers,
};

/// Bytes of values after which a read stops, so that large records do not fill the memory.
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

pub(super) async fn ends(pool: &SqlitePool) -> Result<Ends, sqlx::Error> {
    let rows: Vec<(String, i64, i64)> = sqlx::query_as(
        r#"SELECT topic, partition,
                  (SELECT coalesce(max("offset") + 1, 0) FROM records
                   WHERE records.topic = partitions.topic AND records.partition = partitions.partition)
           FROM partitions ORDER BY topic, partition"#,
    )
    .fetch_all(pool)
    .await?;
    let mut ends = Ends::default();
    for (topic, _, end) in rows {
        for known in Topic::ALL.into_iter().filter(|known| known.name() == topic) {
            ends.push(known, Offset(end));
        }
    }
    Ok(ends)
}

/// Creates the topics' partitions unless there are some.
pub(super) async fn create(
    connection: &mut SqliteConnection,
    partitions: u32,
) -> Result<(), sqlx::Error> {
    for topic in Topic::ALL {
        sqlx::query(
            "WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n + 1 < $2)
             INSERT INTO partitions SELECT $1, n FROM n
             WHERE NOT EXISTS (SELECT 1 FROM partitions WHERE topic = $1)",
        )
        .bind(topic.name())
        .bind(i64::from(partitions))
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// Inserts records, each at its position.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    records: &[(Pending, Offset)],
) -> Result<(), sqlx::Error> {
    for chunk in statements(records) {
        let mut insert: QueryBuilder<Sqlite> = QueryBuilder::new(
            r#"INSERT INTO records (topic, partition, "offset", appended_at_ms, key, value, headers) "#,
        );
        insert.push_values(chunk, |mut row, (pending, offset)| {
            let record = &pending.record;
            row.push_bind(pending.topic.name());
            row.push_bind(i64::from(pending.partition.0));
            row.push_bind(offset.0);
            row.push("CAST(unixepoch('subsec') * 1000 AS INTEGER)");
            row.push_bind(record.key.to_vec());
            row.push_bind(record.value.to_vec());
            row.push_bind(headers::encode(&record.headers));
        });
        insert.build().execute(&mut *connection).await?;
    }
    Ok(())
}

/// Records of a partition from `from` up to (not including) `until`: at most `limit`, fewer if they are large.
pub(super) async fn records(
    pool: &SqlitePool,
    topic: Topic,
    partition: Partition,
    from: Offset,
    until: Offset,
    limit: usize,
) -> Result<Vec<LogRecord>, Error> {
    let mut rows = sqlx::query(
        r#"SELECT "offset", appended_at_ms, key, value, headers FROM records
           WHERE topic = $1 AND partition = $2 AND "offset" >= $3 AND "offset" < $4
           ORDER BY "offset" LIMIT $5"#,
    )
    .bind(topic.name())
    .bind(i64::from(partition.0))
    .bind(from.0)
    .bind(until.0)
    .bind(crate::database::limit(limit))
    .fetch(pool);
    let (mut records, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.try_next().await? {
        let record = record(&row, partition)?;
        bytes += record.value.as_ref().map_or(0, Bytes::len);
        records.push(record);
        if bytes >= BATCH_BYTES_MAX {
            break;
        }
    }
    Ok(records)
}

fn record(row: &SqliteRow, partition: Partition) -> Result<LogRecord, Error> {
    Ok(LogRecord {
        position: Position { partition, offset: Offset(row.try_get("offset")?) },
        appended_at: DateTime::from_timestamp_millis(row.try_get("appended_at_ms")?),
        key: Some(Bytes::from(row.try_get::<Vec<u8>, _>("key")?)),
        value: Some(Bytes::from(row.try_get::<Vec<u8>, _>("value")?)),
        headers: headers::decode(row.try_get("headers")?)?,
    })
}

/// Where a group goes on in these partitions; at the start where it never said.
pub(super) async fn group_offsets(
    pool: &SqlitePool,
    topic: Topic,
    group: Group,
    partitions: &[Partition],
) -> Result<Vec<Position>, Error> {
    let rows: Vec<(i64, i64)> = sqlx::query_as(
        r#"SELECT partition, next_offset FROM group_offsets WHERE "group" = $1 AND topic = $2"#,
    )
    .bind(group.name())
    .bind(topic.name())
    .fetch_all(pool)
    .await?;
    let next = |partition: &Partition| {
        let row = rows.iter().find(|(known, _)| *known == i64::from(partition.0));
        Position { partition: *partition, offset: row.map_or(Offset::START, |(_, n)| Offset(*n)) }
    };
    Ok(partitions.iter().map(next).collect())
}

pub(super) async fn store_group_offsets(
    connection: &mut SqliteConnection,
    topic: Topic,
    group: Group,
    next: &[Position],
) -> Result<(), sqlx::Error> {
    for Position { partition, offset } in next {
        sqlx::query(
            r#"INSERT INTO group_offsets ("group", topic, partition, next_offset) VALUES ($1, $2, $3, $4)
               ON CONFLICT DO UPDATE SET next_offset = excluded.next_offset"#,
        )
        .bind(group.name())
        .bind(topic.name())
        .bind(i64::from(partition.0))
        .bind(offset.0)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
