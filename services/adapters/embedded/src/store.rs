//! Snapshots, history, mails, timers and dead letters in one SQLite file.

mod audits;
mod dead_letters;
mod deliveries;
mod generations;
mod history;
mod look_up;
mod orders;
mod progress;
mod snapshots;
mod timers;

use std::path::{Path, PathBuf};

use ports::{Connections, Pooled};
use sqlx::{Sqlite, Transaction};

use crate::database::{Database, Error, OpenError};

/// Every store port, in a SQLite file.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    database: Database,
    path: PathBuf,
}

impl SqliteStore {
    /// Opens the file, creates it if it is missing, and brings its tables up to date.
    ///
    /// # Errors
    /// [`OpenError`] if it can't be opened or holds something else.
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        const MIGRATIONS: &[(&str, &str)] = &[
            (
                "the tables of a ledger",
                include_str!("../../../../migrations/sqlite/0001_state.sql"),
            ),
            (
                "orders in pages",
                include_str!("../../../../migrations/sqlite/0002_state_reading.sql"),
            ),
            ("audits", include_str!("../../../../migrations/sqlite/0003_audits.sql")),
            ("generations", include_str!("../../../../migrations/sqlite/0004_generations.sql")),
            ("parking", include_str!("../../../../migrations/sqlite/0005_parking.sql")),
            ("traces", include_str!("../../../../migrations/sqlite/0006_traces.sql")),
            ("epochs", include_str!("../../../../migrations/sqlite/0007_epochs.sql")),
        ];
        Ok(Self { database: Database::open(path, MIGRATIONS).await?, path: path.to_owned() })
    }

    /// A transaction that may write, rolled back unless it is committed.
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, Error> {
        Ok(self.database.writer.begin_with("BEGIN IMMEDIATE").await?)
    }
}

impl Pooled for SqliteStore {
    fn connections(&self) -> Connections {
        self.database.connections()
    }
}
