//! [`DeadLetters`] on the table `dead_letters`.

use async_trait::async_trait;
use ports::{DeadLetter, DeadLetters, StoreError};
use sqlx::{PgConnection, Postgres, QueryBuilder, query_builder::Separated};

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
