//! The data folder: one process at a time.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    process,
};

/// Why a data folder can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another process uses it.
    #[error("{holder} uses {path}; stop it, or choose another folder")]
    InUse {
        /// The folder.
        path: PathBuf,
        /// Who: `process 4711`, if it said.
        holder: String,
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
        // Not truncated yet: it may be another's, and says whose.
        let options = File::options().create(true).truncate(false).read(true).write(true).clone();
        let mut file = options.open(path.join("lock")).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {
                sign(&mut file).map_err(failed)?;
                Ok(DataDirLock(file))
            }
            Err(TryLockError::WouldBlock) => {
                Err(DataDirError::InUse { path: path.to_owned(), holder: holder(&mut file) })
            }
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

fn sign(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    writeln!(file, "{}", process::id())
}

fn holder(file: &mut File) -> String {
    let mut signed = String::new();
    // Some systems let no one else read a locked file; its holder may also be about to sign.
    match file.read_to_string(&mut signed).ok().and_then(|_| signed.trim().parse::<u32>().ok()) {
        Some(id) => format!("process {id}"),
        None => "another process".to_owned(),
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
