//! Files, appended to an empty log.

use std::{collections::VecDeque, path::Path, time::Duration};

use ports::{Ack, AppendError, EventLog, NewRecord, Position, Topic};

use crate::{Archive, ArchiveError, Archived, format::again};

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
    let archive = Archive::open(folder)?;
    let strays = archive.strays();
    if strays > 0 && !leave_out_strays {
        return Err(ArchiveError::Strays(strays));
    }
    archive.check()?;
    let ends = log.end_offsets(Topic::Events).await?;
    let there: i64 = ends.iter().map(|end| end.offset.0).sum();
    if there > 0 {
        return Err(ArchiveError::TopicInUse(u64::try_from(there).unwrap_or(0)));
    }
    let parts = archive.end_offsets();
    let partitions = u32::try_from(parts.len()).unwrap_or(u32::MAX);
    let mut appending = Appending { log, pending: VecDeque::new() };
    let mut imported = Archived { records: 0, strays };
    let mut read: u64 = 0;
    for Position { partition, .. } in parts {
        let mut reader = archive.read(partition);
        while let Some(record) = reader.record()? {
            if let Some(record) = again(record, partitions) {
                appending.append(record).await?;
                imported.records += 1;
            }
            read += 1;
            if read.is_multiple_of(1_000) {
                progress(imported.records);
            }
        }
    }
    appending.settle(0).await?;
    progress(imported.records);
    Ok(imported)
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
