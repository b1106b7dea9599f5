//! [`DeadLetters`] on the table `dead_letters`.

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use events::OrderId;
use ports::{
    Consumer, DeadLetter, DeadLetterReason, DeadLetters, LetterFilter, LetterKey, LetterStatus,
    LogRecord, Offset, Partition, Refold, StoreError,
};
use sqlx::{
    PgConnection, Postgres, QueryBuilder, Row as _, postgres::PgRow, query_builder::Separated,
};
use uuid::Uuid;

use crate::{
    columns,
    error::Error,
    session::{Command, PostgresStore},
};

/// Letters in one statement. Each takes a parameter a column, of at most 65,535 in all.
const LETTERS_PER_STATEMENT: usize = 1_000;

macro_rules! columns {
    () => {
        r#"consumer, topic, partition, "offset", reason, detail, dead_since, appended_at, key, value, header_names,
           header_values, parks, status"#
    };
}

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

    async fn parked(&self, orders: &[OrderId]) -> Result<Vec<OrderId>, StoreError> {
        let orders: Vec<_> = orders.iter().map(OrderId::as_uuid).collect();
        let parked = async |connection: &mut PgConnection| {
            let parked: Vec<Uuid> = sqlx::query_scalar(
                "SELECT DISTINCT parks FROM dead_letters WHERE parks = ANY($1) AND status <> 'discarded'",
            )
            .bind(orders)
            .fetch_all(connection)
            .await?;
            Ok::<_, Error>(parked.into_iter().map(OrderId::new).collect())
        };
        Ok(self.run(parked).await?)
    }

    async fn letters(
        &self,
        filter: &LetterFilter,
        after: Option<LetterKey>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        Ok(self.run(async |connection| list(connection, filter, after, limit).await).await?)
    }

    async fn decide(
        &self,
        key: LetterKey,
        wanted: LetterStatus,
    ) -> Result<Option<LetterStatus>, StoreError> {
        let decide = async |connection: &mut PgConnection| {
            let status: Option<String> = at(
                r#"UPDATE dead_letters SET status = CASE status WHEN 'discarded' THEN status ELSE $5 END
                   WHERE consumer = $1 AND topic = $2 AND partition = $3 AND "offset" = $4 RETURNING status"#,
                key,
                |query| query.bind(wanted.name()),
            )
            .fetch_optional(connection)
            .await?
            .map(|row| row.try_get("status"))
            .transpose()?;
            status.map(|name| columns::named("status", &name, LetterStatus::from_name)).transpose()
        };
        Ok(self.run(decide).await?)
    }

    async fn unreadable(
        &self,
        key: LetterKey,
        reason: DeadLetterReason,
        detail: &str,
    ) -> Result<(), StoreError> {
        let reopen = at(
            r#"UPDATE dead_letters SET status = 'open', reason = $5, detail = $6
               WHERE consumer = $1 AND topic = $2 AND partition = $3 AND "offset" = $4 AND status = 'retry'"#,
            key,
            |query| query.bind(reason.name()).bind(columns::storable(detail).into_owned()),
        );
        Ok(self.change(reopen).await?)
    }

    async fn settled(&self, key: LetterKey) -> Result<(), StoreError> {
        let forget = at(
            r#"DELETE FROM dead_letters
               WHERE consumer = $1 AND topic = $2 AND partition = $3 AND "offset" = $4 AND consumer <> 'projector'"#,
            key,
            |query| query,
        );
        Ok(self.change(forget).await?)
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

    async fn unsettled(&self) -> Result<Vec<(Consumer, u64)>, StoreError> {
        let count = async |connection: &mut PgConnection| {
            let counts: Vec<(String, i64)> = sqlx::query_as(
                "SELECT consumer, count(*) FROM dead_letters WHERE status <> 'discarded' GROUP BY consumer",
            )
            .fetch_all(connection)
            .await?;
            let count = |(consumer, count): (String, i64)| {
                let consumer = columns::named("consumer", &consumer, Consumer::from_name)?;
                Ok((consumer, columns::unsigned(count)?))
            };
            counts.into_iter().map(count).collect()
        };
        Ok(self.run::<_, Error>(count).await?)
    }
}

/// A statement on one letter: the parameters `$1` to `$4` say which.
fn at(
    statement: &'static str,
    LetterKey { consumer, position }: LetterKey,
    rest: impl FnOnce(Command<'static>) -> Command<'static>,
) -> Command<'static> {
    rest(
        sqlx::query(statement)
            .bind(consumer.name())
            .bind(consumer.topic().name())
            .bind(columns::partition(position.partition))
            .bind(position.offset.0),
    )
}

async fn unfolded(
    connection: &mut PgConnection,
    partition: Partition,
    offsets: Range<Offset>,
    limit: usize,
) -> Result<Vec<DeadLetter>, Error> {
    let rows = sqlx::query(concat!(
        "SELECT ",
        columns!(),
        r#" FROM dead_letters
           WHERE consumer = $1 AND topic = $2 AND partition = $3 AND "offset" >= $4 AND "offset" < $5
           ORDER BY "offset" LIMIT $6"#
    ))
    .bind(Consumer::Projector.name())
    .bind(Consumer::Projector.topic().name())
    .bind(columns::partition(partition))
    .bind(offsets.start.0)
    .bind(offsets.end.0)
    .bind(columns::limit(limit))
    .fetch_all(connection)
    .await?;
    rows.iter().map(letter).collect()
}

async fn list(
    connection: &mut PgConnection,
    filter: &LetterFilter,
    after: Option<LetterKey>,
    limit: usize,
) -> Result<Vec<DeadLetter>, Error> {
    let mut list = QueryBuilder::<Postgres>::new(concat!(
        "SELECT ",
        columns!(),
        " FROM dead_letters WHERE true"
    ));
    if let Some(consumer) = filter.consumer {
        list.push(" AND consumer = ").push_bind(consumer.name());
    }
    if !filter.statuses.is_empty() {
        let statuses: Vec<_> = filter.statuses.iter().map(|status| status.name()).collect();
        list.push(" AND status = ANY(").push_bind(statuses).push(")");
    }
    if let Some(order) = filter.order {
        list.push(" AND parks = ").push_bind(order.as_uuid());
    }
    if let Some(LetterKey { consumer, position }) = after {
        list.push(r#" AND (consumer, partition, "offset") > ("#).push_bind(consumer.name());
        list.push(", ").push_bind(columns::partition(position.partition));
        list.push(", ").push_bind(position.offset.0).push(")");
    }
    list.push(r#" ORDER BY consumer, partition, "offset" LIMIT "#).push_bind(columns::limit(limit));
    let rows = list.build().fetch_all(connection).await?;
    rows.iter().map(letter).collect()
}

fn letter(row: &PgRow) -> Result<DeadLetter, Error> {
    let bytes =
        |column| Ok::<_, Error>(row.try_get::<Option<Vec<u8>>, _>(column)?.map(Bytes::from));
    let names: Vec<Vec<u8>> = row.try_get("header_names")?;
    let values: Vec<Vec<u8>> = row.try_get("header_values")?;
    let headers = names.into_iter().zip(values);
    let consumer = columns::named("consumer", row.try_get("consumer")?, Consumer::from_name)?;
    Ok(DeadLetter {
        consumer,
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
        parks: row.try_get::<Option<Uuid>, _>("parks")?.map(OrderId::new),
        status: columns::named("status", row.try_get("status")?, LetterStatus::from_name)?,
    })
}

/// Says of a letter what became of it when its order was folded again.
pub(crate) async fn decided(connection: &mut PgConnection, refold: &Refold) -> Result<(), Error> {
    let decided = if refold.readable {
        r#"DELETE FROM dead_letters
           WHERE consumer = $1 AND topic = $2 AND partition = $3 AND "offset" = $4"#
    } else {
        r#"UPDATE dead_letters SET status = 'discarded'
           WHERE consumer = $1 AND topic = $2 AND partition = $3 AND "offset" = $4"#
    };
    let key = LetterKey { consumer: Consumer::Projector, position: refold.letter };
    at(decided, key, |query| query).execute(connection).await?;
    Ok(())
}

/// Headers are arrays already, and arrays of arrays can't be ragged: these rows go as a list of values. They are few.
pub(crate) async fn store(
    connection: &mut PgConnection,
    letters: &[DeadLetter],
) -> Result<(), Error> {
    for chunk in letters.chunks(LETTERS_PER_STATEMENT) {
        let mut insert =
            QueryBuilder::<Postgres>::new(concat!("INSERT INTO dead_letters (", columns!(), ") "));
        insert.push_values(chunk, push);
        insert.push(" ON CONFLICT DO NOTHING");
        insert.build().execute(&mut *connection).await?;
    }
    Ok(())
}

fn push(mut values: Separated<'_, Postgres, &'static str>, letter: &DeadLetter) {
    let DeadLetter { consumer, record, reason, detail, at, parks, status } = letter;
    // Bytes on both sides: a name may hold what no text column takes.
    let names: Vec<_> = record.headers.iter().map(|(name, _)| name.clone().into_bytes()).collect();
    let headers: Vec<_> = record.headers.iter().map(|(_, value)| value.to_vec()).collect();
    values
        .push_bind(consumer.name())
        .push_bind(consumer.topic().name())
        .push_bind(columns::partition(record.position.partition))
        .push_bind(record.position.offset.0)
        .push_bind(reason.name())
        .push_bind(columns::storable(detail).into_owned())
        .push_bind(*at)
        .push_bind(record.appended_at)
        .push_bind(record.key.as_ref().map(|key| key.to_vec()))
        .push_bind(record.value.as_ref().map(|value| value.to_vec()))
        .push_bind(names)
        .push_bind(headers)
        .push_bind(parks.map(|order| order.as_uuid()))
        .push_bind(status.name());
}
