//! Archives: every record of `orders.events` in files that need nothing of this program to be read.
//!
//! An archive is a folder. `manifest.json` names its files, with how many records each holds and its BLAKE3 digest; it is
//! written last, so a folder without one is no archive. The files are JSON lines, compressed with Zstandard (RFC 8878), a
//! record a line in the order of its partition; docs/archives.md has the fields. Imported into another topic, with as many
//! partitions as that has, every order has the same records, byte for byte, in the same order.

mod export;
mod format;
mod import;
mod read;

use std::{io, path::PathBuf};

use ports::{AppendError, LogError};

pub use export::export;
pub use import::import;
pub use read::{Archive, ArchiveReader};

/// What was written or read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Archived {
    /// Records of orders.
    pub records: u64,
    /// Records that belong to no order: without key or value, or in another partition than that of their key. No order
    /// is folded from them. They are exported like all others, and can't be imported.
    pub strays: u64,
}

/// Why an archive was not written, or not read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The log.
    #[error("can't read the event log")]
    Log(#[from] LogError),
    /// The log took a record no more. What it has by then stays: the topic is to be made anew.
    #[error("can't append to the event log; make its topic anew before the next try")]
    Append(#[from] AppendError),
    /// A file or folder.
    #[error("can't use {}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// An archive is never written over anything.
    #[error("{} is not empty: export into a new folder", .0.display())]
    FolderInUse(PathBuf),
    /// Imported records must be all there are.
    #[error("the topic has {0} records: import into a new one")]
    TopicInUse(u64),
    /// Not one, or not whole.
    #[error("{} is no archive that this version reads: {why}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Someone must decide about them.
    #[error(
        "{0} records belong to no order and can't be imported; --leave-out-strays imports the rest"
    )]
    Strays(u64),
}

impl ArchiveError {
    fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        |source| Self::File { path, source }
    }

    fn damaged(path: impl Into<PathBuf>, why: impl ToString) -> Self {
        Self::Damaged { path: path.into(), why: why.to_string() }
    }
}
