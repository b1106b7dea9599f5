//! [`DeadLetters`] on the table `dead_letters`.

use async_trait::async_trait;
use bytes::Bytes;
use ports::{
    Consumer, DeadLetter, DeadLetterReason, DeadLetters, LogRecord, Offset, Partition, StoreError,
    Topic,
};
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use super::SqliteStore;
use crate::{
    database::{self, Error},
    headers,
};

#[async_trait]
impl DeadLetters for SqliteStore {
    async fn keep(&self, letters: &[DeadLetter]) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        store(&mut transaction, letters).await?;
        Ok(transaction.commit().await.map_err(Error::from)?)
    }

    async fn unfolded(
        &self,
        partition: Partition,
        from: Offset,
        until: Offset,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let rows = sqlx::query(
            r#"SELECT partition, "offset", reason, detail, dead_since, appended_at, key, value, headers
               FROM dead_letters
               WHERE consumer = $1 AND topic = $2 AND partition = $3 AND "offset" >= $4 AND "offset" < $5
               ORDER BY "offset" LIMIT $6"#,
        )
        .bind(Consumer::Projector.name())
        .bind(Topic::Events.name())
        .bind(i64::from(partition.0))
        .bind(from.0)
        .bind(until.0)
        .bind(database::limit(limit))
        .fetch_all(&self.database.readers)
        .await
        .map_err(Error::from)?;
        Ok(rows.iter().map(letter).collect::<Result<_, Error>>()?)
    }

    async fn count(&self) -> Result<u64, StoreError> {
        let count = sqlx::query_scalar("SELECT count(*) FROM dead_letters");
        let count: i64 = count.fetch_one(&self.database.readers).await.map_err(Error::from)?;
        Ok(database::unsigned(count)?)
    }
}

fn letter(row: &SqliteRow) -> Result<DeadLetter, Error> {
    let bytes =
        |column| Ok::<_, Error>(row.try_get::<Option<Vec<u8>>, _>(column)?.map(Bytes::from));
    let appended_at: Option<i64> = row.try_get("appended_at")?;
    Ok(DeadLetter {
        consumer: Consumer::Projector,
        topic: Topic::Events,
        record: LogRecord {
            position: database::position(row)?,
            appended_at: appended_at.map(database::instant).transpose()?,
            key: bytes("key")?,
            value: bytes("value")?,
            headers: headers::decode(row.try_get("headers")?)?,
        },
        reason: database::named("reason", row.try_get("reason")?, DeadLetterReason::from_name)?,
        detail: row.try_get("detail")?,
        at: database::instant(row.try_get("dead_since")?)?,
    })
}

/// One after the other: they are few.
pub(super) async fn store(
    connection: &mut SqliteConnection,
    letters: &[DeadLetter],
) -> Result<(), Error> {
    for DeadLetter { consumer, topic, record, reason, detail, at } in letters {
        sqlx::query(
            r#"INSERT INTO dead_letters (
                   consumer, topic, partition, "offset", reason, detail, dead_since, appended_at, key, value, headers
               ) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING"#,
        )
        .bind(consumer.name())
        .bind(topic.name())
        .bind(i64::from(record.position.partition.0))
        .bind(record.position.offset.0)
        .bind(reason.name())
        .bind(detail.as_str())
        .bind(database::micros(*at))
        .bind(record.appended_at.map(database::micros))
        .bind(record.key.as_deref())
        .bind(record.value.as_deref())
        .bind(headers::encode(&record.headers))
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
