//! Records of the log: sent, and processed.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use opentelemetry::{KeyValue, trace::SpanKind};
use ports::{Ack, AppendError, Group, NewRecord, Position, Topic, Traceparent};

use crate::{
    follow::{Following, Origin, following},
    span::Span,
};

/// A record on its way into the log, if its trace is followed.
pub type Sending = Option<Box<Span>>;

/// Begins the span of a record that is about to be sent, if it is part of a trace that is followed: what the record brings
/// about goes on from this span, so its `traceparent` becomes that of the span.
#[must_use]
pub fn sending(topic: Topic, record: &mut NewRecord) -> Sending {
    let following = following()?;
    let parent = Traceparent::of(&record.headers).filter(|parent| parent.is_sampled())?;
    begin(following, topic, record, &Origin::Parent(parent))
}

/// As [`sending`]; a record of no trace may begin one.
#[must_use]
pub fn sending_or_begin(topic: Topic, record: &mut NewRecord) -> Sending {
    let following = following()?;
    let origin = following.origin(Traceparent::of(&record.headers))?;
    begin(following, topic, record, &origin)
}

fn begin(following: &Following, topic: Topic, record: &mut NewRecord, origin: &Origin) -> Sending {
    let name = match topic {
        Topic::Events => "send orders.events",
        Topic::StateChanged => "send orders.state-changed",
    };
    let mut attributes = attributes(following, topic, "send");
    let key = String::from_utf8_lossy(&record.key).into_owned();
    attributes.push(KeyValue::new("messaging.kafka.message.key", key.clone()));
    attributes.push(KeyValue::new("order_ledger.order_id", key));
    let name = Cow::Borrowed(name);
    let span = Span::begin(following, name, SpanKind::Producer, origin, None, attributes)?;
    span.traceparent().put(&mut record.headers);
    Some(Box::new(span))
}

/// Ends the span once the log has answered.
#[must_use]
pub fn until_acknowledged(sending: Sending, ack: Ack) -> Ack {
    let Some(mut span) = sending else { return ack };
    Box::pin(async move {
        let answer = ack.await;
        match &answer {
            Ok(Position { partition, offset }) => {
                span.set("messaging.destination.partition.id", partition.to_string());
                span.set("messaging.kafka.offset", offset.0);
            }
            Err(error) => span.fail(kind_of(error), error.to_string()),
        }
        answer
    })
}

impl Span {
    /// Notes that the log did not take the record.
    pub fn not_appended(&mut self, error: &AppendError) {
        self.fail(kind_of(error), error.to_string());
    }
}

const fn kind_of(error: &AppendError) -> &'static str {
    match error {
        AppendError::QueueFull => "queue_full",
        AppendError::TooLarge { .. } => "too_large",
        AppendError::Unacknowledged(_) => "unacknowledged",
    }
}

/// Begins, at `began`, the span of a record that is read and worked on.
#[must_use]
pub fn processing(
    topic: Topic,
    group: Group,
    position: Position,
    parent: Traceparent,
    began: DateTime<Utc>,
) -> Option<Span> {
    let following = following()?;
    let name = match topic {
        Topic::Events => "process orders.events",
        Topic::StateChanged => "process orders.state-changed",
    };
    let Position { partition, offset } = position;
    let mut attributes = attributes(following, topic, "process");
    let group = format!("{}{}", following.settings.topic_prefix, group.name());
    attributes.push(KeyValue::new("messaging.consumer.group.name", group));
    attributes.push(KeyValue::new("messaging.destination.partition.id", partition.to_string()));
    attributes.push(KeyValue::new("messaging.kafka.offset", offset.0));
    let (name, origin) = (Cow::Borrowed(name), Origin::Parent(parent));
    Span::begin(following, name, SpanKind::Consumer, &origin, Some(began), attributes)
}

fn attributes(following: &Following, topic: Topic, operation: &'static str) -> Vec<KeyValue> {
    let name = format!("{}{}", following.settings.topic_prefix, topic.name());
    vec![
        KeyValue::new("messaging.system", following.settings.log),
        KeyValue::new("messaging.destination.name", name),
        KeyValue::new("messaging.operation.type", operation),
        KeyValue::new("messaging.operation.name", operation),
    ]
}
