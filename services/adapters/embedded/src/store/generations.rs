//! [`Generations`] in files: each is one by itself, with the same tables. The first is the store's own file, and number `N`
//! of those beside it is `…-gN.db`. To make one live a row is changed; no order is touched.

mod cut;
mod files;
#[cfg(test)]
mod tests;

use std::fs::{File, TryLockError};

use async_trait::async_trait;
use events::FOLD_VERSION;
use ports::{
    Commit, CommitError, Cut, Generation, GenerationStore, Generations, Lease, NewGeneration,
    Offset, OrderStore as _, Partition, Position, Stage, StoreError, Wanted,
};
use sqlx::{Row as _, sqlite::SqliteRow};

use self::cut::SqliteCut;
use super::{MIGRATIONS, SqliteStore};
use crate::database::{self, Database, Error};

#[async_trait]
impl Generations for SqliteStore {
    async fn generations(&self) -> Result<Vec<Generation>, StoreError> {
        let rows = sqlx::query("SELECT * FROM generations ORDER BY number");
        let rows = rows.fetch_all(&self.database.readers).await.map_err(Error::from)?;
        Ok(rows.iter().map(generation).collect::<Result<_, Error>>()?)
    }

    async fn lease(&self) -> Result<Option<Lease>, StoreError> {
        let options = File::options().create(true).truncate(false).write(true).clone();
        let file = options.open(self.path.with_extension("replay-lock")).map_err(unavailable)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(unavailable(error)),
        }
    }

    async fn create(&self, new: NewGeneration) -> Result<u32, StoreError> {
        self.tidy().await?;
        let mut transaction = self.database.begin().await?;
        let file: u32 =
            sqlx::query_scalar("UPDATE generation_files SET newest = newest + 1 RETURNING newest")
                .fetch_one(&mut *transaction)
                .await
                .map_err(Error::from)?;
        let number: u32 = sqlx::query_scalar(
            "INSERT INTO generations (number, stage, fold_version, kept, created_at, file)
             SELECT max(number) + 1, 'loading', $1, $2, $3, $4 FROM generations RETURNING number",
        )
        .bind(FOLD_VERSION)
        .bind(new.kept)
        .bind(database::micros(new.created_at))
        .bind(file)
        .fetch_one(&mut *transaction)
        .await
        .map_err(Error::from)?;
        transaction.commit().await.map_err(Error::from)?;
        let path = self.path_of(Some(file));
        let database = Database::open(&path, MIGRATIONS).await.map_err(Error::from)?;
        Self { database, path, live: None }.bind_partitions(new.partitions).await?;
        Ok(number)
    }

    async fn open(&self, number: u32) -> Result<Box<dyn GenerationStore>, StoreError> {
        let store = self.beside(number).await?;
        let bound = store.progress(&[]).await?.len();
        store.bind_partitions(u32::try_from(bound).unwrap_or(u32::MAX)).await?;
        Ok(Box::new(store))
    }

    async fn loaded(&self, number: u32) -> Result<(), StoreError> {
        let ready =
            "UPDATE generations SET stage = 'ready' WHERE number = $1 AND stage = 'loading'";
        let ready = sqlx::query(ready).bind(number).execute(&self.database.writer).await;
        ready.map_err(Error::from)?;
        Ok(())
    }

    async fn report(&self, number: u32, report: &str) -> Result<Wanted, StoreError> {
        let said = "UPDATE generations SET report = $2 WHERE number = $1 RETURNING wanted";
        let said = sqlx::query_scalar::<_, String>(said).bind(number).bind(report);
        let wanted = said.fetch_optional(&self.database.writer).await.map_err(Error::from)?;
        // Someone removed it: there is nothing left to build.
        let Some(wanted) = wanted else { return Ok(Wanted::Cancel) };
        Ok(database::named("wanted", &wanted, Wanted::from_name)?)
    }

    async fn want(&self, number: u32, wanted: Wanted) -> Result<(), StoreError> {
        let want = "UPDATE generations SET wanted = $2 WHERE number = $1";
        let want = sqlx::query(want).bind(number).bind(wanted.name());
        want.execute(&self.database.writer).await.map_err(Error::from)?;
        Ok(())
    }

    async fn begin_cut(&self, number: u32) -> Result<Box<dyn Cut>, StoreError> {
        // Before anyone waits: opened, and its write-ahead log is in the file.
        let new = self.beside(number).await?;
        new.checkpoint().await?;
        Ok(Box::new(SqliteCut::begin(self.clone(), new, number).await?))
    }

    async fn search_followed(&self, number: u32) -> Result<(), StoreError> {
        let followed = "UPDATE generations SET search_pending = 0 WHERE number = $1";
        let followed = sqlx::query(followed).bind(number).execute(&self.database.writer).await;
        followed.map_err(Error::from)?;
        Ok(())
    }

    async fn remove(&self, number: u32) -> Result<(), StoreError> {
        let row = "DELETE FROM generations WHERE number = $1 AND stage <> 'live' RETURNING file";
        let row = sqlx::query_scalar(row).bind(number).fetch_optional(&self.database.writer).await;
        let row: Option<Option<u32>> = row.map_err(Error::from)?;
        match row {
            None => Ok(()),
            Some(Some(file)) => files::remove(&self.path_of(Some(file))),
            Some(None) => Ok(self.empty_own().await?),
        }
    }
}

#[async_trait]
impl GenerationStore for SqliteStore {
    /// A transaction like any other: SQLite has no faster way in.
    async fn load_rows(&self, rows: &Commit) -> Result<(), StoreError> {
        self.commit(rows).await.map_err(|error| match error {
            CommitError::Store(error) => error,
            behind @ (CommitError::Fenced { .. } | CommitError::Stale(_)) => {
                StoreError::Corrupt(behind.to_string())
            }
        })
    }

    async fn finish_loading(&self) -> Result<(), StoreError> {
        // The rows are not counted (ANALYZE): such counts age once it is live.
        Ok(self.checkpoint().await?)
    }
}

impl SqliteStore {
    /// A generation by itself.
    async fn beside(&self, number: u32) -> Result<Self, Error> {
        let file = sqlx::query_scalar("SELECT file FROM generations WHERE number = $1");
        let file = file.bind(number).fetch_optional(&self.database.readers).await?;
        let none = || Error::Corrupt(format!("there is no generation {number}"));
        let file: Option<u32> = file.ok_or_else(none)?;
        let database = self.database_in(file).await?;
        Ok(Self { database, path: self.path_of(file), live: None })
    }

    /// Writes what is in the write-ahead log to the file: readers would have to look there first, and one of the next commits
    /// would have to do it.
    async fn checkpoint(&self) -> Result<(), Error> {
        let checkpoint = sqlx::raw_sql("PRAGMA wal_checkpoint(PASSIVE)");
        checkpoint.execute(&self.database.writer).await?;
        Ok(())
    }
}

fn generation(row: &SqliteRow) -> Result<Generation, Error> {
    let stage: String = row.try_get("stage")?;
    let wanted: String = row.try_get("wanted")?;
    let live_at: Option<i64> = row.try_get("live_at")?;
    let offsets: Option<String> = row.try_get("live_offsets")?;
    let offsets = offsets.unwrap_or_default();
    let offsets = offsets.trim_matches(['[', ']']).split(',').filter(|offset| !offset.is_empty());
    let offsets = (0..).map(Partition).zip(offsets).map(|(partition, offset)| {
        let offset = database::id("live_offsets", offset).map(Offset)?;
        Ok(Position { partition, offset })
    });
    let offsets = offsets.collect::<Result<Vec<_>, Error>>()?;
    let live = live_at.map(|at| Ok::<_, Error>((database::instant(at)?, offsets))).transpose()?;
    Ok(Generation {
        number: row.try_get("number")?,
        stage: database::named("stage", &stage, Stage::from_name)?,
        fold_version: row.try_get("fold_version")?,
        kept: row.try_get("kept")?,
        created_at: database::instant(row.try_get("created_at")?)?,
        live,
        search_pending: row.try_get("search_pending")?,
        wanted: database::named("wanted", &wanted, Wanted::from_name)?,
        report: row.try_get("report")?,
    })
}

fn unavailable(error: impl std::fmt::Display) -> StoreError {
    StoreError::Unavailable(error.to_string())
}
