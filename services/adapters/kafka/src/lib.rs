//! The event log on Apache Kafka, through librdkafka.
//!
//! [`KafkaLog`] is the port's only implementation here. One producer serves all appends of a process (`producer`);
//! every subscription is a member of a consumer group with a thread of its own (`member`), so that the group hears
//! of it however long its records take to work off. Nothing here decodes a record, and nothing blocks the async
//! runtime: librdkafka's blocking calls run on threads made for that.

mod assignment;
mod client;
mod delivery;
mod error;
mod follower;
mod log;
mod mailbox;
mod member;
mod options;
mod producer;
mod reader;
mod record;
mod subscription;
mod threads;
mod topics;
mod topics_check;

pub use log::KafkaLog;
pub use options::KafkaOptions;
