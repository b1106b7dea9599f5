//! [`DeadLetters`] on the table `dead_letters`.

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use ports::{
    Consumer, DeadLetter, DeadLetterReason, DeadLetters, LogRecord, Offset, Partition, StoreError,
    Topic,
};
use sqlx::{
    PgConnection, Postgres, QueryBuilder, Row as _, postgres::PgRow, query_builder::Separated,
};

use crate::{columns, error::Error, session::PostgresStore};

/// Letters in one statement. Each takes a parameter a column, of at most 65,535 in all.
const LETTERS_PER_STATEMENT: usize = 1_000;

#[async_trait]
impl DeadLetters for PostgresStore {
    async fn keep(&self, letters: &[DeadLetter]) -> Result<(), StoreError> {
        if letters.is_empty() {
            return Ok(());
        }
        Ok(self.run(async |connection| store(connection, letters).await).await?)
    }

    async fn unfolded(
        &self,
        partition: Partition,
        from: Offset,
        until: Offset,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let unfolded = async |connection: &mut PgConnection| {
            unfolded(connection, partition, from..until, limit).await
        };
        Ok(self.run(unfolded).await?)
    }

    async fn count(&self) -> Result<u64, StoreError> {
        let count = async |connection: &mut PgConnection| {
            let count: i64 = sqlx::query_scalar("SELECT count(*) FROM dead_letters")
                .fetch_one(connection)
                .await?;
            columns::unsigned(count)
        };
        Ok(self.run(count).await?)
    }
}

async fn unfolded(
    connection: &mut PgConnection,
    partition: Partition,
    offsets: Range<Offset>,
    limit: usize,
) -> Result<Vec<DeadLetter>, Error> {
    let rows = sqlx::query(
        r#"SELECT partition, "offset", reason, detail, dead_since, appended_at, key, value, header_names, header_values
           FROM dead_letters
           WHERE consumer = $1 AND topic = $2 AND partition = $3 AND "offset" >= $4 AND "offset" < $5
           ORDER BY "offset" LIMIT $6"#,
    )
    .bind(Consumer::Projector.name())
    .bind(Topic::Events.name())
    .bind(columns::partition(partition))
    .bind(offsets.start.0)
    .bind(offsets.end.0)
    .bind(columns::limit(limit))
    .fetch_all(connection)
    .await?;
    rows.iter().map(letter).collect()
}

fn letter(row: &PgRow) -> Result<DeadLetter, Error> {
    let bytes =
        |column| Ok::<_, Error>(row.try_get::<Option<Vec<u8>>, _>(column)?.map(Bytes::from));
    let names: Vec<Vec<u8>> = row.try_get("header_names")?;
    let values: Vec<Vec<u8>> = row.try_get("header_values")?;
    let headers = names.into_iter().zip(values);
    Ok(DeadLetter {
        consumer: Consumer::Projector,
        topic: Topic::Events,
        record: LogRecord {
            position: columns::position(row)?,
            appended_at: row.try_get("appended_at")?,
            key: bytes("key")?,
            value: bytes("value")?,
            headers: headers
                .map(|(name, value)| (String::from_utf8_lossy(&name).into_owned(), value.into()))
                .collect(),
        },
        reason: columns::named("reason", row.try_get("reason")?, DeadLetterReason::from_name)?,
        detail: row.try_get("detail")?,
        at: row.try_get("dead_since")?,
    })
}

/// Headers are arrays already, and arrays of arrays can't be ragged: these rows go as a list of values. They are few.
pub(crate) async fn store(
    connection: &mut PgConnection,
    letters: &[DeadLetter],
) -> Result<(), Error> {
    for chunk in letters.chunks(LETTERS_PER_STATEMENT) {
        let mut insert = QueryBuilder::<Postgres>::new(
            r#"INSERT INTO dead_letters (
                   consumer, topic, partition, "offset", reason, detail, dead_since, appended_at, key, value,
                   header_names, header_values
               ) "#,
        );
        insert.push_values(chunk, push);
        insert.push(" ON CONFLICT DO NOTHING");
        insert.build().execute(&mut *connection).await?;
    }
    Ok(())
}

fn push(mut values: Separated<'_, Postgres, &'static str>, letter: &DeadLetter) {
    let DeadLetter { consumer, topic, record, reason, detail, at } = letter;
    // Bytes on both sides: a name may hold what no text column takes.
    let names: Vec<_> = record.headers.iter().map(|(name, _)| name.clone().into_bytes()).collect();
    let headers: Vec<_> = record.headers.iter().map(|(_, value)| value.to_vec()).collect();
    values
        .push_bind(consumer.name())
        .push_bind(topic.name())
        .push_bind(columns::partition(record.position.partition))
        .push_bind(record.position.offset.0)
        .push_bind(reason.name())
        .push_bind(columns::storable(detail).into_owned())
        .push_bind(*at)
        .push_bind(record.appended_at)
        .push_bind(record.key.as_ref().map(|key| key.to_vec()))
        .push_bind(record.value.as_ref().map(|value| value.to_vec()))
        .push_bind(names)
        .push_bind(headers);
}
