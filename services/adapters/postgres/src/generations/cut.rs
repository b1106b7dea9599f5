//! The cut: the tables of two generations change places.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ports::{Cut, OrderStore as _, Progress, StoreError};
use sqlx::{AssertSqlSafe, PgConnection, Postgres, pool::PoolConnection};

use super::unlimited;
use crate::{columns, error::Error, orders, session::PostgresStore};

/// What a generation consists of, besides its dead letters; first those that refer to others.
const TABLES: [&str; 5] = ["audits", "checkpoints", "progress", "orders", "order_history"];

/// An open transaction that holds the live generation's progress. Its connection is closed when it is dropped.
pub(super) struct PostgresCut {
    connection: PoolConnection<Postgres>,
    live: Vec<Progress>,
    number: u32,
    live_schema: String,
    new_schema: String,
    retired_schema: String,
}

impl PostgresCut {
    pub(super) async fn begin(store: &PostgresStore, number: u32) -> Result<Self, StoreError> {
        let live = store.run(async |connection| live_number(connection).await).await?;
        // The tables that stay behind when a generation goes live come first: they are few and empty, and only made.
        store.beside(live)?.prepare().await?;
        let mut connection = store.connection_to_close().await?;
        unlimited(&mut connection).await?;
        // Whoever holds a lock for longer makes the cut fail rather than everyone else wait behind it.
        let begin =
            "BEGIN; SET LOCAL lock_timeout = '5s'; LOCK TABLE progress IN ACCESS EXCLUSIVE MODE";
        sqlx::raw_sql(begin).execute(&mut *connection).await.map_err(Error::from)?;
        let progress = orders::progress(&mut connection).await?;
        Ok(Self {
            connection,
            live: progress,
            number,
            live_schema: store.schema.clone(),
            new_schema: store.schema_beside(number),
            retired_schema: store.schema_beside(live),
        })
    }

    async fn swap(&mut self, at: DateTime<Utc>, search_pending: bool) -> Result<(), Error> {
        let Self { connection, number, live_schema, new_schema, retired_schema, live: _ } = self;
        let below: i64 = sqlx::query_scalar(AssertSqlSafe(format!(
            "SELECT count(*) FROM {live_schema}.progress AS live FULL JOIN {new_schema}.progress AS new USING (partition)
             WHERE (coalesce(live.next_offset, 0) <= new.next_offset) IS NOT TRUE"
        )))
        .fetch_one(&mut **connection)
        .await?;
        if below > 0 {
            return Err(Error::Corrupt(format!("{below} partitions stand below the live ones")));
        }
        // What was decided of a dead letter while the new one was built is decided there too, once it is live; and what is
        // decided meanwhile waits, or it would be written to a row that is about to go. No one else can wait for this in a
        // circle: commits take `progress` first, which is held here, and every other write of a dead letter is a statement by
        // itself, which holds nothing while it waits. Reads go on.
        let mut script = format!(
            "LOCK TABLE {live_schema}.dead_letters IN SHARE ROW EXCLUSIVE MODE;
             LOCK TABLE orders, order_history, audits, checkpoints IN ACCESS EXCLUSIVE MODE;
             UPDATE {new_schema}.progress AS new
                 SET announced_offset = live.announced_offset, epoch = greatest(live.epoch, new.epoch) + 1
                 FROM {live_schema}.progress AS live WHERE live.partition = new.partition;
             UPDATE {new_schema}.dead_letters AS new
                 SET status = CASE live.status WHEN 'discarded' THEN 'discard' ELSE live.status END
                 FROM {live_schema}.dead_letters AS live
                 WHERE new.status = 'open' AND live.status <> 'open'
                   AND live.consumer = new.consumer AND live.topic = new.topic
                   AND live.partition = new.partition AND live.\"offset\" = new.\"offset\";
             DELETE FROM {retired_schema}.dead_letters;
             INSERT INTO {retired_schema}.dead_letters
                 SELECT * FROM {live_schema}.dead_letters WHERE consumer = 'projector';
             DELETE FROM {live_schema}.dead_letters WHERE consumer = 'projector';
             INSERT INTO {live_schema}.dead_letters SELECT * FROM {new_schema}.dead_letters;"
        );
        for table in TABLES {
            script += &format!("DROP TABLE IF EXISTS {retired_schema}.{table};");
        }
        for table in TABLES {
            script += &format!(
                "ALTER TABLE {live_schema}.{table} SET SCHEMA {retired_schema};
                 ALTER TABLE {new_schema}.{table} SET SCHEMA {live_schema};"
            );
        }
        sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut **connection).await?;
        sqlx::query("UPDATE generations SET stage = 'retired' WHERE stage = 'live'")
            .execute(&mut **connection)
            .await?;
        sqlx::query(
            "UPDATE generations SET
                 stage = 'live', kept = false, live_at = $2, search_pending = $3,
                 live_offsets = ARRAY(SELECT next_offset FROM progress ORDER BY partition)
             WHERE number = $1",
        )
        .bind(columns::number(*number))
        .bind(at)
        .bind(search_pending)
        .execute(&mut **connection)
        .await?;
        sqlx::raw_sql("COMMIT").execute(&mut **connection).await?;
        Ok(())
    }
}

async fn live_number(connection: &mut PgConnection) -> Result<u32, Error> {
    let live = "SELECT number FROM generations WHERE stage = 'live'";
    let number: i32 = sqlx::query_scalar(live).fetch_one(connection).await?;
    u32::try_from(number).map_err(|_| columns::negative(number))
}

#[async_trait]
impl Cut for PostgresCut {
    fn live(&self) -> &[Progress] {
        &self.live
    }

    async fn finish(
        mut self: Box<Self>,
        at: DateTime<Utc>,
        search_pending: bool,
    ) -> Result<(), StoreError> {
        Ok(self.swap(at, search_pending).await?)
    }
}
