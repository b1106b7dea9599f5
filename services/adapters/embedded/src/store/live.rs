//! Which file the live generation is in, and how it is read and written there.
//!
//! A cut changes a row of `generations` while it holds the file of the generation that was live. So who writes asks which one
//! is live once the file is its own, and who reads asks afterwards whether it read the live one. Neither needs to be told, in
//! whichever process it is.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sqlx::{Sqlite, SqlitePool, Transaction};

use super::{MIGRATIONS, SqliteStore};
use crate::database::{Database, Error};

/// What the row of the live generation says of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// `N` of `…-gN.db`, or the store's own file.
    pub(super) file: Option<u32>,
    /// Since when it is live. One that came back is not taken for what it was: while it was retired it stood further back.
    since: Option<i64>,
}

/// A generation that is, or was, live.
#[derive(Clone, Debug)]
pub(super) struct Home {
    pub(super) place: Place,
    pub(super) database: Database,
}

/// Where the live generation was when it was last looked for.
#[derive(Clone, Debug)]
pub(super) struct Live {
    home: Arc<Mutex<Home>>,
    /// Whoever opens a file has it: the others wait rather than open it, too.
    opening: Arc<tokio::sync::Mutex<()>>,
}

impl Live {
    /// It is taken to be in the store's own file, where the first one is: whoever uses it finds out.
    pub(super) fn new(database: Database) -> Self {
        let home = Home { place: Place::default(), database };
        Self { home: Arc::new(Mutex::new(home)), opening: Arc::default() }
    }

    fn home(&self) -> MutexGuard<'_, Home> {
        self.home.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SqliteStore {
    /// Where the generation is, unless there was a cut since it was looked for.
    pub(super) fn home(&self) -> Home {
        match &self.live {
            Some(live) => live.home().clone(),
            None => Home { place: Place::default(), database: self.database.clone() },
        }
    }

    /// Reads of the generation; once more if another one is live by the time that it is read.
    pub(super) async fn read<T, F>(&self, read: impl Fn(SqlitePool) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        loop {
            let home = self.home();
            let found = read(home.database.readers.clone()).await;
            if self.is_live(home.place).await? {
                return found;
            }
            self.follow().await?;
        }
    }

    /// A transaction that may write to the generation, rolled back unless it is committed. No other one becomes live
    /// meanwhile.
    pub(super) async fn begin(&self) -> Result<Transaction<'static, Sqlite>, Error> {
        Ok(self.hold().await?.1)
    }

    /// The same, and where.
    pub(super) async fn hold(&self) -> Result<(Home, Transaction<'static, Sqlite>), Error> {
        loop {
            let home = self.home();
            let transaction = home.database.begin().await;
            if self.is_live(home.place).await? {
                return Ok((home, transaction?));
            }
            drop(transaction);
            self.follow().await?;
        }
    }

    async fn is_live(&self, place: Place) -> Result<bool, Error> {
        Ok(self.live.is_none() || self.place().await? == place)
    }

    async fn place(&self) -> Result<Place, Error> {
        let live = sqlx::query_as("SELECT file, live_at FROM generations WHERE stage = 'live'");
        let (file, since) = live.fetch_one(&self.database.readers).await?;
        Ok(Place { file, since })
    }

    /// Opens the file in which the live generation is.
    pub(super) async fn follow(&self) -> Result<(), Error> {
        let Some(live) = &self.live else { return Ok(()) };
        let _opening = live.opening.lock().await;
        loop {
            let place = self.place().await?;
            if live.home().place == place {
                return Ok(());
            }
            match self.database_in(place.file).await {
                Ok(database) => *live.home() = Home { place, database },
                Err(error) if self.place().await? == place => return Err(error),
                // It is live no more, and may be gone.
                Err(_) => {}
            }
        }
    }

    /// Opens a file that must be there.
    pub(super) async fn database_in(&self, file: Option<u32>) -> Result<Database, Error> {
        if file.is_none() {
            return Ok(self.database.clone());
        }
        let path = self.path_of(file);
        if !path.is_file() {
            return Err(Error::Corrupt(format!("a generation has no file {}", path.display())));
        }
        Ok(Database::open_existing(&path, MIGRATIONS).await?)
    }

    /// Where a file is.
    pub(super) fn path_of(&self, file: Option<u32>) -> PathBuf {
        let Some(number) = file else { return self.path.clone() };
        let mut name = self.path.file_stem().unwrap_or_default().to_owned();
        name.push(format!("-g{number}.db"));
        self.path.with_file_name(name)
    }
}
