//! Snapshots, history, mails, timers and dead letters in SQLite files: the store's own, and one for each generation that was
//! built beside the first.

mod audits;
mod dead_letters;
mod deliveries;
mod generations;
mod history;
mod live;
mod look_up;
mod orders;
mod progress;
mod snapshots;
mod timers;

use std::path::{Path, PathBuf};

use ports::{Connections, Pooled};

use self::live::Live;
use crate::database::{Database, OpenError};

/// What every file went through, its own and those of generations.
const MIGRATIONS: &[(&str, &str)] = &[
    ("the tables of a ledger", include_str!("../../../../migrations/sqlite/0001_state.sql")),
    ("orders in pages", include_str!("../../../../migrations/sqlite/0002_state_reading.sql")),
    ("audits", include_str!("../../../../migrations/sqlite/0003_audits.sql")),
    ("generations", include_str!("../../../../migrations/sqlite/0004_generations.sql")),
    ("parking", include_str!("../../../../migrations/sqlite/0005_parking.sql")),
    ("traces", include_str!("../../../../migrations/sqlite/0006_traces.sql")),
    ("epochs", include_str!("../../../../migrations/sqlite/0007_epochs.sql")),
    ("generation files", include_str!("../../../../migrations/sqlite/0008_generation_files.sql")),
];

/// Every store port, in SQLite files.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    /// The store's own file: all that does not belong to a generation, and the generation that was the first.
    database: Database,
    path: PathBuf,
    /// The live generation. None of a store that is one generation by itself, in the file that is its own.
    live: Option<Live>,
}

impl SqliteStore {
    /// Opens the file, creates it if it is missing, and brings its tables up to date.
    ///
    /// # Errors
    /// [`OpenError`] if it can't be opened or holds something else.
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        let database = Database::open(path, MIGRATIONS).await?;
        let live = Some(Live::new(database.clone()));
        Ok(Self { database, path: path.to_owned(), live })
    }
}

impl Pooled for SqliteStore {
    fn connections(&self) -> Connections {
        let mut all = self.database.connections();
        let home = self.home();
        if home.place.file.is_some() {
            let Connections { in_use, idle, max, waiting: _ } = home.database.connections();
            all.in_use += in_use;
            all.idle += idle;
            all.max += max;
        }
        all
    }
}
