//! The event log: one writer that groups what comes in into one fsync, readers beside it, and groups whose members are
//! all in this process. Other processes may read the file meanwhile.

mod cursor;
mod follow;
mod group;
mod member;
mod pending;
mod read;
mod tables;
mod write;

use std::{
    future::ready,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use async_trait::async_trait;
use ports::{
    Ack, AppendError, EventLog, Follower, Group, LogError, NewRecord, Offset, Partition, Position,
    Reader, StartOffsets, Subscription, Topic, TopicSettings, partition_for_key,
};
use tokio::sync::{oneshot, watch};

use crate::database::{Database, Error, OpenError};
use cursor::Cursor;
use group::Groups;
use pending::{Ends, Pending};
use write::Writer;

/// Partitions of new topics if no one says how many.
const PARTITIONS_DEFAULT: u32 = 4;

/// The largest record, key, value and headers together: as much as Kafka takes by default.
pub(crate) const RECORD_BYTES_MAX: usize = 1024 * 1024;

/// What can't be done beside the process that the log belongs to.
const ANOTHERS: &str = "the log belongs to another process: here it can only be read";

/// The event log in a SQLite file. An acknowledgement means that the disk has the record.
#[derive(Debug)]
pub struct SqliteLog {
    database: Database,
    /// Of each topic; 0 as long as it is not prepared.
    partitions: AtomicU32,
    writer: Writer,
    ends: watch::Receiver<Ends>,
    groups: Arc<Groups>,
    /// Whether another process may be the writer: then it alone knows where the log ends.
    beside: bool,
}

impl SqliteLog {
    /// Opens the file, creates it if it is missing. The file must be this process's own.
    ///
    /// # Errors
    /// [`OpenError`] if it can't be opened or is no log.
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        Self::open_as(path, false).await
    }

    /// Opens a log that another process may be writing: it can be read, bounded, and nothing else.
    ///
    /// # Errors
    /// [`OpenError`] if it can't be opened or is no log.
    pub async fn open_beside(path: &Path) -> Result<Self, OpenError> {
        Self::open_as(path, true).await
    }

    async fn open_as(path: &Path, beside: bool) -> Result<Self, OpenError> {
        const TABLES: &str = include_str!("../../../../migrations/sqlite/0001_log.sql");
        let database = Database::open(path, &[("the event log", TABLES)]).await?;
        let ends = tables::ends(&database.writer).await;
        let ends = ends.map_err(|error| OpenError::new(path, error))?;
        let partitions = ends.partitions();
        let (publish, ends) = watch::channel(ends);
        let writer = Writer::start(database.writer.clone(), publish);
        Ok(Self {
            database,
            partitions: AtomicU32::new(partitions),
            writer,
            ends,
            groups: Arc::default(),
            beside,
        })
    }

    /// Where the log ends now.
    async fn now(&self) -> Result<Ends, LogError> {
        if self.beside {
            return Ok(tables::ends(&self.database.readers).await.map_err(Error::from)?);
        }
        Ok(self.ends.borrow().clone())
    }

    /// Whoever has no say in the groups and does not hear of what is appended can't follow.
    fn must_be_own(&self) -> Result<(), LogError> {
        if self.beside { Err(LogError::Unfit(ANOTHERS.to_owned())) } else { Ok(()) }
    }

    fn cursor(&self, topic: Topic) -> Cursor {
        Cursor::new(self.database.readers.clone(), topic, self.ends.clone())
    }

    fn known_partitions(&self) -> Result<u32, LogError> {
        match self.partitions.load(Ordering::Relaxed) {
            0 => Err(LogError::Unavailable("its topics are not prepared yet".to_owned())),
            partitions => Ok(partitions),
        }
    }
}

#[async_trait]
impl EventLog for SqliteLog {
    async fn prepare(&self, settings: TopicSettings) -> Result<(), LogError> {
        let found = if self.beside {
            match self.now().await?.partitions() {
                0 => return Err(LogError::Unfit("its topics were never made".to_owned())),
                found => found,
            }
        } else {
            let wanted = settings.partitions.unwrap_or(PARTITIONS_DEFAULT).max(1);
            self.writer.create_topics(wanted).await?
        };
        self.partitions.store(found, Ordering::Relaxed);
        match settings.partitions {
            Some(wanted) if wanted != found => Err(LogError::Unfit(format!(
                "it has {found} partitions, not {wanted}: orders would be looked for where their events are not; \
                 set log_partitions to {found} or auto"
            ))),
            _ => Ok(()),
        }
    }

    fn append(&self, topic: Topic, record: NewRecord) -> Result<Ack, AppendError> {
        if self.beside {
            return Ok(Box::pin(ready(Err(AppendError::Unacknowledged(ANOTHERS.to_owned())))));
        }
        let size = size(&record);
        if size > RECORD_BYTES_MAX {
            return Err(AppendError::TooLarge { size, max: RECORD_BYTES_MAX });
        }
        let Ok(partitions) = self.known_partitions() else {
            let unprepared = "its topics are not prepared yet".to_owned();
            return Ok(Box::pin(ready(Err(AppendError::Unacknowledged(unprepared)))));
        };
        let partition = partition_for_key(&record.key, partitions);
        let (done, acked) = oneshot::channel();
        self.writer.queue(Pending { topic, partition, record, done }, size)?;
        Ok(Box::pin(async move {
            acked.await.unwrap_or_else(|_| {
                Err(AppendError::Unacknowledged("the log was closed meanwhile".to_owned()))
            })
        }))
    }

    async fn flush(&self) {
        self.writer.flush().await;
    }

    async fn partitions(&self, _topic: Topic) -> Result<u32, LogError> {
        self.known_partitions()
    }

    async fn end_offsets(&self, topic: Topic) -> Result<Vec<Position>, LogError> {
        self.known_partitions()?;
        Ok(self.now().await?.of(topic))
    }

    async fn end_offset(&self, topic: Topic, partition: Partition) -> Result<Offset, LogError> {
        self.known_partitions()?;
        // Asked for at every call of the api: nothing is copied then.
        let end = match self.beside {
            true => self.now().await?.get(topic, partition),
            false => self.ends.borrow().get(topic, partition),
        };
        end.ok_or_else(|| LogError::Unfit(format!("{} has no partition {partition}", topic.name())))
    }

    async fn start_offsets(&self, topic: Topic) -> Result<Vec<Position>, LogError> {
        let ends = self.end_offsets(topic).await?;
        Ok(ends.into_iter().map(|end| Position { offset: Offset::START, ..end }).collect())
    }

    async fn group_offsets(&self, topic: Topic, group: Group) -> Result<Vec<Position>, LogError> {
        let partitions: Vec<_> = (0..self.known_partitions()?).map(Partition).collect();
        let readers = &self.database.readers;
        Ok(tables::group_offsets(readers, topic, group, &partitions).await?)
    }

    async fn subscribe(
        &self,
        topic: Topic,
        group: Group,
        start: StartOffsets,
    ) -> Result<Box<dyn Subscription>, LogError> {
        self.must_be_own()?;
        let membership = Groups::join(&self.groups, topic, group, self.known_partitions()?);
        let (writer, cursor) = (self.writer.handle(), self.cursor(topic));
        Ok(Box::new(member::Member::new(membership, start, writer, cursor)))
    }

    async fn read(
        &self,
        topic: Topic,
        partition: Partition,
        from: Offset,
        until: Offset,
    ) -> Result<Box<dyn Reader>, LogError> {
        let readers = self.database.readers.clone();
        Ok(Box::new(read::Range { readers, topic, partition, next: from, until }))
    }

    async fn follow(&self, topic: Topic, from: &[Position]) -> Result<Box<dyn Follower>, LogError> {
        self.must_be_own()?;
        self.known_partitions()?;
        let tail = follow::Tail::start(self.cursor(topic), &self.ends.borrow(), from)?;
        Ok(Box::new(tail))
    }
}

fn size(record: &NewRecord) -> usize {
    let headers = record.headers.iter().map(|(name, value)| name.len() + value.len());
    record.key.len() + record.value.len() + headers.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tempfile::TempDir;

    use super::*;

    async fn append(log: &SqliteLog) -> Result<Position, AppendError> {
        let (key, value) = (Bytes::from_static(b"key"), Bytes::from(vec![7; 10_000]));
        log.append(Topic::Events, NewRecord { key, value, headers: Vec::new() })?.await
    }

    /// And goes on once there is room.
    #[tokio::test]
    async fn a_full_disk_loses_nothing_that_was_acknowledged() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("log.db");
        let log = SqliteLog::open(&path).await.unwrap();
        log.prepare(TopicSettings { partitions: Some(1), replication: None }).await.unwrap();
        // Holds for the connection that writes, and for no other.
        let full = sqlx::raw_sql("PRAGMA max_page_count = 40");
        full.execute(&log.database.writer).await.unwrap();
        let mut acknowledged = Vec::new();
        loop {
            match append(&log).await {
                Ok(position) => acknowledged.push(position),
                Err(AppendError::Unacknowledged(_)) => break,
                Err(other) => panic!("{other:?}"),
            }
        }
        assert!(!acknowledged.is_empty());
        for _ in 0..20 {
            acknowledged.push(append(&log).await.unwrap());
        }

        let beside = SqliteLog::open_beside(&path).await.unwrap();
        let end = beside.end_offset(Topic::Events, Partition(0)).await.unwrap();
        let mut reader =
            beside.read(Topic::Events, Partition(0), Offset::START, end).await.unwrap();
        let mut found = Vec::new();
        loop {
            let records = reader.next().await.unwrap();
            if records.is_empty() {
                break;
            }
            found.extend(records.iter().map(|record| record.position));
        }
        assert_eq!(found, acknowledged);
    }
}
