//! A member of a group: the thread that polls, so that the group knows it alive whatever its subscriber does.

use std::{sync::Arc, time::Duration};

use metrics::Counter;
use ports::{Group, LogError, Partition, Topic};
use rdkafka::{
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
};

use crate::{
    assignment::{Change, Membership},
    mailbox::Mailbox,
    record::{record, weight},
};

/// How long a poll waits for the first record.
const POLL: Duration = Duration::from_millis(100);
/// The same while a rebalance is being carried out, which waits for answers between polls.
const POLL_CHANGING: Duration = Duration::from_millis(10);
/// How long a full mailbox keeps the thread from polling before it pauses reading. Pausing gives up what was fetched
/// ahead, so it is for subscribers that take their time.
const PATIENCE: Duration = Duration::from_secs(1);
/// Where a round of polling ends when records are large.
const ROUND_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Everything the thread works with.
pub(crate) struct Member {
    pub(crate) consumer: Arc<BaseConsumer<Membership>>,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) topic: Topic,
    pub(crate) topic_name: String,
    pub(crate) group: Group,
    /// Whether someone else keeps the places.
    pub(crate) asks: bool,
    pub(crate) change: Option<Change>,
    pub(crate) paused: bool,
    /// What was last complained about; logged once, not at every poll.
    trouble: Option<String>,
    read: Counter,
}

impl Member {
    pub(crate) fn new(
        consumer: Arc<BaseConsumer<Membership>>,
        mailbox: Arc<Mailbox>,
        (topic, topic_name): (Topic, String),
        group: Group,
        asks: bool,
    ) -> Self {
        let read = metrics::counter!(
            "order_ledger_log_read_records_total", "topic" => topic.name(), "group" => group.name()
        );
        Self {
            consumer,
            mailbox,
            topic,
            topic_name,
            group,
            asks,
            change: None,
            paused: false,
            trouble: None,
            read,
        }
    }

    /// Polls until the subscription ends, then leaves the group.
    pub(crate) fn run(mut self) {
        // If this thread panics, the subscriber hears of it.
        let _told = Told(Arc::clone(&self.mailbox));
        while !self.mailbox.is_closed() {
            if let Err(error) = self.turn() {
                self.mailbox.die(match error {
                    LogError::Unavailable(why) | LogError::Unfit(why) => why,
                    expired @ LogError::Expired { .. } => expired.to_string(),
                });
                break;
            }
        }
        self.agree_to_all();
        // Closes the consumer, unless a commit under way holds on to it: then that does.
        drop(self.consumer);
    }

    fn turn(&mut self) -> Result<(), LogError> {
        self.rebalance()?;
        let patience = if self.paused || self.change.is_some() { POLL_CHANGING } else { PATIENCE };
        let room = self.mailbox.room(patience);
        if room > 0 {
            self.go_on();
            return self.fetch(room);
        }
        self.stand_still();
        // No record comes of a paused partition, but rebalances do.
        self.fetch(0)
    }

    /// One round: what is there, up to `room` records. Polls once even if there is none.
    fn fetch(&mut self, room: usize) -> Result<(), LogError> {
        let consumer = Arc::clone(&self.consumer);
        let mut records = Vec::new();
        let mut bytes = 0;
        let mut wait = match (room, &self.change) {
            (0, _) => Duration::ZERO,
            (_, Some(_)) => POLL_CHANGING,
            (_, None) => POLL,
        };
        let mut result = Ok(());
        loop {
            match consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => {
                    let record = record(&message);
                    if !self.is_leaving(record.position.partition) {
                        bytes += weight(&record);
                        records.push(record);
                    }
                }
                Some(Err(error)) => {
                    result = self.met(&error);
                }
            }
            wait = Duration::ZERO;
            if records.len() >= room || bytes >= ROUND_BYTES_MAX || result.is_err() {
                break;
            }
        }
        if !records.is_empty() {
            self.trouble = None;
            self.read.increment(u64::try_from(records.len()).unwrap_or(u64::MAX));
        }
        self.mailbox.push_records(records);
        result
    }

    /// What waiting can mend is logged and waited for: librdkafka keeps trying.
    fn met(&mut self, error: &KafkaError) -> Result<(), LogError> {
        let code = error.rdkafka_error_code();
        match (error, code) {
            (KafkaError::MessageConsumptionFatal(code), _) => Err(LogError::Unfit(format!(
                "the group {} can't be joined: {code}",
                self.group.name()
            ))),
            (_, Some(RDKafkaErrorCode::AutoOffsetReset)) => Err(LogError::Unfit(format!(
                "records of {} that have to be read next are gone; restore them, or rebuild the state from what there is",
                self.topic_name
            ))),
            _ => {
                self.complain(&error.to_string());
                Ok(())
            }
        }
    }

    pub(crate) fn complain(&mut self, trouble: &str) {
        if self.trouble.as_deref() != Some(trouble) {
            tracing::warn!(
                group = self.group.name(),
                topic = self.topic_name,
                "{trouble}; trying on"
            );
            self.trouble = Some(trouble.to_owned());
        }
    }

    fn stand_still(&mut self) {
        if !self.paused {
            self.paused = true;
            self.pause(&self.reading());
        }
    }

    fn go_on(&mut self) {
        if self.paused {
            self.paused = false;
            self.resume(&self.reading());
        }
    }

    fn reading(&self) -> Vec<Partition> {
        self.mailbox.held().into_iter().filter(|partition| !self.is_leaving(*partition)).collect()
    }

    pub(crate) fn pause(&self, partitions: &[Partition]) {
        if let Err(error) = self.consumer.pause(&self.list(partitions)) {
            tracing::debug!(%error, "partitions could not be paused");
        }
    }

    pub(crate) fn resume(&self, partitions: &[Partition]) {
        if let Err(error) = self.consumer.resume(&self.list(partitions)) {
            tracing::warn!(%error, "partitions could not be resumed");
        }
    }
}

/// Tells the subscriber that the thread ended.
struct Told(Arc<Mailbox>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.die("the thread that reads the log ended".to_owned());
    }
}
