//! Reads a bounded part of a partition with a consumer of its own, outside of any group.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use ports::{LogError, LogRecord, Offset, Partition, Reader, Topic};
use rdkafka::{
    TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
};

use crate::{
    assignment::native,
    client::Plain,
    error::{lock, unavailable, unfit_settings},
    mailbox::Mailbox,
    options::KafkaOptions,
    record::{position, record, weight},
};

/// How long the next record may be in coming.
const RECORD_WITHIN: Duration = Duration::from_secs(10);
/// How long more may be in coming where the broker says that a partition ends: one that has just become its leader may
/// not know yet how far it goes.
const MORE_WITHIN: Duration = Duration::from_secs(2);
/// How long a poll waits.
const POLL: Duration = Duration::from_millis(100);
/// Where a batch of large records ends.
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A reader; what it read but could not hand over, because the caller gave up, is handed over next time.
pub(crate) struct KafkaReader(Arc<Mutex<Reading>>);

struct Reading {
    /// `None` once `until` is reached. Closing a consumer blocks, so that is done where reading is.
    consumer: Option<BaseConsumer<Plain>>,
    topic: String,
    partition: Partition,
    until: Offset,
    /// Since when the broker has had nothing more.
    ended: Option<Instant>,
    ahead: Vec<LogRecord>,
}

impl KafkaReader {
    /// Opens a reader of `[from, until)`; `until` is moved back to the end of the log if it is beyond. Blocks.
    pub(crate) fn open(
        options: &KafkaOptions,
        topic: Topic,
        partition: Partition,
        from: Offset,
        until: Offset,
    ) -> Result<Self, LogError> {
        let name = options.topic(topic);
        let consumer: BaseConsumer<Plain> =
            options.reader().create_with_context(Plain).map_err(|error| unfit_settings(&error))?;
        let (low, high) = consumer
            .fetch_watermarks(&name, native(partition), RECORD_WITHIN)
            .map_err(|error| unavailable("ask for the bounds of a partition", &error))?;
        let until = Offset(until.0.min(high));
        if from < until && from.0 < low {
            return Err(match topic {
                Topic::Events => LogError::Unfit(format!(
                    "{name} partition {partition} begins at {low}, but is to be read from {from}: a part of the history is gone"
                )),
                Topic::StateChanged => {
                    LogError::Expired { partition, asked: from, first: Offset(low) }
                }
            });
        }
        let reads = from < until;
        if reads {
            let mut list = TopicPartitionList::with_capacity(1);
            list.add_partition_offset(&name, native(partition), rdkafka::Offset::Offset(from.0))
                .and_then(|()| consumer.assign(&list))
                .map_err(|error| unavailable("read a partition", &error))?;
        }
        let consumer = reads.then_some(consumer);
        let ahead = Vec::new();
        let reading = Reading { consumer, topic: name, partition, until, ended: None, ahead };
        Ok(Self(Arc::new(Mutex::new(reading))))
    }
}

#[async_trait]
impl Reader for KafkaReader {
    async fn next(&mut self) -> Result<Vec<LogRecord>, LogError> {
        let reading = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || lock(&reading).fill()).await.map_err(gave_up)??;
        Ok(std::mem::take(&mut lock(&self.0).ahead))
    }
}

fn gave_up(error: tokio::task::JoinError) -> LogError {
    LogError::Unavailable(format!("reading ended early: {error}"))
}

impl Reading {
    /// Reads a batch ahead, unless one is there.
    fn fill(&mut self) -> Result<(), LogError> {
        let deadline = Instant::now() + RECORD_WITHIN;
        let mut bytes = 0;
        while let Some(consumer) = &self.consumer
            && self.ahead.len() < Mailbox::RECORDS_MAX
            && bytes < BATCH_BYTES_MAX
        {
            let wait = if self.ahead.is_empty() { POLL } else { Duration::ZERO };
            let finished = match consumer.poll(wait) {
                Some(Ok(message)) => {
                    self.ended = None;
                    let at = position(&message).offset;
                    if at < self.until {
                        let record = record(&message);
                        bytes += weight(&record);
                        self.ahead.push(record);
                    }
                    at.next() >= self.until
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {
                    self.ended.get_or_insert_with(Instant::now);
                    false
                }
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => {
                    return Err(unavailable("read a partition", &error));
                }
                Some(Err(error)) => {
                    tracing::debug!(%error, "reading a partition goes on: librdkafka keeps trying");
                    false
                }
                None if !self.ahead.is_empty() => break,
                None if self.ended.is_some_and(|ended| ended.elapsed() >= MORE_WITHIN) => {
                    self.ends(consumer)?;
                    true
                }
                None if Instant::now() >= deadline => {
                    return Err(LogError::Unavailable("no record came in time".to_owned()));
                }
                None => false,
            };
            if finished {
                self.consumer = None;
            }
        }
        Ok(())
    }

    /// Makes sure that nothing is left below `until` but marks of transactions, which are no records.
    fn ends(&self, consumer: &BaseConsumer<Plain>) -> Result<(), LogError> {
        let (_, high) = consumer
            .fetch_watermarks(&self.topic, native(self.partition), RECORD_WITHIN)
            .map_err(|error| unavailable("ask for the bounds of a partition", &error))?;
        if high < self.until.0 {
            return Err(LogError::Unavailable(format!(
                "{} partition {} ends at {high} for now, and is to be read up to {}",
                self.topic, self.partition, self.until
            )));
        }
        Ok(())
    }
}
