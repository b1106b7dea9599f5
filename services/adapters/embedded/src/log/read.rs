//! Reading a bounded part of a partition.

use async_trait::async_trait;
use ports::{LogError, LogRecord, Offset, Partition, Reader, Topic};
use sqlx::SqlitePool;

use super::tables;

/// Records of one answer.
pub(super) const BATCH_MAX: usize = 1_024;

pub(super) struct Range {
    pub(super) readers: SqlitePool,
    pub(super) topic: Topic,
    pub(super) partition: Partition,
    pub(super) next: Offset,
    pub(super) until: Offset,
}

#[async_trait]
impl Reader for Range {
    async fn next(&mut self) -> Result<Vec<LogRecord>, LogError> {
        if self.next >= self.until {
            return Ok(Vec::new());
        }
        let (topic, partition) = (self.topic, self.partition);
        let read =
            tables::records(&self.readers, topic, partition, self.next, self.until, BATCH_MAX);
        let records = read.await?;
        // The end of the log is an end too, whatever comes later.
        self.next = records.last().map_or(self.until, |last| last.position.offset.next());
        Ok(records)
    }
}
