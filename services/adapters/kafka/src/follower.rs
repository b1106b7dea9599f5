//! Follows partitions outside of any group: a consumer of its own, on a thread that hands over batch after batch.
//!
//! librdkafka goes on by itself after a broker was away. What it does not decide is where to read on if the log does not
//! hold the next offset: then reading stands still until the places were compared with what the log holds.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use metrics::Counter;
use ports::{Follower, LogError, LogRecord, Offset, Partition, Position, Topic};
use rdkafka::{
    TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
};
use tokio::sync::mpsc;

use crate::{
    assignment::native,
    client::Plain,
    error::{unavailable, unfit_settings},
    mailbox::Mailbox,
    options::KafkaOptions,
    record::{record, weight},
    topics::{Bounds, bounds},
};

/// How long a poll waits for the first record, and so how long the end of a follower may go unnoticed.
const POLL: Duration = Duration::from_millis(100);
/// Where a batch of large records ends.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long a new leader may take to learn where its partition ends.
const SETTLE_WITHIN: Duration = Duration::from_secs(5);
/// How long to wait before the bounds of a partition are looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What the thread hands over; an error is the last thing.
type Batch = Result<Vec<LogRecord>, LogError>;

/// A follower. Dropping it ends its thread.
pub(crate) struct KafkaFollower {
    pub(crate) batches: mpsc::Receiver<Batch>,
}

#[async_trait]
impl Follower for KafkaFollower {
    async fn next(&mut self) -> Result<Vec<LogRecord>, LogError> {
        let ended = || Err(LogError::Unfit("the thread that reads the log ended".to_owned()));
        self.batches.recv().await.unwrap_or_else(ended)
    }
}

/// Everything the thread works with.
pub(crate) struct Following {
    consumer: BaseConsumer<Plain>,
    topic_name: String,
    /// Where to read on in each partition.
    next: BTreeMap<Partition, Offset>,
    /// Since when it is not known whether the log holds all of `next`; nothing is read then.
    unplaced: Option<Instant>,
    /// What was last complained about; logged once, not at every poll.
    trouble: Option<String>,
    read: Counter,
}

impl Following {
    /// Starts to read. Blocks.
    pub(crate) fn open(
        options: &KafkaOptions,
        topic: Topic,
        from: &[Position],
    ) -> Result<Self, LogError> {
        let config = options.follower();
        let consumer = config.create_with_context(Plain).map_err(|error| unfit_settings(&error))?;
        let mut following = Self {
            consumer,
            topic_name: options.topic(topic),
            next: from.iter().map(|place| (place.partition, place.offset)).collect(),
            unplaced: Some(Instant::now()),
            trouble: None,
            read: metrics::counter!(
                "order_ledger_log_read_records_total", "topic" => topic.name(), "group" => "follower"
            ),
        };
        let until = Instant::now() + SETTLE_WITHIN;
        loop {
            match following.place() {
                Err(LogError::Unavailable(_)) if Instant::now() < until => {
                    thread::sleep(LOOK_AGAIN);
                }
                Err(error) => return Err(error),
                Ok(()) => return Ok(following),
            }
        }
    }

    /// Reads until the follower is gone or nothing can be read any more.
    pub(crate) fn run(mut self, batches: &mpsc::Sender<Batch>) {
        while !batches.is_closed() {
            let batch = self.fetch();
            if batch.as_ref().is_ok_and(Vec::is_empty) {
                continue;
            }
            let is_last = batch.is_err();
            // Waits until the batch before was taken: memory stays bounded.
            if batches.blocking_send(batch).is_err() || is_last {
                break;
            }
        }
    }

    /// What is there, up to a batch; empty if nothing came for a moment.
    fn fetch(&mut self) -> Batch {
        if self.unplaced.is_some() {
            match self.place() {
                Err(LogError::Unavailable(why)) => {
                    self.complain(&why);
                    thread::sleep(LOOK_AGAIN);
                    return Ok(Vec::new());
                }
                placed => placed?,
            }
        }
        let (mut records, mut bytes, mut wait) = (Vec::new(), 0, POLL);
        while records.len() < Mailbox::RECORDS_MAX && bytes < BATCH_BYTES_MAX {
            match self.consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => {
                    let record = record(&message);
                    let Position { partition, offset } = record.position;
                    self.next.insert(partition, offset.next());
                    bytes += weight(&record);
                    records.push(record);
                }
                Some(Err(KafkaError::MessageConsumptionFatal(code))) => {
                    return Err(LogError::Unfit(format!(
                        "{} can't be read: {code}",
                        self.topic_name
                    )));
                }
                Some(Err(error))
                    if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AutoOffsetReset) =>
                {
                    // What was read before it is handed over first.
                    self.unplaced = Some(Instant::now());
                    break;
                }
                Some(Err(error)) => self.complain(&error.to_string()),
            }
            wait = Duration::ZERO;
        }
        if !records.is_empty() {
            self.trouble = None;
            self.read.increment(u64::try_from(records.len()).unwrap_or(u64::MAX));
        }
        Ok(records)
    }

    /// Reads from `next` on, if the log holds all of it.
    fn place(&mut self) -> Result<(), LogError> {
        let mut list = TopicPartitionList::with_capacity(self.next.len());
        for (partition, next) in &self.next {
            let bounds = bounds(self.consumer.client(), &self.topic_name, *partition);
            let Bounds { start, end } = match bounds {
                Ok(bounds) => bounds,
                Err(away) => {
                    // Who leads the partition when the cluster is back has its time to settle.
                    self.unplaced = Some(Instant::now());
                    return Err(away);
                }
            };
            if *next < start {
                let (partition, asked) = (*partition, *next);
                return Err(LogError::Expired { partition, asked, first: start });
            }
            if *next > end {
                let why = format!(
                    "{} partition {partition} ends at {end}, but is to be read from {next}",
                    self.topic_name
                );
                let settles = self.unplaced.is_some_and(|since| since.elapsed() < SETTLE_WITHIN);
                return Err(if settles {
                    LogError::Unavailable(why)
                } else {
                    LogError::Unfit(why)
                });
            }
            list.add_partition_offset(
                &self.topic_name,
                native(*partition),
                rdkafka::Offset::Offset(next.0),
            )
            .map_err(|error| LogError::Unfit(format!("no place to read from: {error}")))?;
        }
        self.consumer.assign(&list).map_err(|error| unavailable("read partitions", &error))?;
        self.unplaced = None;
        Ok(())
    }

    fn complain(&mut self, trouble: &str) {
        if self.trouble.as_deref() != Some(trouble) {
            tracing::warn!(topic = self.topic_name, "following: {trouble}; trying on");
            self.trouble = Some(trouble.to_owned());
        }
    }
}
