//! [`Generations`] in Postgres: the live one has the ledger's schema, generation `N` beside it the schema `…_gN`, with the
//! same tables. To make one live its tables change places with the live ones, in one transaction.

mod cut;
mod load;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ports::{
    Cut, Generation, GenerationStore, Generations, Lease, NewGeneration, Offset, OrderStore as _,
    Partition, Position, Stage, StoreError, Wanted,
};
use sqlx::{Connection as _, Row as _, postgres::PgRow};

use self::cut::PostgresCut;
pub(crate) use self::load::unlimited;
use crate::{
    columns,
    error::Error,
    session::{Command, PostgresStore},
};

#[async_trait]
impl Generations for PostgresStore {
    async fn generations(&self) -> Result<Vec<Generation>, StoreError> {
        let all = self.run(async |connection| {
            let rows = sqlx::query(
                "SELECT number, stage, fold_version, kept, created_at, live_at, live_offsets, search_pending, wanted,
                        report
                 FROM generations ORDER BY number",
            );
            let rows = rows.fetch_all(connection).await?;
            rows.iter().map(generation).collect::<Result<_, Error>>()
        });
        Ok(all.await?)
    }

    async fn lease(&self) -> Result<Option<Lease>, StoreError> {
        // Not given back to the pool: the lock is the session's, and goes with it.
        let mut connection = self.connection_to_close().await?;
        let lock = "SELECT pg_try_advisory_lock(hashtextextended('order-ledger replay ' || $1, 0))";
        let locked = sqlx::query_scalar::<_, bool>(lock)
            .bind(&self.schema)
            .fetch_one(&mut *connection)
            .await;
        Ok(locked.map_err(Error::from)?.then(|| Box::new(connection) as Lease))
    }

    async fn create(&self, new: NewGeneration) -> Result<u32, StoreError> {
        let NewGeneration { partitions, kept, created_at } = new;
        let number = self.run(async |connection| {
            let number: i32 = sqlx::query_scalar(
                "INSERT INTO generations (number, stage, fold_version, kept, created_at)
                 SELECT max(number) + 1, 'loading', $1, $2, $3 FROM generations RETURNING number",
            )
            .bind(columns::fold_version())
            .bind(kept)
            .bind(created_at)
            .fetch_one(connection)
            .await?;
            u32::try_from(number).map_err(|_| columns::negative(number))
        });
        let number = number.await?;
        let store = self.beside(number)?;
        store.prepare().await?;
        store.bind_partitions(partitions).await?;
        store.set_indexes_aside().await?;
        Ok(number)
    }

    async fn open(&self, number: u32) -> Result<Box<dyn GenerationStore>, StoreError> {
        let store = self.beside(number)?;
        store.prepare().await?;
        let bound = store.progress(&[]).await?.len();
        store.bind_partitions(u32::try_from(bound).unwrap_or(u32::MAX)).await?;
        Ok(Box::new(store))
    }

    async fn loaded(&self, number: u32) -> Result<(), StoreError> {
        let ready =
            "UPDATE generations SET stage = 'ready' WHERE number = $1 AND stage = 'loading'";
        Ok(self.change(sqlx::query(ready).bind(columns::number(number))).await?)
    }

    async fn report(&self, number: u32, report: &str) -> Result<Wanted, StoreError> {
        let wanted = self.run(async |connection| {
            let said = "UPDATE generations SET report = $2 WHERE number = $1 RETURNING wanted";
            let said = sqlx::query_scalar(said).bind(columns::number(number)).bind(report);
            let wanted: Option<String> = said.fetch_optional(connection).await?;
            // Someone removed it: there is nothing left to build.
            wanted.map_or(Ok(Wanted::Cancel), |name| {
                columns::named("wanted", &name, Wanted::from_name)
            })
        });
        Ok(wanted.await?)
    }

    async fn want(&self, number: u32, wanted: Wanted) -> Result<(), StoreError> {
        let want = "UPDATE generations SET wanted = $2 WHERE number = $1";
        let want = sqlx::query(want).bind(columns::number(number)).bind(wanted.name());
        Ok(self.change(want).await?)
    }

    async fn begin_cut(&self, number: u32) -> Result<Box<dyn Cut>, StoreError> {
        Ok(Box::new(PostgresCut::begin(self, number).await?))
    }

    async fn search_followed(&self, number: u32) -> Result<(), StoreError> {
        let followed = "UPDATE generations SET search_pending = false WHERE number = $1";
        Ok(self.change(sqlx::query(followed).bind(columns::number(number))).await?)
    }

    async fn remove(&self, number: u32) -> Result<(), StoreError> {
        let schema = self.schema_beside(number);
        let drop = format!("DROP SCHEMA IF EXISTS {schema} CASCADE");
        let mut connection = self.connection_to_close().await?;
        let removed = async {
            // Both or neither: the number is given again, and must not meet what is left of this one.
            let mut transaction = connection.begin().await?;
            let row = "DELETE FROM generations WHERE number = $1 AND stage <> 'live'";
            let row = sqlx::query(row).bind(columns::number(number)).execute(&mut *transaction);
            if row.await?.rows_affected() == 1 {
                sqlx::raw_sql(sqlx::AssertSqlSafe(drop)).execute(&mut *transaction).await?;
            }
            Ok::<(), Error>(transaction.commit().await?)
        };
        Ok(removed.await?)
    }
}

impl PostgresStore {
    /// The schema of a generation beside the live one.
    fn schema_beside(&self, number: u32) -> String {
        format!("{}_g{number}", self.schema)
    }

    /// A store over it, with connections of its own.
    fn beside(&self, number: u32) -> Result<Self, Error> {
        Self::new(self.options_for(self.schema_beside(number)))
            .map_err(|error| Error::Corrupt(format!("generation {number}: {error}")))
    }

    pub(crate) async fn change(&self, command: Command<'_>) -> Result<(), Error> {
        self.run(async |connection| {
            command.execute(connection).await?;
            Ok(())
        })
        .await
    }
}

fn generation(row: &PgRow) -> Result<Generation, Error> {
    let unsigned = |column| {
        let number: i32 = row.try_get(column)?;
        u32::try_from(number).map_err(|_| columns::negative(number))
    };
    let live_at: Option<DateTime<Utc>> = row.try_get("live_at")?;
    let offsets: Option<Vec<i64>> = row.try_get("live_offsets")?;
    let offsets = (0..).map(Partition).zip(offsets.unwrap_or_default());
    let offsets = offsets.map(|(partition, offset)| Position { partition, offset: Offset(offset) });
    Ok(Generation {
        number: unsigned("number")?,
        stage: columns::named("stage", row.try_get("stage")?, Stage::from_name)?,
        fold_version: unsigned("fold_version")?,
        kept: row.try_get("kept")?,
        created_at: row.try_get("created_at")?,
        live: live_at.map(|at| (at, offsets.collect())),
        search_pending: row.try_get("search_pending")?,
        wanted: columns::named("wanted", row.try_get("wanted")?, Wanted::from_name)?,
        report: row.try_get("report")?,
    })
}
