//! What an operator may choose, and librdkafka's settings that follow from it.

use std::time::Duration;

use ports::{Group, LogError, Topic};
use rdkafka::{ClientConfig, config::RDKafkaLogLevel};
use tracing::Level;

/// How to reach Kafka and how much to hold in memory.
#[derive(Clone)]
pub struct KafkaOptions {
    /// Where to start: `host:port[,host:port…]`.
    pub brokers: String,
    /// Put before the names of topics and groups, to keep installations on one cluster apart.
    pub topic_prefix: String,
    /// More of librdkafka's settings, for every client: TLS, SASL, time-outs. What the log's promises rest on can't be set.
    pub properties: Vec<(String, String)>,
    /// The most records that may wait for their acknowledgement; beyond it, appending answers that the queue is full.
    pub queue_records_max: usize,
    /// The same in bytes.
    pub queue_bytes_max: usize,
    /// How long to try to deliver a record before its append fails.
    pub ack_timeout: Duration,
}

impl Default for KafkaOptions {
    fn default() -> Self {
        Self {
            brokers: "localhost:9092".to_owned(),
            topic_prefix: String::new(),
            properties: Vec::new(),
            queue_records_max: 100_000,
            queue_bytes_max: 128 * 1024 * 1024,
            ack_timeout: Duration::from_secs(30),
        }
    }
}

/// The largest record, key and headers included. Below what a broker takes by default (`message.max.bytes`).
pub(crate) const RECORD_BYTES_MAX: usize = 1_000_000;

/// Settings that promises rest on: order, durability, and who decides where reading starts.
const RESERVED: [&str; 14] = [
    "acks",
    "auto.offset.reset",
    "bootstrap.servers",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "group.protocol",
    "metadata.broker.list",
    "partition.assignment.strategy",
    "partitioner",
    "request.required.acks",
    "transactional.id",
];

impl KafkaOptions {
    /// The topic's name on this cluster.
    pub(crate) fn topic(&self, topic: Topic) -> String {
        format!("{}{}", self.topic_prefix, topic.name())
    }

    /// The group's name on this cluster.
    pub(crate) fn group(&self, group: Group) -> String {
        format!("{}{}", self.topic_prefix, group.name())
    }

    /// Refuses properties that would break a promise.
    pub(crate) fn check(&self) -> Result<(), LogError> {
        match self.properties.iter().find(|(name, _)| RESERVED.contains(&name.as_str())) {
            None => Ok(()),
            Some((name, _)) => Err(LogError::Unfit(format!(
                "the property {name} can't be set: the log's promises rest on its value"
            ))),
        }
    }

    /// What every client needs; `particular` settings give way to the operator's properties.
    fn client(&self, particular: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "order-ledger")
            .set("socket.keepalive.enable", "true")
            .set("socket.timeout.ms", "30000")
            // A broker that comes back is found within seconds.
            .set("reconnect.backoff.max.ms", "2000")
            .set("statistics.interval.ms", "5000")
            .set("allow.auto.create.topics", "false");
        for (name, value) in particular {
            config.set(*name, *value);
        }
        config.extend(self.properties.iter().cloned());
        config.set_log_level(if tracing::enabled!(target: "librdkafka", Level::DEBUG) {
            RDKafkaLogLevel::Debug
        } else {
            RDKafkaLogLevel::Info
        });
        config
    }

    pub(crate) fn admin(&self) -> ClientConfig {
        self.client(&[("statistics.interval.ms", "0")])
    }

    pub(crate) fn producer(&self) -> ClientConfig {
        let queue_kbytes = (self.queue_bytes_max / 1024).max(1).to_string();
        let mut config = self.client(&[
            ("linger.ms", "2"),
            ("compression.type", "lz4"),
            // The record itself and what its encoding and batch add.
            ("message.max.bytes", "1040000"),
        ]);
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            // The fallback for a topic whose partitions were not counted yet; the same function as ours.
            .set("partitioner", "murmur2_random")
            .set("queue.buffering.max.messages", self.queue_records_max.max(1).to_string())
            .set("queue.buffering.max.kbytes", queue_kbytes)
            .set("message.timeout.ms", self.ack_timeout.as_millis().max(1).to_string());
        config
    }

    /// For a member of `group` that reads `topic`.
    pub(crate) fn member(&self, topic: Topic, group: Group) -> ClientConfig {
        let mut config = self.consumer(&[
            // A dead member's partitions are handed on after this long.
            ("session.timeout.ms", "10000"),
            ("heartbeat.interval.ms", "2000"),
            ("max.poll.interval.ms", "60000"),
        ]);
        config
            .set("group.id", self.group(group))
            .set("partition.assignment.strategy", "cooperative-sticky")
            // A missing part of the truth must be noticed, not skipped; what is derived may expire.
            .set(
                "auto.offset.reset",
                match topic {
                    Topic::Events => "error",
                    Topic::StateChanged => "earliest",
                },
            );
        config
    }

    /// For reading a partition outside of any group. librdkafka wants a group's name all the same; it is never joined.
    pub(crate) fn reader(&self) -> ClientConfig {
        let mut config = self.consumer(&[("statistics.interval.ms", "0")]);
        config
            .set("group.id", format!("{}order-ledger.reader", self.topic_prefix))
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "earliest");
        config
    }

    /// For following partitions outside of any group.
    pub(crate) fn follower(&self) -> ClientConfig {
        let mut config = self.consumer(&[("statistics.interval.ms", "0")]);
        config
            .set("group.id", format!("{}order-ledger.follower", self.topic_prefix))
            // Nothing is skipped silently, not even what is derived.
            .set("auto.offset.reset", "error");
        config
    }

    fn consumer(&self, particular: &[(&str, &str)]) -> ClientConfig {
        let mut settings = vec![
            ("check.crcs", "true"),
            // What is fetched ahead stays small, and is refilled as soon as there is room.
            ("queued.min.messages", "20000"),
            ("queued.max.messages.kbytes", "16384"),
            ("fetch.max.bytes", "8388608"),
            ("fetch.queue.backoff.ms", "20"),
        ];
        settings.extend(particular);
        let mut config = self.client(&settings);
        config.set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_reach_every_client_unless_promises_rest_on_them() {
        let with = |name: &str| KafkaOptions {
            properties: vec![(name.to_owned(), "1".to_owned())],
            ..KafkaOptions::default()
        };
        let options = with("session.timeout.ms");
        assert!(options.check().is_ok());
        let member = options.member(Topic::Events, Group::Projector);
        assert_eq!(member.get("session.timeout.ms"), Some("1"));
        assert_eq!(options.producer().get("session.timeout.ms"), Some("1"));

        let refused = with("enable.idempotence").check().unwrap_err().to_string();
        assert!(refused.contains("enable.idempotence"), "{refused}");
    }

    #[test]
    fn names_carry_the_prefix() {
        let options = KafkaOptions { topic_prefix: "eu.".to_owned(), ..KafkaOptions::default() };
        assert_eq!(options.topic(Topic::Events), "eu.orders.events");
        assert_eq!(options.group(Group::Mailer), "eu.order-ledger.mailer");
    }
}
