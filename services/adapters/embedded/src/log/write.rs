//! The writer: the only one that changes the file. What queues up while one transaction is being written goes into the
//! next one together, so the disk is waited for once for all of it.

use std::sync::Arc;

use ports::{AppendError, Group, LogError, Offset, Position, Topic};
use sqlx::{Connection as _, SqliteConnection, SqlitePool};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch},
    task::JoinHandle,
};

use super::{
    pending::{Ends, Pending},
    tables,
};

/// Operations that wait at most; then the queue is full.
const QUEUE_MAX: usize = 16_384;
/// Bytes of records that wait at most; then the queue is full.
const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Operations of one transaction.
const TRANSACTION_MAX: usize = 4_096;

type Answer<T> = oneshot::Sender<Result<T, LogError>>;

/// What the writer is asked for.
enum Operation {
    Append(Pending, OwnedSemaphorePermit),
    Commit(Topic, Group, Vec<Position>, Answer<()>),
    CreateTopics(u32, Answer<u32>),
    Flush(oneshot::Sender<()>),
}

/// Asks the writer for something.
#[derive(Clone, Debug)]
pub(super) struct Handle {
    operations: mpsc::Sender<Operation>,
}

/// The writer's task, which ends with this.
#[derive(Debug)]
pub(super) struct Writer {
    handle: Handle,
    bytes: Arc<Semaphore>,
    task: JoinHandle<()>,
}

impl Drop for Writer {
    fn drop(&mut self) {
        // What was not acknowledged by now is rolled back.
        self.task.abort();
    }
}

impl Handle {
    async fn ask<T>(&self, operation: impl FnOnce(Answer<T>) -> Operation) -> Result<T, LogError> {
        let closed = || LogError::Unavailable("the log was closed".to_owned());
        let (done, answer) = oneshot::channel();
        self.operations.send(operation(done)).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    pub(super) async fn commit(
        &self,
        topic: Topic,
        group: Group,
        next: Vec<Position>,
    ) -> Result<(), LogError> {
        self.ask(|done| Operation::Commit(topic, group, next, done)).await
    }
}

impl Writer {
    pub(super) fn start(pool: SqlitePool, ends: watch::Sender<Ends>) -> Self {
        let (operations, queue) = mpsc::channel(QUEUE_MAX);
        let task = tokio::spawn(run(pool, queue, ends));
        let bytes = Arc::new(Semaphore::new(QUEUE_BYTES_MAX));
        Self { handle: Handle { operations }, bytes, task }
    }

    pub(super) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Queues a record of that many bytes.
    pub(super) fn queue(&self, pending: Pending, size: usize) -> Result<(), AppendError> {
        let size = u32::try_from(size).map_err(|_| AppendError::QueueFull)?;
        let room = Arc::clone(&self.bytes).try_acquire_many_owned(size);
        let room = room.map_err(|_| AppendError::QueueFull)?;
        self.handle.operations.try_send(Operation::Append(pending, room)).map_err(|error| {
            match error {
                mpsc::error::TrySendError::Full(_) => AppendError::QueueFull,
                mpsc::error::TrySendError::Closed(_) => {
                    AppendError::Unacknowledged("the log was closed".to_owned())
                }
            }
        })
    }

    /// Creates the topics if they are missing; how many partitions they have.
    pub(super) async fn create_topics(&self, partitions: u32) -> Result<u32, LogError> {
        self.handle.ask(|done| Operation::CreateTopics(partitions, done)).await
    }

    pub(super) async fn flush(&self) {
        let (done, settled) = oneshot::channel();
        if self.handle.operations.send(Operation::Flush(done)).await.is_ok() {
            // Without a writer there is nothing left to settle.
            _ = settled.await;
        }
    }
}

async fn run(pool: SqlitePool, mut queue: mpsc::Receiver<Operation>, ends: watch::Sender<Ends>) {
    let mut operations = Vec::new();
    while queue.recv_many(&mut operations, TRANSACTION_MAX).await > 0 {
        let batch = Batch::of(operations.drain(..), &ends.borrow());
        if !batch.records.is_empty() {
            metrics::histogram!("order_ledger_log_transaction_records")
                .record(u32::try_from(batch.records.len()).unwrap_or(u32::MAX));
        }
        let written = write(&pool, &batch).await;
        match written {
            Ok(after) => {
                let after = after.unwrap_or_else(|| batch.ends.clone());
                let partitions = after.partitions();
                // Before anyone is told, so that whoever was told finds it.
                ends.send_replace(after);
                batch.succeed(partitions);
            }
            Err(error) => {
                tracing::warn!(%error, "the log could not be written");
                batch.fail(&error);
                // It may be there all the same: what comes next must not stand on it.
                match tables::ends(&pool).await {
                    Ok(found) => _ = ends.send_replace(found),
                    Err(error) => tracing::warn!(%error, "the log's ends could not be read"),
                }
            }
        }
    }
}

/// What goes into one transaction.
struct Batch {
    records: Vec<(Pending, Offset)>,
    /// Room in the queue, given back when the batch is done.
    room: Vec<OwnedSemaphorePermit>,
    commits: Vec<(Topic, Group, Vec<Position>, Answer<()>)>,
    creations: Vec<(u32, Answer<u32>)>,
    flushes: Vec<oneshot::Sender<()>>,
    /// Where the partitions end afterwards.
    ends: Ends,
}

impl Batch {
    fn of(operations: impl Iterator<Item = Operation>, ends: &Ends) -> Self {
        let mut batch = Self {
            records: Vec::new(),
            room: Vec::new(),
            commits: Vec::new(),
            creations: Vec::new(),
            flushes: Vec::new(),
            ends: ends.clone(),
        };
        for operation in operations {
            match operation {
                Operation::Append(pending, room) => {
                    batch.room.push(room);
                    match batch.ends.take(pending.topic, pending.partition) {
                        Some(offset) => batch.records.push((pending, offset)),
                        // Dropping it tells the caller.
                        None => {
                            tracing::error!(partition = %pending.partition, "no such partition")
                        }
                    }
                }
                Operation::Commit(topic, group, next, done) => {
                    batch.commits.push((topic, group, next, done));
                }
                Operation::CreateTopics(partitions, done) => {
                    batch.creations.push((partitions, done))
                }
                Operation::Flush(done) => batch.flushes.push(done),
            }
        }
        batch
    }

    // Whoever no longer waits for an answer needs none: failed sends are fine here and below.
    fn succeed(self, partitions: u32) {
        for (pending, offset) in self.records {
            let position = Position { partition: pending.partition, offset };
            _ = pending.done.send(Ok(position));
        }
        for (.., done) in self.commits {
            _ = done.send(Ok(()));
        }
        for (_, done) in self.creations {
            _ = done.send(Ok(partitions));
        }
        for done in self.flushes {
            _ = done.send(());
        }
    }

    fn fail(self, error: &sqlx::Error) {
        let away = || LogError::Unavailable(format!("SQLite: {error}"));
        for (pending, _) in self.records {
            _ = pending.done.send(Err(AppendError::Unacknowledged(format!("SQLite: {error}"))));
        }
        for (.., done) in self.commits {
            _ = done.send(Err(away()));
        }
        for (_, done) in self.creations {
            _ = done.send(Err(away()));
        }
        for done in self.flushes {
            _ = done.send(());
        }
    }
}

/// Writes a batch; where the partitions end afterwards, if topics were created.
async fn write(pool: &SqlitePool, batch: &Batch) -> Result<Option<Ends>, sqlx::Error> {
    let nothing =
        batch.records.is_empty() && batch.commits.is_empty() && batch.creations.is_empty();
    if nothing {
        return Ok(None);
    }
    let mut connection = pool.acquire().await?;
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    changes(&mut transaction, batch).await?;
    transaction.commit().await?;
    drop(connection);
    if batch.creations.is_empty() { Ok(None) } else { tables::ends(pool).await.map(Some) }
}

async fn changes(connection: &mut SqliteConnection, batch: &Batch) -> Result<(), sqlx::Error> {
    for (partitions, _) in &batch.creations {
        tables::create(connection, *partitions).await?;
    }
    tables::insert(connection, &batch.records).await?;
    for (topic, group, next, _) in &batch.commits {
        tables::store_group_offsets(connection, *topic, *group, next).await?;
    }
    Ok(())
}
