//! [`Generations`] in files: the live one is the store's own, generation `N` beside it is a file `…-gN.db` with the same
//! tables. To make one live its rows replace the live ones, in one transaction; a copy of the live file is kept.

use std::{
    ffi::OsString,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use events::FOLD_VERSION;
use ports::{
    Commit, CommitError, Cut, Generation, GenerationStore, Generations, Lease, NewGeneration,
    Offset, OrderStore as _, Partition, Position, Progress, Stage, StoreError, Wanted,
};
use sqlx::{Row as _, Sqlite, pool::PoolConnection, sqlite::SqliteRow};

use super::{SqliteStore, progress};
use crate::database::{self, Error};

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
        let number: u32 = sqlx::query_scalar(
            "INSERT INTO generations (number, stage, fold_version, kept, created_at)
             SELECT max(number) + 1, 'loading', $1, $2, $3 FROM generations RETURNING number",
        )
        .bind(FOLD_VERSION)
        .bind(new.kept)
        .bind(database::micros(new.created_at))
        .fetch_one(&self.database.writer)
        .await
        .map_err(Error::from)?;
        remove(&self.beside(number))?;
        let store = Self::open(&self.beside(number)).await.map_err(unavailable)?;
        store.bind_partitions(new.partitions).await?;
        Ok(number)
    }

    async fn open(&self, number: u32) -> Result<Box<dyn GenerationStore>, StoreError> {
        let path = self.beside(number);
        if !path.is_file() {
            return Err(StoreError::Corrupt(format!(
                "generation {number} has no file {}",
                path.display()
            )));
        }
        let store = Self::open(&path).await.map_err(unavailable)?;
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
        self.keep_live().await?;
        let mut connection = self.database.writer.acquire().await.map_err(Error::from)?;
        // With it goes the transaction, even if this is dropped half-way.
        connection.close_on_drop();
        sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut *connection).await.map_err(Error::from)?;
        // No one writes by now: what readers see is what is there.
        let live = progress::load(&self.database.readers, &[]).await?;
        Ok(Box::new(SqliteCut { connection, live, number, path: self.beside(number) }))
    }

    async fn search_followed(&self, number: u32) -> Result<(), StoreError> {
        let followed = "UPDATE generations SET search_pending = 0 WHERE number = $1";
        let followed = sqlx::query(followed).bind(number).execute(&self.database.writer).await;
        followed.map_err(Error::from)?;
        Ok(())
    }

    async fn remove(&self, number: u32) -> Result<(), StoreError> {
        let row = "DELETE FROM generations WHERE number = $1 AND stage <> 'live'";
        let row = sqlx::query(row).bind(number).execute(&self.database.writer).await;
        if row.map_err(Error::from)?.rows_affected() == 1 {
            remove(&self.beside(number))?;
        }
        Ok(())
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
        let analyze = sqlx::raw_sql("ANALYZE").execute(&self.database.writer).await;
        analyze.map_err(Error::from)?;
        Ok(())
    }
}

impl SqliteStore {
    /// The file of a generation beside the live one.
    fn beside(&self, number: u32) -> PathBuf {
        let mut name = self.path.file_stem().map_or_else(OsString::new, OsString::from);
        name.push(format!("-g{number}.db"));
        self.path.with_file_name(name)
    }

    /// Copies the live generation to where it will be looked for once it is retired: as it is now, a moment before.
    async fn keep_live(&self) -> Result<(), StoreError> {
        let live = "SELECT number FROM generations WHERE stage = 'live'";
        let live = sqlx::query_scalar(live).fetch_one(&self.database.readers).await;
        let kept = self.beside(live.map_err(Error::from)?);
        let copy = kept.with_extension("copy");
        remove(&copy)?;
        sqlx::query("VACUUM INTO $1")
            .bind(text(&copy)?)
            .execute(&self.database.writer)
            .await
            .map_err(Error::from)?;
        remove(&kept)?;
        fs::rename(&copy, &kept).map_err(unavailable)
    }
}

/// An open transaction that holds every writer of the live file.
struct SqliteCut {
    connection: PoolConnection<Sqlite>,
    live: Vec<Progress>,
    number: u32,
    path: PathBuf,
}

impl SqliteCut {
    async fn replace(&mut self, at: DateTime<Utc>, search_pending: bool) -> Result<(), StoreError> {
        let Self { connection, number, path, live: _ } = self;
        let path = text(path)?;
        let replaced = async {
            sqlx::query("ATTACH $1 AS new").bind(path).execute(&mut **connection).await?;
            let below: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM main.progress AS live FULL JOIN new.progress AS new USING (partition)
                 WHERE (live.next_offset <= new.next_offset) IS NOT TRUE",
            )
            .fetch_one(&mut **connection)
            .await?;
            if below > 0 {
                let below = format!("{below} partitions stand below the live ones");
                return Err(Error::Corrupt(below));
            }
            // What was decided of a dead letter while the new one was built is decided there too, once it is live.
            sqlx::raw_sql(
                "CREATE TEMP TABLE announced AS SELECT partition, announced_offset, epoch FROM main.progress;
                 DELETE FROM main.audits;
                 DELETE FROM main.progress;
                 INSERT INTO main.progress SELECT * FROM new.progress;
                 DELETE FROM main.checkpoints;
                 INSERT INTO main.checkpoints SELECT * FROM new.checkpoints;
                 UPDATE main.progress
                     SET announced_offset = announced.announced_offset, epoch = max(announced.epoch, progress.epoch) + 1
                     FROM announced WHERE announced.partition = progress.partition;
                 DROP TABLE announced;
                 DELETE FROM main.order_history;
                 INSERT INTO main.order_history SELECT * FROM new.order_history;
                 DELETE FROM main.orders;
                 INSERT INTO main.orders SELECT * FROM new.orders;
                 UPDATE new.dead_letters
                     SET status = CASE live.status WHEN 'discarded' THEN 'discard' ELSE live.status END
                     FROM main.dead_letters AS live
                     WHERE new.dead_letters.status = 'open' AND live.status <> 'open'
                       AND live.consumer = new.dead_letters.consumer AND live.topic = new.dead_letters.topic
                       AND live.partition = new.dead_letters.partition
                       AND live.\"offset\" = new.dead_letters.\"offset\";
                 DELETE FROM main.dead_letters WHERE consumer = 'projector';
                 INSERT INTO main.dead_letters SELECT * FROM new.dead_letters WHERE consumer = 'projector';
                 UPDATE main.generations SET stage = 'retired' WHERE stage = 'live';",
            )
            .execute(&mut **connection)
            .await?;
            sqlx::query(
                "UPDATE main.generations SET
                     stage = 'live', kept = 0, live_at = $2, search_pending = $3,
                     live_offsets = (SELECT json_group_array(next_offset ORDER BY partition) FROM main.progress)
                 WHERE number = $1",
            )
            .bind(*number)
            .bind(database::micros(at))
            .bind(search_pending)
            .execute(&mut **connection)
            .await?;
            sqlx::raw_sql("COMMIT").execute(&mut **connection).await?;
            Ok(())
        };
        Ok(replaced.await?)
    }
}

#[async_trait]
impl Cut for SqliteCut {
    fn live(&self) -> &[Progress] {
        &self.live
    }

    async fn finish(
        mut self: Box<Self>,
        at: DateTime<Utc>,
        search_pending: bool,
    ) -> Result<(), StoreError> {
        self.replace(at, search_pending).await?;
        let path = self.path.clone();
        drop(self);
        // Its rows are the live ones now.
        remove(&path)
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

/// Removes a database and the files that belong to it, if there are any.
fn remove(path: &Path) -> Result<(), StoreError> {
    for suffix in ["", "-wal", "-shm"] {
        let mut file = OsString::from(path);
        file.push(suffix);
        match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(unavailable(error));
            }
            _ => {}
        }
    }
    Ok(())
}

fn text(path: &Path) -> Result<&str, StoreError> {
    let odd = || StoreError::Corrupt(format!("SQLite can't be told of {}", path.display()));
    path.to_str().ok_or_else(odd)
}

fn unavailable(error: impl std::fmt::Display) -> StoreError {
    StoreError::Unavailable(error.to_string())
}
