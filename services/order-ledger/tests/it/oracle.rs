//! What must have come out, by the test's own reading and folding of the topic.

use std::{collections::BTreeMap, time::Duration};

use codec::{StateChange, StateChangeOutcome};
use events::{Order, OrderId, Outcome, fold};
use ports::{Offset, Partition, Position};
use rdkafka::{
    ClientConfig, Message as _, Offset as KafkaOffset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
    message::{BorrowedMessage, OwnedMessage},
};

use crate::installation::Installation;

/// One order as the log tells it.
pub(crate) struct Expected {
    pub(crate) order: Order,
    pub(crate) position: Position,
    /// One line for every record: version, event id, event, outcome.
    pub(crate) history: Vec<(u64, String, &'static str, &'static str)>,
    /// What was recorded, applied or rejected.
    pub(crate) changes: Vec<StateChange>,
}

/// Everything that the topic says.
#[derive(Default)]
pub(crate) struct Oracle {
    pub(crate) orders: BTreeMap<OrderId, Expected>,
    /// Records that are no event of an order that lives there.
    pub(crate) foreign: u64,
}

fn config(installation: &Installation) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &installation.kafka);
    config
}

/// Reads `orders.events` from its start to where it ends now, and folds it.
pub(crate) async fn fold_topic(installation: &Installation) -> Oracle {
    let topic = format!("{}orders.events", installation.topic_prefix());
    let config = config(installation);
    tokio::task::spawn_blocking(move || read(&config, &topic)).await.unwrap()
}

/// Every record of `orders.events`, from its start to where it ends now, partition by partition in order.
pub(crate) async fn messages(installation: &Installation) -> Vec<OwnedMessage> {
    let topic = format!("{}orders.events", installation.topic_prefix());
    let config = config(installation);
    let read = move || {
        let mut messages = Vec::new();
        each(&config, &topic, |message| messages.push(message.detach()));
        messages
    };
    tokio::task::spawn_blocking(read).await.unwrap()
}

fn read(config: &ClientConfig, topic: &str) -> Oracle {
    let mut oracle = Oracle::default();
    each(config, topic, |message| {
        let position = Position {
            partition: Partition(u32::try_from(message.partition()).unwrap()),
            offset: Offset(message.offset()),
        };
        oracle.add(message.key(), message.payload(), position);
    });
    oracle
}

fn each(config: &ClientConfig, topic: &str, mut each: impl FnMut(&BorrowedMessage<'_>)) {
    const WAIT: Duration = Duration::from_secs(30);
    let consumer: BaseConsumer = config.clone().set("group.id", "oracle").create().unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), WAIT).unwrap();
    let mut left: BTreeMap<i32, i64> = BTreeMap::new();
    let mut from_start = TopicPartitionList::new();
    for partition in metadata.topics()[0].partitions() {
        let (low, high) = consumer.fetch_watermarks(topic, partition.id(), WAIT).unwrap();
        assert_eq!(low, 0, "the log forgot its beginning");
        if high > 0 {
            left.insert(partition.id(), high);
            from_start.add_partition_offset(topic, partition.id(), KafkaOffset::Beginning).unwrap();
        }
    }
    consumer.assign(&from_start).unwrap();
    while !left.is_empty() {
        let message = consumer.poll(WAIT).expect("the topic ends before its end").unwrap();
        each(&message);
        if left.get(&message.partition()).is_some_and(|end| message.offset() + 1 >= *end) {
            left.remove(&message.partition());
        }
    }
}

impl Oracle {
    fn add(&mut self, key: Option<&[u8]>, value: Option<&[u8]>, position: Position) {
        let decoded = value.and_then(|value| codec::decode_event(value).ok());
        let Some(event) = decoded.filter(|e| key == Some(e.order_id.to_string().as_bytes())) else {
            self.foreign += 1;
            return;
        };
        let known = self.orders.remove(&event.order_id);
        let (before, last, mut history, mut changes) = match known {
            Some(known) => (Some(known.order), known.position, known.history, known.changes),
            None => (None, position, Vec::new(), Vec::new()),
        };
        let version_before = before.as_ref().map_or(0, |order| order.version.get());
        let from_entered_at = before.as_ref().map(|order| order.entered_at);
        let folded = fold(before, &event);
        let (name, outcome) = match folded.outcome {
            Outcome::Applied { from, .. } => {
                ("applied", Some(StateChangeOutcome::Applied { from }))
            }
            Outcome::Rejected(reason) => ("rejected", Some(StateChangeOutcome::Rejected(reason))),
            Outcome::Duplicate => ("duplicate", None),
        };
        let Some(order) = folded.order else { return };
        let version = order.version.get();
        history.push((version, event.id.to_string(), event.body.kind().name(), name));
        let recorded = version > version_before;
        if let Some(outcome) = outcome.filter(|_| recorded) {
            changes.push(StateChange {
                event_id: event.id,
                kind: event.body.kind(),
                outcome,
                actor: event.actor.as_ref().map_or_else(String::new, ToString::to_string),
                from_entered_at,
                occurred_at: event.occurred_at,
                position,
                order: order.clone(),
            });
        }
        let position = if recorded { position } else { last };
        self.orders.insert(order.id, Expected { order, position, history, changes });
    }

    /// Every recorded change, of every order.
    pub(crate) fn changes(&self) -> impl Iterator<Item = &StateChange> {
        self.orders.values().flat_map(|expected| &expected.changes)
    }
}

pub(crate) async fn delete_topics(installation: &Installation) {
    let admin: AdminClient<DefaultClientContext> = config(installation).create().unwrap();
    let topics = ["orders.events", "orders.state-changed"]
        .map(|topic| format!("{}{topic}", installation.topic_prefix()));
    let names = topics.each_ref().map(String::as_str);
    admin.delete_topics(&names, &AdminOptions::new()).await.unwrap();
}
