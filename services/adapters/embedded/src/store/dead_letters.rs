//! [`DeadLetters`] on the table `dead_letters`.

use async_trait::async_trait;
use bytes::Bytes;
use events::OrderId;
use ports::{
    Consumer, DeadLetter, DeadLetterReason, DeadLetters, LetterFilter, LetterKey, LetterStatus,
    LogRecord, Offset, Partition, Refold, StoreError,
};
use sqlx::{
    QueryBuilder, Row as _, Sqlite, SqliteConnection,
    query::Query,
    sqlite::{SqliteArguments, SqliteRow},
};

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
            r#"SELECT * FROM dead_letters
               WHERE consumer = $1 AND topic = $2 AND partition = $3 AND "offset" >= $4 AND "offset" < $5
               ORDER BY "offset" LIMIT $6"#,
        )
        .bind(Consumer::Projector.name())
        .bind(Consumer::Projector.topic().name())
        .bind(i64::from(partition.0))
        .bind(from.0)
        .bind(until.0)
        .bind(database::limit(limit))
        .fetch_all(&self.database.readers)
        .await
        .map_err(Error::from)?;
        Ok(rows.iter().map(letter).collect::<Result<_, Error>>()?)
    }

    async fn parked(&self, orders: &[OrderId]) -> Result<Vec<OrderId>, StoreError> {
        let ids = serde_json::Value::from_iter(orders.iter().map(ToString::to_string));
        let parked: Vec<String> = sqlx::query_scalar(
            "SELECT DISTINCT parks FROM dead_letters
             WHERE parks IN (SELECT value FROM json_each($1)) AND status <> 'discarded'",
        )
        .bind(ids.to_string())
        .fetch_all(&self.database.readers)
        .await
        .map_err(Error::from)?;
        let parked = parked.iter().map(|order| database::id("parks", order));
        Ok(parked.collect::<Result<_, Error>>()?)
    }

    async fn letters(
        &self,
        filter: &LetterFilter,
        after: Option<LetterKey>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let mut list = QueryBuilder::<Sqlite>::new("SELECT * FROM dead_letters WHERE true");
        if let Some(consumer) = filter.consumer {
            list.push(" AND consumer = ").push_bind(consumer.name());
        }
        if !filter.statuses.is_empty() {
            let statuses = filter.statuses.iter().map(|status| status.name());
            let statuses = serde_json::Value::from_iter(statuses);
            list.push(" AND status IN (SELECT value FROM json_each(");
            list.push_bind(statuses.to_string()).push("))");
        }
        if let Some(order) = filter.order {
            list.push(" AND parks = ").push_bind(order.to_string());
        }
        if let Some(LetterKey { consumer, position }) = after {
            list.push(r#" AND (consumer, partition, "offset") > ("#).push_bind(consumer.name());
            list.push(", ").push_bind(i64::from(position.partition.0));
            list.push(", ").push_bind(position.offset.0).push(")");
        }
        list.push(r#" ORDER BY consumer, partition, "offset" LIMIT "#);
        list.push_bind(database::limit(limit));
        let rows = list.build().fetch_all(&self.database.readers).await.map_err(Error::from)?;
        Ok(rows.iter().map(letter).collect::<Result<_, Error>>()?)
    }

    async fn decide(
        &self,
        key: LetterKey,
        wanted: LetterStatus,
    ) -> Result<Option<LetterStatus>, StoreError> {
        let decided = at(
            r#"UPDATE dead_letters SET status = CASE status WHEN 'discarded' THEN status ELSE $5 END
               WHERE consumer = $1 AND topic = $2 AND partition = $3 AND "offset" = $4 RETURNING status"#,
            key,
        )
        .bind(wanted.name())
        .fetch_optional(&self.database.writer)
        .await
        .map_err(Error::from)?;
        let status = |row: SqliteRow| {
            database::named("status", row.try_get("status")?, LetterStatus::from_name)
        };
        Ok(decided.map(status).transpose()?)
    }

    async fn unreadable(
        &self,
        key: LetterKey,
        reason: DeadLetterReason,
        detail: &str,
    ) -> Result<(), StoreError> {
        let reopened = at(
            r#"UPDATE dead_letters SET status = 'open', reason = $5, detail = $6
               WHERE consumer = $1 AND topic = $2 AND partition = $3 AND "offset" = $4 AND status = 'retry'"#,
            key,
        )
        .bind(reason.name())
        .bind(detail)
        .execute(&self.database.writer)
        .await;
        reopened.map_err(Error::from)?;
        Ok(())
    }

    async fn settled(&self, key: LetterKey) -> Result<(), StoreError> {
        let forgotten = at(
            r#"DELETE FROM dead_letters
               WHERE consumer = $1 AND topic = $2 AND partition = $3 AND "offset" = $4 AND consumer <> 'projector'"#,
            key,
        );
        forgotten.execute(&self.database.writer).await.map_err(Error::from)?;
        Ok(())
    }

    async fn count(&self) -> Result<u64, StoreError> {
        let count = sqlx::query_scalar("SELECT count(*) FROM dead_letters");
        let count: i64 = count.fetch_one(&self.database.readers).await.map_err(Error::from)?;
        Ok(database::unsigned(count)?)
    }

    async fn unsettled(&self) -> Result<Vec<(Consumer, u64)>, StoreError> {
        let counts: Vec<(String, i64)> = sqlx::query_as(
            "SELECT consumer, count(*) FROM dead_letters WHERE status <> 'discarded' GROUP BY consumer",
        )
        .fetch_all(&self.database.readers)
        .await
        .map_err(Error::from)?;
        let count = |(consumer, count): (String, i64)| {
            let consumer = database::named("consumer", &consumer, Consumer::from_name)?;
            Ok((consumer, database::unsigned(count)?))
        };
        Ok(counts.into_iter().map(count).collect::<Result<_, Error>>()?)
    }
}

/// A statement on one letter: the parameters `$1` to `$4` say which.
fn at(
    statement: &'static str,
    LetterKey { consumer, position }: LetterKey,
) -> Query<'static, Sqlite, SqliteArguments> {
    sqlx::query(statement)
        .bind(consumer.name())
        .bind(consumer.topic().name())
        .bind(i64::from(position.partition.0))
        .bind(position.offset.0)
}

fn letter(row: &SqliteRow) -> Result<DeadLetter, Error> {
    let bytes =
        |column| Ok::<_, Error>(row.try_get::<Option<Vec<u8>>, _>(column)?.map(Bytes::from));
    let appended_at: Option<i64> = row.try_get("appended_at")?;
    let consumer = database::named("consumer", row.try_get("consumer")?, Consumer::from_name)?;
    let parks: Option<&str> = row.try_get("parks")?;
    Ok(DeadLetter {
        consumer,
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
        parks: parks.map(|order| database::id("parks", order)).transpose()?,
        status: database::named("status", row.try_get("status")?, LetterStatus::from_name)?,
    })
}

/// Says of a letter what became of it when its order was folded again.
pub(super) async fn decided(
    connection: &mut SqliteConnection,
    refold: &Refold,
) -> Result<(), Error> {
    let decided = if refold.readable {
        r#"DELETE FROM dead_letters
           WHERE consumer = $1 AND topic = $2 AND partition = $3 AND "offset" = $4"#
    } else {
        r#"UPDATE dead_letters SET status = 'discarded'
           WHERE consumer = $1 AND topic = $2 AND partition = $3 AND "offset" = $4"#
    };
    let key = LetterKey { consumer: Consumer::Projector, position: refold.letter };
    at(decided, key).execute(connection).await?;
    Ok(())
}

/// One after the other: they are few.
pub(super) async fn store(
    connection: &mut SqliteConnection,
    letters: &[DeadLetter],
) -> Result<(), Error> {
    for DeadLetter { consumer, record, reason, detail, at, parks, status } in letters {
        sqlx::query(
            r#"INSERT INTO dead_letters (
                   consumer, topic, partition, "offset", reason, detail, dead_since, appended_at, key, value, headers,
                   parks, status
               ) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING"#,
        )
        .bind(consumer.name())
        .bind(consumer.topic().name())
        .bind(i64::from(record.position.partition.0))
        .bind(record.position.offset.0)
        .bind(reason.name())
        .bind(detail.as_str())
        .bind(database::micros(*at))
        .bind(record.appended_at.map(database::micros))
        .bind(record.key.as_deref())
        .bind(record.value.as_deref())
        .bind(headers::encode(&record.headers))
        .bind(parks.map(|order| order.to_string()))
        .bind(status.name())
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
