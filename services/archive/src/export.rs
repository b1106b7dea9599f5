//! The log, written to files.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use chrono::{DateTime, Utc};
use ports::{EventLog, LogRecord, Offset, Position, Reader, Topic};
use zstd::Encoder;

use crate::{
    ArchiveError, Archived,
    format::{FORMAT, FileEntry, Line, MANIFEST, Manifest, PartitionEntry, VERSION, again},
};

/// Records in one file.
const RECORDS_PER_FILE: u64 = 500_000;
/// Zstandard's own default: JSON shrinks to a tenth, faster than a log can be read.
const LEVEL: i32 = 3;

/// Writes every record that the log has by now into `folder`, which must not exist or be empty. `progress` is told how
/// many records were written, now and then.
///
/// # Errors
/// [`ArchiveError`]; the folder is no archive then.
pub async fn export(
    log: &dyn EventLog,
    folder: &Path,
    now: DateTime<Utc>,
    mut progress: impl FnMut(u64) + Send,
) -> Result<Archived, ArchiveError> {
    fs::create_dir_all(folder).map_err(ArchiveError::file(folder))?;
    if fs::read_dir(folder).map_err(ArchiveError::file(folder))?.next().is_some() {
        return Err(ArchiveError::FolderInUse(folder.to_owned()));
    }
    let partitions = log.partitions(Topic::Events).await?;
    let mut archived = Archived::default();
    let mut entries = Vec::new();
    for Position { partition, offset: end } in log.end_offsets(Topic::Events).await? {
        let mut reader = log.read(Topic::Events, partition, Offset::START, end).await?;
        let mut left = Vec::new().into_iter();
        let mut files: Vec<FileEntry> = Vec::new();
        while let Some(first) = next(reader.as_mut(), &mut left).await? {
            let name = format!("{:05}-{:020}.jsonl.zst", partition.0, first.position.offset.0);
            let path = folder.join(&name);
            let mut file = ArchiveFile::create(&path, partitions)?;
            let mut record = Some(first);
            while let Some(written) = record {
                file.write(written).map_err(ArchiveError::file(&path))?;
                let is_full = file.records == RECORDS_PER_FILE;
                record = if is_full { None } else { next(reader.as_mut(), &mut left).await? };
                if file.records.is_multiple_of(1_000) {
                    progress(archived.records + file.records);
                }
            }
            let entry = file.finish(name).map_err(ArchiveError::file(&path))?;
            archived.records += entry.records;
            archived.strays += entry.strays;
            progress(archived.records);
            files.push(entry);
        }
        entries.push(PartitionEntry { partition: partition.0, end_offset: end.0, files });
    }
    let manifest = Manifest {
        format: FORMAT.to_owned(),
        version: VERSION,
        topic: Topic::Events.name().to_owned(),
        exported_at: now,
        partitions: entries,
    };
    write_manifest(folder, &manifest)?;
    archived.records -= archived.strays;
    Ok(archived)
}

/// The next record of a batch, or of the batch after it.
async fn next(
    reader: &mut dyn Reader,
    left: &mut std::vec::IntoIter<LogRecord>,
) -> Result<Option<LogRecord>, ArchiveError> {
    if let Some(record) = left.next() {
        return Ok(Some(record));
    }
    *left = reader.next().await?.into_iter();
    Ok(left.next())
}

/// Last, whole or not at all, and after the files are safe.
fn write_manifest(folder: &Path, manifest: &Manifest) -> Result<(), ArchiveError> {
    let (aside, path) = (folder.join(".manifest"), folder.join(MANIFEST));
    let written = || {
        let mut file = File::create_new(&aside)?;
        serde_json::to_writer_pretty(&mut file, manifest)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&aside, &path)?;
        File::open(folder)?.sync_all()
    };
    written().map_err(ArchiveError::file(&path))
}

/// A file that is being written.
struct ArchiveFile {
    encoder: Encoder<'static, Digesting>,
    partitions: u32,
    records: u64,
    strays: u64,
}

impl ArchiveFile {
    fn create(path: &Path, partitions: u32) -> Result<Self, ArchiveError> {
        let create = || {
            let file = Digesting { file: File::create_new(path)?, digest: blake3::Hasher::new() };
            Encoder::new(file, LEVEL)
        };
        let encoder = create().map_err(ArchiveError::file(path))?;
        Ok(Self { encoder, partitions, records: 0, strays: 0 })
    }

    fn write(&mut self, record: LogRecord) -> io::Result<()> {
        serde_json::to_writer(&mut self.encoder, &Line::from(&record))?;
        self.encoder.write_all(b"\n")?;
        self.records += 1;
        self.strays += u64::from(again(record, self.partitions).is_none());
        Ok(())
    }

    fn finish(self, name: String) -> io::Result<FileEntry> {
        let Digesting { file, digest } = self.encoder.finish()?;
        file.sync_all()?;
        let blake3 = digest.finalize().to_hex().to_string();
        Ok(FileEntry { name, records: self.records, strays: self.strays, blake3 })
    }
}

/// Digests what it writes.
struct Digesting {
    file: File,
    digest: blake3::Hasher,
}

impl Write for Digesting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        if let Some(bytes) = bytes.get(..written) {
            self.digest.update(bytes);
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
