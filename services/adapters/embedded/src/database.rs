//! Opening a SQLite file: durable, with one writer and a few readers; and what the driver's errors mean.

use std::{path::Path, time::Duration};

use chrono::{DateTime, Utc};
use events::Digest;
use ports::{
    CommitError, Connections, LogError, Offset, Partition, Position, SearchError, StoreError,
};
use sqlx::{
    Connection as _, Row as _, SqlSafeStr as _, Sqlite, SqlitePool, Transaction,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
    sqlite::{
        SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
    },
};

/// Readers at the same time. SQLite reads from memory most of the time: more would not be faster.
const READERS: u32 = 4;

/// A file can't be opened or brought up to date.
#[derive(Debug, thiserror::Error)]
#[error("can't open the database {path}")]
pub struct OpenError {
    path: String,
    #[source]
    source: sqlx::Error,
}

impl OpenError {
    pub(crate) fn new(path: &Path, source: sqlx::Error) -> Self {
        Self { path: path.display().to_string(), source }
    }
}

/// An open file.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    /// One connection: SQLite has one writer at a time, and a queue here is fairer than its busy waiting.
    pub(crate) writer: SqlitePool,
    pub(crate) readers: SqlitePool,
}

impl Database {
    /// Opens a file, creates it if it is missing, and brings its tables up to date: `migrations` are every one there ever
    /// was, what it does and its text. Safe beside another process that has it open: nothing is written if they are.
    pub(crate) async fn open(
        path: &Path,
        migrations: &[(&'static str, &'static str)],
    ) -> Result<Self, OpenError> {
        Self::open_or_create(path, migrations, true).await
    }

    /// As `open`; a file that is missing, now or later, is not created.
    pub(crate) async fn open_existing(
        path: &Path,
        migrations: &[(&'static str, &'static str)],
    ) -> Result<Self, OpenError> {
        Self::open_or_create(path, migrations, false).await
    }

    async fn open_or_create(
        path: &Path,
        migrations: &[(&'static str, &'static str)],
        create: bool,
    ) -> Result<Self, OpenError> {
        let opened = async {
            if let Some(folder) = path.parent().filter(|_| create) {
                std::fs::create_dir_all(folder)?;
            }
            // FULL: an answer means that the disk has it, not only the operating system.
            let options = SqliteConnectOptions::new()
                .filename(path)
                .create_if_missing(create)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(Duration::from_secs(10));
            let writer = pool(1);
            let writer = writer.connect_with(options.clone()).await?;
            migrator(migrations).run(&writer).await.map_err(unmigrated)?;
            let readers = options.read_only(true).create_if_missing(false);
            let readers = pool(READERS).connect_lazy_with(readers);
            Ok(Self { writer, readers })
        };
        opened.await.map_err(|error| OpenError::new(path, error))
    }

    /// A transaction that may write, rolled back unless it is committed.
    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Sqlite>, Error> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// The writer's and the readers' connections together; the driver does not tell who waits for one.
    pub(crate) fn connections(&self) -> Connections {
        let mut all = Connections::default();
        for pool in [&self.writer, &self.readers] {
            let open = pool.size();
            let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX).min(open);
            all.idle += idle;
            all.in_use += open - idle;
            all.max += pool.options().get_max_connections();
        }
        all
    }
}

/// A full disk makes SQLite roll back by itself. The driver does not notice: it would take the connection for one within a
/// transaction, and every later one for a part of that, which never ends. Such a connection is closed.
fn pool(connections_max: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new().max_connections(connections_max).after_release(|connection, _| {
        Box::pin(async move {
            // What was dropped half-way is rolled back first.
            connection.ping().await?;
            Ok(!connection.is_in_transaction())
        })
    })
}

fn migrator(migrations: &[(&'static str, &'static str)]) -> Migrator {
    let migration = |(version, (description, sql)): (i64, &(&'static str, &'static str))| {
        let kind = MigrationType::Simple;
        Migration::new(version, (*description).into(), kind, sql.into_sql_str(), false)
    };
    Migrator::with_migrations((1..).zip(migrations).map(migration).collect())
}

fn unmigrated(error: MigrateError) -> sqlx::Error {
    sqlx::Error::Migrate(Box::new(error))
}

/// Why an operation did not go through.
#[derive(Debug)]
pub(crate) enum Error {
    Sql(sqlx::Error),
    /// What is stored can't be.
    Corrupt(String),
    /// Another fold made what is stored.
    OtherFold {
        stored: u32,
    },
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        Self::Sql(error.source)
    }
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        match error {
            Error::Sql(error) if is_passing(&error) => Self::Unavailable(text(&error)),
            Error::Sql(error) => Self::Corrupt(text(&error)),
            Error::Corrupt(what) => Self::Corrupt(what),
            Error::OtherFold { stored } => Self::OtherFold { stored },
        }
    }
}

impl From<Error> for CommitError {
    fn from(error: Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<Error> for LogError {
    fn from(error: Error) -> Self {
        match error {
            Error::Sql(error) if is_passing(&error) => Self::Unavailable(text(&error)),
            Error::Sql(error) => Self::Unfit(text(&error)),
            Error::Corrupt(what) => Self::Unfit(what),
            other @ Error::OtherFold { .. } => Self::Unfit(StoreError::from(other).to_string()),
        }
    }
}

impl From<Error> for SearchError {
    fn from(error: Error) -> Self {
        match error {
            Error::Sql(error) if is_passing(&error) => Self::Unavailable(text(&error)),
            Error::Sql(error) => Self::Unfit(text(&error)),
            Error::Corrupt(what) => Self::Unfit(what),
            other @ Error::OtherFold { .. } => Self::Unfit(StoreError::from(other).to_string()),
        }
    }
}

/// Whether the same may work later: a full disk gets room, a lock is let go of, a file can be written again.
fn is_passing(error: &sqlx::Error) -> bool {
    match error {
        // SQLITE_BUSY, LOCKED, NOMEM, READONLY, IOERR, FULL, CANTOPEN; the upper bits say more precisely which.
        sqlx::Error::Database(error) => error
            .code()
            .and_then(|code| code.parse::<i32>().ok())
            .is_some_and(|code| matches!(code & 0xff, 5 | 6 | 7 | 8 | 10 | 13 | 14)),
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}

fn text(error: &sqlx::Error) -> String {
    format!("SQLite: {error}")
}

/// An instant as it is stored.
pub(crate) const fn micros(at: DateTime<Utc>) -> i64 {
    at.timestamp_micros()
}

/// A stored instant.
pub(crate) fn instant(micros: i64) -> Result<DateTime<Utc>, Error> {
    DateTime::from_timestamp_micros(micros)
        .ok_or_else(|| Error::Corrupt(format!("{micros} µs is no instant")))
}

/// A stored count or version.
pub(crate) fn unsigned(number: i64) -> Result<u64, Error> {
    u64::try_from(number).map_err(|_| Error::Corrupt(format!("{number} should not be negative")))
}

/// The value that a stored name stands for.
pub(crate) fn named<T>(
    column: &str,
    name: &str,
    from_name: impl Fn(&str) -> Option<T>,
) -> Result<T, Error> {
    from_name(name).ok_or_else(|| Error::Corrupt(format!("{column} is {name:?}")))
}

/// A stored id.
pub(crate) fn id<T: std::str::FromStr>(column: &str, text: &str) -> Result<T, Error> {
    text.parse().map_err(|_| Error::Corrupt(format!("{column} is {text:?}")))
}

/// A limit as SQLite takes it.
pub(crate) fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// Rows of one statement at most: sixteen parameters each at most, of 32,766.
const ROWS_PER_STATEMENT: usize = 256;

/// Splits rows among statements of a power of two of rows each, the longest first. A connection keeps every statement
/// that it has prepared: of any length, there would be thousands, with megabytes each.
pub(crate) fn statements<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let length = 1 << rows.len().min(ROWS_PER_STATEMENT).checked_ilog2()?;
        let statement;
        (statement, rows) = rows.split_at_checked(length)?;
        Some(statement)
    })
}

/// When a claim made at `now` runs out.
pub(crate) fn lease_end(now: DateTime<Utc>, lease: Duration) -> i64 {
    let lease = i64::try_from(lease.as_micros()).unwrap_or(i64::MAX);
    micros(now).saturating_add(lease)
}

/// A version or count as SQLite takes it; they never come near the limit.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A stored partition.
pub(crate) fn partition(number: i64) -> Result<Partition, Error> {
    let negative = |_| Error::Corrupt(format!("a partition is {number}"));
    u32::try_from(number).map(Partition).map_err(negative)
}

/// A stored digest.
pub(crate) fn digest(bytes: &[u8]) -> Result<Digest, Error> {
    let wrong = |_| Error::Corrupt(format!("a digest has {} bytes, not 32", bytes.len()));
    bytes.try_into().map(Digest::new).map_err(wrong)
}

/// A stored position.
pub(crate) fn position(row: &SqliteRow) -> Result<Position, Error> {
    let partition = partition(row.try_get("partition")?)?;
    Ok(Position { partition, offset: Offset(row.try_get("offset")?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_go_into_statements_of_few_lengths() {
        for (rows, lengths) in [
            (0, vec![]),
            (1, vec![1]),
            (7, vec![4, 2, 1]),
            (256, vec![256]),
            (517, vec![256, 256, 4, 1]),
        ] {
            let rows: Vec<_> = (0..rows).collect();
            let split: Vec<_> = statements(&rows).collect();
            assert_eq!(split.concat(), rows);
            assert_eq!(split.iter().map(|rows| rows.len()).collect::<Vec<_>>(), lengths);
        }
    }
}
