//! An index built beside the one in use: two more tables of the same file, which are renamed to be the index.

use async_trait::async_trait;
use ports::{IndexOutcome, NewIndex, OrderDocument, SearchError, SearchGenerations};
use sqlx::{AssertSqlSafe, Row as _, SqliteConnection};

use super::{SqliteSearch, write};
use crate::database::{Database, Error};

/// Which index is which.
#[derive(Clone, Copy, Debug)]
pub(super) struct InUse {
    newest: u32,
    reads: u32,
    /// The one that takes what is written.
    pub(super) writes: u32,
}

impl InUse {
    /// As the transaction sees it.
    pub(super) async fn load(connection: &mut SqliteConnection) -> Result<Self, Error> {
        let row = sqlx::query("SELECT newest, reads, writes FROM search_generations");
        let row = row.fetch_one(connection).await?;
        Ok(Self {
            newest: row.try_get("newest")?,
            reads: row.try_get("reads")?,
            writes: row.try_get("writes")?,
        })
    }

    /// The tables of an index.
    pub(super) fn tables(self, number: u32) -> Tables {
        if number == self.reads { Tables::read() } else { Tables::beside(number) }
    }
}

/// The two tables of one index.
#[derive(Clone, Debug)]
pub(super) struct Tables {
    pub(super) documents: String,
    pub(super) words: String,
}

impl Tables {
    fn read() -> Self {
        Self { documents: "documents".to_owned(), words: "words".to_owned() }
    }

    fn beside(number: u32) -> Self {
        Self { documents: format!("documents_g{number}"), words: format!("words_g{number}") }
    }

    fn names(&self) -> [&str; 2] {
        [&self.documents, &self.words]
    }

    async fn drop(&self, connection: &mut SqliteConnection) -> Result<(), Error> {
        for table in self.names() {
            execute(connection, format!("DROP TABLE IF EXISTS {table}")).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl SearchGenerations for SqliteSearch {
    async fn create(&self) -> Result<Box<dyn NewIndex>, SearchError> {
        let created = async {
            let mut transaction = self.database.begin().await?;
            let in_use = InUse::load(&mut transaction).await?;
            for left in beside(&mut transaction).await? {
                if left != in_use.writes {
                    Tables::beside(left).drop(&mut transaction).await?;
                }
            }
            // Never a number that was there before: whoever still fills that index must not find this one.
            let number = in_use.newest.saturating_add(1);
            let pairs = [Tables::read(), Tables::beside(number)];
            for (table, new) in pairs[0].names().into_iter().zip(pairs[1].names()) {
                // As the one in use was made, whichever migrations it went through.
                let made: String =
                    sqlx::query_scalar("SELECT sql FROM sqlite_schema WHERE name = $1")
                        .bind(table)
                        .fetch_one(&mut *transaction)
                        .await?;
                execute(&mut transaction, made.replacen(table, new, 1)).await?;
            }
            let newest = sqlx::query("UPDATE search_generations SET newest = $1").bind(number);
            newest.execute(&mut *transaction).await?;
            transaction.commit().await?;
            Ok::<_, Error>(number)
        };
        let number = created.await?;
        Ok(Box::new(SqliteNewIndex { database: self.database.clone(), number }))
    }

    async fn unfinished(&self) -> Result<Option<Box<dyn NewIndex>>, SearchError> {
        let in_use = async {
            let mut connection = self.database.readers.acquire().await?;
            InUse::load(&mut connection).await
        };
        let InUse { reads, writes, newest: _ } = in_use.await?;
        let new = SqliteNewIndex { database: self.database.clone(), number: writes };
        Ok((reads != writes).then(|| Box::new(new) as Box<dyn NewIndex>))
    }
}

struct SqliteNewIndex {
    database: Database,
    number: u32,
}

#[async_trait]
impl NewIndex for SqliteNewIndex {
    async fn upsert(&self, documents: &[OrderDocument]) -> Result<Vec<IndexOutcome>, SearchError> {
        let upserted = async {
            let mut transaction = self.database.begin().await?;
            let tables = InUse::load(&mut transaction).await?.tables(self.number);
            let outcomes = write(&mut transaction, &tables, documents).await?;
            transaction.commit().await?;
            Ok::<_, Error>(outcomes)
        };
        Ok(upserted.await?)
    }

    async fn take_writes(&self) -> Result<(), SearchError> {
        let taken = async {
            let mut transaction = self.database.begin().await?;
            let in_use = InUse::load(&mut transaction).await?;
            self.check(&mut transaction, in_use).await?;
            self.set_writes(&mut transaction).await?;
            transaction.commit().await?;
            Ok::<(), Error>(())
        };
        Ok(taken.await?)
    }

    async fn take_reads(&self) -> Result<(), SearchError> {
        let taken = async {
            let mut transaction = self.database.begin().await?;
            let in_use = InUse::load(&mut transaction).await?;
            self.check(&mut transaction, in_use).await?;
            if self.number != in_use.reads {
                self.replace(&mut transaction).await?;
            }
            self.set_writes(&mut transaction).await?;
            transaction.commit().await?;
            Ok::<(), Error>(())
        };
        Ok(taken.await?)
    }

    async fn remove(&self) -> Result<(), SearchError> {
        let removed = async {
            let mut transaction = self.database.begin().await?;
            let in_use = InUse::load(&mut transaction).await?;
            if ![in_use.reads, in_use.writes].contains(&self.number) {
                Tables::beside(self.number).drop(&mut transaction).await?;
            }
            transaction.commit().await?;
            Ok::<(), Error>(())
        };
        Ok(removed.await?)
    }
}

impl SqliteNewIndex {
    /// Fails if someone removed it.
    async fn check(&self, connection: &mut SqliteConnection, in_use: InUse) -> Result<(), Error> {
        let there = beside(connection).await?.contains(&self.number);
        if there || self.number == in_use.reads {
            return Ok(());
        }
        Err(Error::Corrupt(format!("search index {} is gone", self.number)))
    }

    async fn set_writes(&self, connection: &mut SqliteConnection) -> Result<(), Error> {
        let writes = sqlx::query("UPDATE search_generations SET writes = $1").bind(self.number);
        writes.execute(connection).await?;
        Ok(())
    }

    /// Gives its tables the names that are read, and removes those that were before it.
    async fn replace(&self, connection: &mut SqliteConnection) -> Result<(), Error> {
        let indexes: Vec<String> = sqlx::query_scalar(
            "SELECT sql FROM sqlite_schema
             WHERE type = 'index' AND tbl_name = 'documents' AND sql IS NOT NULL",
        )
        .fetch_all(&mut *connection)
        .await?;
        let (former, new) = (Tables::read(), Tables::beside(self.number));
        former.drop(connection).await?;
        for (table, new) in former.names().into_iter().zip(new.names()) {
            execute(connection, format!("ALTER TABLE {new} RENAME TO {table}")).await?;
        }
        // Now and not earlier: their names were taken, and rows come in faster without them.
        for index in indexes {
            execute(connection, index).await?;
        }
        for left in beside(connection).await? {
            // Newer ones are someone else's who has begun meanwhile.
            if left < self.number {
                Tables::beside(left).drop(connection).await?;
            }
        }
        let reads = sqlx::query("UPDATE search_generations SET reads = $1").bind(self.number);
        reads.execute(connection).await?;
        Ok(())
    }
}

/// The numbers of the indices that are there and not read.
async fn beside(connection: &mut SqliteConnection) -> Result<Vec<u32>, Error> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'documents_g[0-9]*'",
    )
    .fetch_all(connection)
    .await?;
    let number = |table: &String| table.strip_prefix("documents_g")?.parse().ok();
    Ok(tables.iter().filter_map(number).collect())
}

async fn execute(connection: &mut SqliteConnection, statement: String) -> Result<(), Error> {
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(connection).await?;
    Ok(())
}
