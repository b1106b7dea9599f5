//! [`DeadLetters`] on the table `dead_letters`: the projector's are in the file of their generation, those of others in the
//! store's own.

use async_trait::async_trait;
use bytes::Bytes;
use events::OrderId;
use ports::{
    Consumer, DeadLetter, DeadLetterReason, DeadLetters, LetterFilter, LetterKey, LetterStatus,
    LogRecord, Offset, Partition, Refold, StoreError,
};
use sqlx::{
    AssertSqlSafe, QueryBuilder, Row as _, Sqlite, SqliteConnection, SqlitePool, Transaction,
    query::Query,
    sqlite::{SqliteArguments, SqliteRow},
};

use super::SqliteStore;
use crate::{
    database::{self, Error},
    headers,
};

/// Letters that belong to a generation.
const OF_PROJECTOR: &str = "consumer = 'projector'";
/// Letters that belong to none.
const OF_OTHERS: &str = "consumer <> 'projector'";

#[async_trait]
impl DeadLetters for SqliteStore {
    async fn keep(&self, letters: &[DeadLetter]) -> Result<(), StoreError> {
        let (of_projector, of_others): (Vec<_>, Vec<_>) =
            letters.iter().partition(|letter| letter.consumer == Consumer::Projector);
        if !of_projector.is_empty() {
            keep(self.begin().await?, of_projector).await?;
        }
        if !of_others.is_empty() {
            keep(self.database.begin().await?, of_others).await?;
        }
        Ok(())
    }

    async fn unfolded(
        &self,
        partition: Partition,
        from: Offset,
        until: Offset,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let unfolded = move |pool: SqlitePool| async move {
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
            .bind(database::limit(limit));
            rows.fetch_all(&pool).await?.iter().map(letter).collect()
        };
        Ok(self.read(unfolded).await?)
    }

    async fn parked(&self, orders: &[OrderId]) -> Result<Vec<OrderId>, StoreError> {
        let ids = serde_json::Value::from_iter(orders.iter().map(ToString::to_string));
        let ids = &ids.to_string();
        let parked = move |pool: SqlitePool| async move {
            let parked = sqlx::query_scalar(
                "SELECT DISTINCT parks FROM dead_letters
                 WHERE parks IN (SELECT value FROM json_each($1)) AND status <> 'discarded'",
            );
            let parked: Vec<String> = parked.bind(ids).fetch_all(&pool).await?;
            parked.iter().map(|order| database::id("parks", order)).collect()
        };
        Ok(self.read(parked).await?)
    }

    async fn letters(
        &self,
        filter: &LetterFilter,
        after: Option<LetterKey>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let mut letters = Vec::new();
        if filter.consumer.is_none_or(|consumer| consumer == Consumer::Projector) {
            let listed = move |pool: SqlitePool| async move {
                list(&pool, OF_PROJECTOR, filter, after, limit).await
            };
            letters = self.read(listed).await?;
        }
        if filter.consumer != Some(Consumer::Projector) && self.live.is_some() {
            let of_others = list(&self.database.readers, OF_OTHERS, filter, after, limit).await?;
            letters.extend(of_others);
            letters.sort_by_key(|letter| {
                let position = letter.record.position;
                (letter.consumer.name(), position.partition, position.offset)
            });
            letters.truncate(limit);
        }
        Ok(letters)
    }

    async fn decide(
        &self,
        key: LetterKey,
        wanted: LetterStatus,
    ) -> Result<Option<LetterStatus>, StoreError> {
        let mut transaction = self.begin_for(key.consumer).await?;
        let decided = at(
            r#"UPDATE dead_letters SET status = CASE status WHEN 'discarded' THEN status ELSE $5 END
               WHERE consumer = $1 AND topic = $2 AND partition = $3 AND "offset" = $4 RETURNING status"#,
            key,
        )
        .bind(wanted.name())
        .fetch_optional(&mut *transaction)
        .await
        .map_err(Error::from)?;
        transaction.commit().await.map_err(Error::from)?;
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
        let mut transaction = self.begin_for(key.consumer).await?;
        let reopened = at(
            r#"UPDATE dead_letters SET status = 'open', reason = $5, detail = $6
               WHERE consumer = $1 AND topic = $2 AND partition = $3 AND "offset" = $4 AND status = 'retry'"#,
            key,
        )
        .bind(reason.name())
        .bind(detail);
        reopened.execute(&mut *transaction).await.map_err(Error::from)?;
        Ok(transaction.commit().await.map_err(Error::from)?)
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
        Ok(self.counted("true").await?.iter().map(|(_, count)| count).sum())
    }

    async fn unsettled(&self) -> Result<Vec<(Consumer, u64)>, StoreError> {
        Ok(self.counted("status <> 'discarded'").await?)
    }
}

impl SqliteStore {
    /// A transaction where a consumer's letters are.
    async fn begin_for(&self, consumer: Consumer) -> Result<Transaction<'static, Sqlite>, Error> {
        match consumer {
            Consumer::Projector => self.begin().await,
            Consumer::Search | Consumer::Mailer | Consumer::Fulfilment => {
                self.database.begin().await
            }
        }
    }

    /// How many letters each consumer has of those that meet a condition.
    async fn counted(&self, condition: &'static str) -> Result<Vec<(Consumer, u64)>, Error> {
        let of_projector =
            move |pool: SqlitePool| async move { counts(&pool, OF_PROJECTOR, condition).await };
        let mut all = self.read(of_projector).await?;
        if self.live.is_some() {
            all.extend(counts(&self.database.readers, OF_OTHERS, condition).await?);
        }
        Ok(all)
    }
}

async fn keep(
    mut transaction: Transaction<'static, Sqlite>,
    letters: Vec<&DeadLetter>,
) -> Result<(), Error> {
    store(&mut transaction, letters).await?;
    Ok(transaction.commit().await?)
}

/// How many letters there are by consumer, of those of the projector or of others.
async fn counts(
    pool: &SqlitePool,
    of: &'static str,
    condition: &'static str,
) -> Result<Vec<(Consumer, u64)>, Error> {
    let counts: Vec<(String, i64)> = sqlx::query_as(AssertSqlSafe(format!(
        "SELECT consumer, count(*) FROM dead_letters WHERE {of} AND {condition} GROUP BY consumer"
    )))
    .fetch_all(pool)
    .await?;
    let count = |(consumer, count): (String, i64)| {
        let consumer = database::named("consumer", &consumer, Consumer::from_name)?;
        Ok((consumer, database::unsigned(count)?))
    };
    counts.into_iter().map(count).collect()
}

/// A page of the letters of the projector, or of others.
async fn list(
    pool: &SqlitePool,
    of: &'static str,
    filter: &LetterFilter,
    after: Option<LetterKey>,
    limit: usize,
) -> Result<Vec<DeadLetter>, Error> {
    let mut list = QueryBuilder::<Sqlite>::new("SELECT * FROM dead_letters WHERE ");
    list.push(of);
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
    list.build().fetch_all(pool).await?.iter().map(letter).collect()
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
pub(super) async fn store<'a>(
    connection: &mut SqliteConnection,
    letters: impl IntoIterator<Item = &'a DeadLetter>,
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
