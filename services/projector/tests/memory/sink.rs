//! A log that takes announcements at once and keeps none.

use std::{
    future::ready,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use ports::{
    Ack, AppendError, EventLog, Follower, Group, LogError, NewRecord, Offset, Partition, Position,
    Reader, StartOffsets, Subscription, Topic, TopicSettings,
};

/// How much was announced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) records: usize,
    pub(crate) bytes: usize,
}

pub(crate) struct Sink {
    inner: Arc<dyn EventLog>,
    told: Mutex<Told>,
}

impl Sink {
    pub(crate) fn new(inner: Arc<dyn EventLog>) -> Self {
        Self { inner, told: Mutex::default() }
    }

    /// How much was announced so far.
    pub(crate) fn told(&self) -> Told {
        *self.told.lock().unwrap()
    }
}

#[async_trait]
impl EventLog for Sink {
    async fn prepare(&self, settings: TopicSettings) -> Result<(), LogError> {
        self.inner.prepare(settings).await
    }

    fn append(&self, topic: Topic, record: NewRecord) -> Result<Ack, AppendError> {
        assert_eq!(topic, Topic::StateChanged, "a projector appends nothing else");
        let mut told = self.told.lock().unwrap();
        told.records += 1;
        told.bytes += record.value.len();
        let position = Position { partition: Partition(0), offset: Offset::START };
        Ok(Box::pin(ready(Ok(position))))
    }

    async fn flush(&self) {
        self.inner.flush().await;
    }

    async fn partitions(&self, topic: Topic) -> Result<u32, LogError> {
        self.inner.partitions(topic).await
    }

    async fn end_offsets(&self, topic: Topic) -> Result<Vec<Position>, LogError> {
        self.inner.end_offsets(topic).await
    }

    async fn end_offset(&self, topic: Topic, partition: Partition) -> Result<Offset, LogError> {
        self.inner.end_offset(topic, partition).await
    }

    async fn start_offsets(&self, topic: Topic) -> Result<Vec<Position>, LogError> {
        self.inner.start_offsets(topic).await
    }

    async fn group_offsets(&self, topic: Topic, group: Group) -> Result<Vec<Position>, LogError> {
        self.inner.group_offsets(topic, group).await
    }

    async fn subscribe(
        &self,
        topic: Topic,
        group: Group,
        start: StartOffsets,
    ) -> Result<Box<dyn Subscription>, LogError> {
        self.inner.subscribe(topic, group, start).await
    }

    async fn read(
        &self,
        topic: Topic,
        partition: Partition,
        from: Offset,
        until: Offset,
    ) -> Result<Box<dyn Reader>, LogError> {
        self.inner.read(topic, partition, from, until).await
    }

    async fn follow(&self, topic: Topic, from: &[Position]) -> Result<Box<dyn Follower>, LogError> {
        self.inner.follow(topic, from).await
    }
}
