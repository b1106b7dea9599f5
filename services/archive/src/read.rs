//! An archive, read: what its manifest says, and the records of each partition in order.

use std::{
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Lines},
    path::{Path, PathBuf},
    sync::Arc,
    vec::IntoIter,
};

use async_trait::async_trait;
use ports::{LogError, LogRecord, Offset, Partition, Position, Reader};
use zstd::Decoder;

use crate::{
    ArchiveError,
    format::{FORMAT, FileEntry, Kind, Line, MANIFEST, Manifest, PartitionEntry, VERSION},
};

/// Records of one answer.
const BATCH: usize = 1_000;

/// An archive whose manifest was read.
#[derive(Debug)]
pub struct Archive {
    folder: Arc<Path>,
    manifest: Manifest,
}

impl Archive {
    /// Reads the manifest.
    ///
    /// # Errors
    /// [`ArchiveError::File`] if there is none, [`ArchiveError::Damaged`] if it is not one of ours.
    pub fn open(folder: &Path) -> Result<Self, ArchiveError> {
        Ok(Self { folder: folder.into(), manifest: manifest(folder)? })
    }

    /// Compares every file with the digest that the manifest has of it. Takes as long as reading them.
    ///
    /// # Errors
    /// [`ArchiveError::Damaged`] names the first that is another.
    pub fn check(&self) -> Result<(), ArchiveError> {
        let mut files = self.manifest.partitions.iter().flat_map(|partition| &partition.files);
        files.try_for_each(|file| check(&self.folder, file))
    }

    /// How many records belong to no order.
    #[must_use]
    pub fn strays(&self) -> u64 {
        let files = self.manifest.partitions.iter().flat_map(|partition| &partition.files);
        files.map(|file| file.strays).sum()
    }

    /// Of every partition, from 0, where the log ended: every record below is there.
    #[must_use]
    pub fn end_offsets(&self) -> Vec<Position> {
        let end = |entry: &PartitionEntry| Position {
            partition: Partition(entry.partition),
            offset: Offset(entry.end_offset),
        };
        self.manifest.partitions.iter().map(end).collect()
    }

    /// Reads a partition from its start.
    #[must_use]
    pub fn read(&self, partition: Partition) -> ArchiveReader {
        let entry = self.manifest.partitions.iter().find(|entry| entry.partition == partition.0);
        let files = entry.map_or_else(Vec::new, |entry| entry.files.clone());
        let folder = Arc::clone(&self.folder);
        ArchiveReader { folder, partition, files: files.into_iter(), current: None }
    }
}

/// The records of one partition.
pub struct ArchiveReader {
    folder: Arc<Path>,
    partition: Partition,
    /// Those that are yet to be opened.
    files: IntoIter<FileEntry>,
    current: Option<Open>,
}

/// A file that is being read.
struct Open {
    path: PathBuf,
    lines: Lines<BufReader<Decoder<'static, BufReader<File>>>>,
    /// Lines read, and how many there must be.
    read: u64,
    records: u64,
}

impl ArchiveReader {
    /// The next record; `None` after the last.
    ///
    /// # Errors
    /// [`ArchiveError::Damaged`] if a line is no record, or a file has more or fewer than the manifest says.
    pub fn record(&mut self) -> Result<Option<LogRecord>, ArchiveError> {
        loop {
            if let Some(open) = &mut self.current {
                if let Some(record) = open.record(self.partition)? {
                    return Ok(Some(record));
                }
                self.current = None;
            }
            let Some(entry) = self.files.next() else { return Ok(None) };
            self.current = Some(Open::file(self.folder.join(&entry.name), entry.records)?);
        }
    }
}

impl Open {
    fn file(path: PathBuf, records: u64) -> Result<Self, ArchiveError> {
        let opened = File::open(&path).and_then(Decoder::new);
        let lines = BufReader::new(opened.map_err(ArchiveError::file(&path))?).lines();
        Ok(Self { path, lines, read: 0, records })
    }

    fn record(&mut self, partition: Partition) -> Result<Option<LogRecord>, ArchiveError> {
        let Some(line) = self.lines.next() else {
            if self.read != self.records {
                return Err(self.damaged(&format!("there must be {} lines", self.records)));
            }
            return Ok(None);
        };
        self.read += 1;
        let line = line.map_err(|error| self.damaged(&error))?;
        let line: Line = serde_json::from_str(&line).map_err(|error| self.damaged(&error))?;
        line.into_record(partition).map(Some).map_err(|error| self.damaged(&error))
    }

    fn damaged(&self, why: &dyn ToString) -> ArchiveError {
        ArchiveError::damaged(&self.path, format!("line {}: {}", self.read, why.to_string()))
    }
}

#[async_trait]
impl Reader for ArchiveReader {
    async fn next(&mut self) -> Result<Vec<LogRecord>, LogError> {
        let mut records = Vec::new();
        while records.len() < BATCH {
            match self.record() {
                Ok(Some(record)) => records.push(record),
                Ok(None) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(records)
    }
}

impl From<ArchiveError> for LogError {
    fn from(error: ArchiveError) -> Self {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        Self::Unfit(format!("{error}{}", cause.unwrap_or_default()))
    }
}

fn manifest(folder: &Path) -> Result<Manifest, ArchiveError> {
    let path = folder.join(MANIFEST);
    let text = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(ArchiveError::damaged(folder, format_args!("it has no {MANIFEST}")));
        }
        read => read.map_err(ArchiveError::file(&path))?,
    };
    let damaged = |error| ArchiveError::damaged(&path, error);
    // First: what else another version says may not be readable.
    let Kind { format, version } = serde_json::from_slice(&text).map_err(damaged)?;
    if (format.as_str(), version) != (FORMAT, VERSION) {
        return Err(ArchiveError::damaged(&path, format_args!("it is {format} version {version}")));
    }
    let manifest: Manifest = serde_json::from_slice(&text).map_err(damaged)?;
    // In a topic that is partitioned otherwise every record would be a stray.
    if manifest.partitions.iter().zip(0..).any(|(entry, number)| entry.partition != number) {
        return Err(ArchiveError::damaged(path, "its partitions are not numbered from 0"));
    }
    let is_plain = |file: &FileEntry| Path::new(&file.name).file_name() == Some(file.name.as_ref());
    if !manifest.partitions.iter().flat_map(|entry| &entry.files).all(is_plain) {
        return Err(ArchiveError::damaged(path, "it names files outside of its folder"));
    }
    Ok(manifest)
}

fn check(folder: &Path, file: &FileEntry) -> Result<(), ArchiveError> {
    let path = folder.join(&file.name);
    let mut digest = blake3::Hasher::new();
    let read = File::open(&path).and_then(|file| digest.update_reader(file).map(drop));
    read.map_err(ArchiveError::file(&path))?;
    if digest.finalize().to_hex().as_str() != file.blake3 {
        return Err(ArchiveError::damaged(path, "its digest is not that of the manifest"));
    }
    Ok(())
}
