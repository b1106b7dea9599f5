//! [`DeadLetters`] on the table `dead_letters`.

use async_trait::async_trait;
use ports::{DeadLetter, DeadLetters, StoreError};
use sqlx::SqliteConnection;

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

    async fn count(&self) -> Result<u64, StoreError> {
        let count = sqlx::query_scalar("SELECT count(*) FROM dead_letters");
        let count: i64 = count.fetch_one(&self.database.readers).await.map_err(Error::from)?;
        Ok(database::unsigned(count)?)
    }
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
