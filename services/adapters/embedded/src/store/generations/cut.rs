//! The cut: another generation is said to be live.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ports::{Cut, Progress, StoreError};
use sqlx::{Sqlite, SqliteConnection, Transaction};

use super::super::{SqliteStore, live::Home, progress};
use crate::database::{self, Error};

/// An open transaction that holds whoever would write to the live generation.
pub(super) struct SqliteCut {
    store: SqliteStore,
    new: SqliteStore,
    number: u32,
    former: Home,
    held: Transaction<'static, Sqlite>,
    live: Vec<Progress>,
}

impl SqliteCut {
    pub(super) async fn begin(
        store: SqliteStore,
        new: SqliteStore,
        number: u32,
    ) -> Result<Self, Error> {
        let (former, held) = store.hold().await?;
        if store.path_of(former.place.file) == new.path {
            return Err(Error::Corrupt(format!("generation {number} is live already")));
        }
        // No one writes by now: what readers see is what is there.
        let live = progress::load(&former.database.readers, &[]).await?;
        Ok(Self { store, new, number, former, held, live })
    }

    /// Takes over into the new one what was done with the live one while it was built. It counts from the cut on: if that
    /// does not come, the next one does this again.
    async fn take_over(&self) -> Result<(), Error> {
        let former = self.store.path_of(self.former.place.file);
        let odd = || Error::Corrupt(format!("SQLite can't be told of {}", former.display()));
        let former = former.to_str().ok_or_else(odd)?;
        let mut connection = self.new.database.writer.acquire().await?;
        // Whenever it is dropped, it keeps neither the other file nor a transaction.
        connection.close_on_drop();
        sqlx::query("ATTACH $1 AS former").bind(former).execute(&mut *connection).await?;
        let below: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM former.progress AS live FULL JOIN main.progress AS new USING (partition)
             WHERE (coalesce(live.next_offset, 0) <= new.next_offset) IS NOT TRUE",
        )
        .fetch_one(&mut *connection)
        .await?;
        if below > 0 {
            return Err(Error::Corrupt(format!("{below} partitions stand below the live ones")));
        }
        // Not IMMEDIATE: that would wait for the former, too, which is held. What was decided of a dead letter while the new
        // one was built is decided there too, once it is live.
        sqlx::raw_sql(
            "BEGIN;
             UPDATE main.progress
                 SET announced_offset = live.announced_offset, epoch = max(progress.epoch, live.epoch) + 1
                 FROM former.progress AS live WHERE live.partition = progress.partition;
             UPDATE main.dead_letters
                 SET status = CASE live.status WHEN 'discarded' THEN 'discard' ELSE live.status END
                 FROM former.dead_letters AS live
                 WHERE dead_letters.status = 'open' AND live.status <> 'open'
                   AND live.consumer = dead_letters.consumer AND live.topic = dead_letters.topic
                   AND live.partition = dead_letters.partition AND live.\"offset\" = dead_letters.\"offset\";
             COMMIT",
        )
        .execute(&mut *connection)
        .await?;
        Ok(())
    }

    async fn swap(self, at: DateTime<Utc>, search_pending: bool) -> Result<(), Error> {
        self.take_over().await?;
        let offsets = progress::load(&self.new.database.readers, &[]).await?;
        let offsets = serde_json::Value::from_iter(offsets.iter().map(|progress| progress.next.0));
        let row = Row { number: self.number, at, search_pending, offsets: offsets.to_string() };
        let Self { store, former, mut held, .. } = self;
        if former.place.file.is_none() {
            make_live(&mut held, &row).await?;
            return Ok(held.commit().await?);
        }
        let mut transaction = store.database.begin().await?;
        make_live(&mut transaction, &row).await?;
        transaction.commit().await?;
        // Only now: whoever waited finds that another one is live.
        Ok(held.rollback().await?)
    }
}

/// What is written down of the one that is live from now on.
struct Row {
    number: u32,
    at: DateTime<Utc>,
    search_pending: bool,
    offsets: String,
}

async fn make_live(connection: &mut SqliteConnection, row: &Row) -> Result<(), Error> {
    let Row { number, at, search_pending, offsets } = row;
    sqlx::query("UPDATE generations SET stage = 'retired' WHERE stage = 'live'")
        .execute(&mut *connection)
        .await?;
    let live = sqlx::query(
        "UPDATE generations
         SET stage = 'live', kept = 0, live_at = $2, search_pending = $3, live_offsets = $4
         WHERE number = $1",
    )
    .bind(number)
    .bind(database::micros(*at))
    .bind(search_pending)
    .bind(offsets)
    .execute(connection)
    .await?;
    match live.rows_affected() {
        1 => Ok(()),
        _ => Err(Error::Corrupt(format!("generation {number} was removed"))),
    }
}

#[async_trait]
impl Cut for SqliteCut {
    fn live(&self) -> &[Progress] {
        &self.live
    }

    async fn finish(
        self: Box<Self>,
        at: DateTime<Utc>,
        search_pending: bool,
    ) -> Result<(), StoreError> {
        Ok(self.swap(at, search_pending).await?)
    }
}
