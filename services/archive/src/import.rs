//! Files, appended to an empty log.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::Path,
    time::Duration,
};

use ports::{Ack, AppendError, EventLog, NewRecord, Partition, Topic};
use zstd::Decoder;

use crate::{
    ArchiveError, Archived,
    format::{FORMAT, FileEntry, Line, MANIFEST, Manifest, VERSION, again},
};

/// Records on their way to the log; beyond it, the oldest is waited for.
const PENDING_MAX: usize = 16_384;
/// The pause before a full queue that others filled is tried again.
const PAUSE: Duration = Duration::from_millis(5);

/// Appends what the archive holds to the log, whose topic must be there and empty: order by order the same records in the
/// same order, in the partitions of that topic. Every file is checked before the first record is appended. `progress` is
/// told how many records were appended, now and then.
///
/// # Errors
/// [`ArchiveError`]. After [`ArchiveError::Append`] the topic holds a part and is to be made anew; after the others it is
/// as it was, unless a file changed meanwhile.
pub async fn import(
    log: &dyn EventLog,
    folder: &Path,
    leave_out_strays: bool,
    mut progress: impl FnMut(u64) + Send,
) -> Result<Archived, ArchiveError> {
    let manifest = manifest(folder)?;
    let files = || manifest.partitions.iter().flat_map(|partition| &partition.files);
    let strays = files().map(|file| file.strays).sum();
    if strays > 0 && !leave_out_strays {
        return Err(ArchiveError::Strays(strays));
    }
    for file in files() {
        check(folder, file)?;
    }
    let ends = log.end_offsets(Topic::Events).await?;
    let there: i64 = ends.iter().map(|end| end.offset.0).sum();
    if there > 0 {
        return Err(ArchiveError::TopicInUse(u64::try_from(there).unwrap_or(0)));
    }
    let partitions = u32::try_from(manifest.partitions.len()).unwrap_or(u32::MAX);
    let mut appending = Appending { log, pending: VecDeque::new() };
    let mut imported = Archived { records: 0, strays };
    for entry in &manifest.partitions {
        for file in &entry.files {
            let path = folder.join(&file.name);
            let damaged = |line: u64, why: String| {
                ArchiveError::damaged(&path, format!("line {line}: {why}"))
            };
            let mut lines = 0;
            let opened = File::open(&path).and_then(Decoder::new);
            let decoder = opened.map_err(ArchiveError::file(&path))?;
            for line in BufReader::new(decoder).lines() {
                lines += 1;
                let line = line.map_err(|error| damaged(lines, error.to_string()))?;
                let line: Line = serde_json::from_str(&line)
                    .map_err(|error| damaged(lines, error.to_string()))?;
                let record = line
                    .into_record(Partition(entry.partition))
                    .map_err(|error| damaged(lines, error.to_string()))?;
                if let Some(record) = again(record, partitions) {
                    appending.append(record).await?;
                    imported.records += 1;
                }
                if lines.is_multiple_of(1_000) {
                    progress(imported.records);
                }
            }
            if lines != file.records {
                return Err(damaged(lines, format!("there must be {} lines", file.records)));
            }
        }
    }
    appending.settle(0).await?;
    progress(imported.records);
    Ok(imported)
}

fn manifest(folder: &Path) -> Result<Manifest, ArchiveError> {
    let path = folder.join(MANIFEST);
    let text = fs::read(&path).map_err(ArchiveError::file(&path))?;
    let manifest: Manifest =
        serde_json::from_slice(&text).map_err(|error| ArchiveError::damaged(&path, error))?;
    if (manifest.format.as_str(), manifest.version) != (FORMAT, VERSION) {
        let why = format!("it is {} version {}", manifest.format, manifest.version);
        return Err(ArchiveError::damaged(path, why));
    }
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

/// Records on their way.
struct Appending<'a> {
    log: &'a dyn EventLog,
    pending: VecDeque<Ack>,
}

impl Appending<'_> {
    async fn append(&mut self, record: NewRecord) -> Result<(), AppendError> {
        self.settle(PENDING_MAX - 1).await?;
        loop {
            match self.log.append(Topic::Events, record.clone()) {
                Ok(ack) => {
                    self.pending.push_back(ack);
                    return Ok(());
                }
                Err(AppendError::QueueFull) if self.pending.is_empty() => {
                    tokio::time::sleep(PAUSE).await;
                }
                Err(AppendError::QueueFull) => self.settle(self.pending.len() - 1).await?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until at most so many are on their way.
    async fn settle(&mut self, left: usize) -> Result<(), AppendError> {
        while self.pending.len() > left {
            let Some(oldest) = self.pending.pop_front() else { break };
            oldest.await?;
        }
        Ok(())
    }
}
