//! What generations leave behind: their files, and the rows of the one that is in the store's own file.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    time::Instant,
};

use ports::StoreError;
use sqlx::AssertSqlSafe;

use super::{SqliteStore, unavailable};
use crate::database::Error;

/// What a generation in the store's own file consists of; first what refers to others.
const TABLES: [&str; 6] =
    ["audits", "checkpoints", "progress", "orders", "order_history", "dead_letters"];
/// Rows deleted at once: whoever else writes to the file waits for no more than these.
const ROWS: i64 = 2_000;

impl SqliteStore {
    /// Removes what no generation has: left by a process that ended in between, or by a version that kept copies.
    pub(super) async fn tidy(&self) -> Result<(), StoreError> {
        let files = "SELECT file FROM generations";
        let files = sqlx::query_scalar(files).fetch_all(&self.database.readers).await;
        let files: BTreeSet<Option<u32>> = files.map_err(Error::from)?.into_iter().collect();
        for (path, file) in self.files_beside().map_err(unavailable)? {
            let is_copy = path.extension().is_some_and(|extension| extension == "copy");
            if is_copy || !files.contains(&Some(file)) {
                remove(&path)?;
            }
        }
        if !files.contains(&None) {
            self.empty_own().await?;
        }
        Ok(())
    }

    /// Every file that is named like a generation's, and its number.
    fn files_beside(&self) -> io::Result<Vec<(PathBuf, u32)>> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or_else(|| Path::new("."));
        let stem = self.path.file_stem().unwrap_or_default().to_string_lossy();
        let number = |name: &str| {
            let rest = name.strip_prefix(stem.as_ref())?.strip_prefix("-g")?;
            let number = rest.strip_suffix(".db").or_else(|| rest.strip_suffix(".copy"))?;
            number.parse().ok()
        };
        let mut beside = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if let Some(number) = number(&entry.file_name().to_string_lossy()) {
                beside.push((entry.path(), number));
            }
        }
        Ok(beside)
    }

    /// Deletes the rows of the generation that was in the store's own file, some at a time. Its room is used again.
    pub(super) async fn empty_own(&self) -> Result<(), Error> {
        for table in TABLES {
            loop {
                let begun = Instant::now();
                if self.delete_some(table).await? == 0 {
                    break;
                }
                // Half of the time the file is everyone else's.
                tokio::time::sleep(begun.elapsed()).await;
            }
        }
        Ok(())
    }

    async fn delete_some(&self, table: &str) -> Result<u64, Error> {
        let (key, condition) = match table {
            // It has no row ids.
            "checkpoints" => ("(partition, next_offset)", "true"),
            // Those of others belong to no generation.
            "dead_letters" => ("rowid", "consumer = 'projector'"),
            _ => ("rowid", "true"),
        };
        let keys = key.trim_matches(['(', ')']);
        let delete = format!(
            "DELETE FROM {table} WHERE {key} IN (SELECT {keys} FROM {table} WHERE {condition} LIMIT $1)"
        );
        let delete = sqlx::query(AssertSqlSafe(delete)).bind(ROWS);
        Ok(delete.execute(&self.database.writer).await?.rows_affected())
    }
}

/// Removes a database and the files that belong to it, if there are any.
pub(super) fn remove(path: &Path) -> Result<(), StoreError> {
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
