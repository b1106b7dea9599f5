//! The data folder: one process at a time.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

/// Why a data folder can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another process uses it.
    #[error("another process uses {path}; stop it, or choose another folder")]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// It can't be created or locked.
    #[error("can't create or lock {path}")]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A folder that holds the embedded parts' files.
#[derive(Debug)]
pub struct DataDir;

/// Keeps other processes out of a folder as long as it lives. The operating system lets go of it however the process
/// ends.
#[derive(Debug)]
#[expect(dead_code, reason = "held, not read")]
pub struct DataDirLock(File);

impl DataDir {
    /// Creates the folder if it is missing and keeps other processes out of it.
    ///
    /// # Errors
    /// [`DataDirError`].
    pub fn lock(path: &Path) -> Result<DataDirLock, DataDirError> {
        let failed = |source| DataDirError::Io { path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(failed)?;
        let file = File::options().create(true).append(true).open(path.join("lock"));
        let file = file.map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(DataDirLock(file)),
            Err(TryLockError::WouldBlock) => Err(DataDirError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_belongs_to_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/data");
        let first = DataDir::lock(&path).unwrap();
        assert!(matches!(DataDir::lock(&path), Err(DataDirError::InUse { .. })));
        drop(first);
        DataDir::lock(&path).unwrap();
    }
}
