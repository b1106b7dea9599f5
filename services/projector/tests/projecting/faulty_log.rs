//! A log whose calls go wrong by plan, and that hands records out a few at a time.

use std::{
    collections::VecDeque,
    future::{pending, ready},
    sync::Arc,
};

use async_trait::async_trait;
use ports::{
    Ack, AppendError, EventLog, Follower, Group, LogError, LogRecord, NewRecord, Offset, Partition,
    Position, Reader, StartOffsets, Subscription, SubscriptionEvent, Topic, TopicSettings,
};

use crate::faults::{Fault, Plan};

/// How many records make a batch.
const BATCH: usize = 4;

pub(crate) struct FaultyLog {
    pub(crate) inner: Arc<dyn EventLog>,
    pub(crate) plan: Arc<Plan>,
    /// Is given to no one.
    pub(crate) unserved: Option<Partition>,
}

fn away() -> LogError {
    LogError::Unavailable("by plan".to_owned())
}

fn unacknowledged() -> AppendError {
    AppendError::Unacknowledged("by plan".to_owned())
}

#[async_trait]
impl EventLog for FaultyLog {
    async fn prepare(&self, settings: TopicSettings) -> Result<(), LogError> {
        self.inner.prepare(settings).await
    }

    fn append(&self, topic: Topic, record: NewRecord) -> Result<Ack, AppendError> {
        if self.plan.is_dead() {
            return Ok(Box::pin(pending()));
        }
        match self.plan.turn() {
            // A rival has no turn in between: appending waits for nothing.
            None
            | Some(Fault::Overtaken | Fault::Decided | Fault::FoldedLate | Fault::DecidedLate) => {
                self.inner.append(topic, record)
            }
            Some(Fault::QueueFull) => Err(AppendError::QueueFull),
            Some(Fault::Fails) => {
                self.plan.append_failed();
                Ok(Box::pin(ready(Err(unacknowledged()))))
            }
            Some(Fault::AnswerLost) => {
                let ack = self.inner.append(topic, record)?;
                Ok(Box::pin(async move {
                    ack.await?;
                    Err(unacknowledged())
                }))
            }
            Some(Fault::DiesBefore) => {
                self.plan.die();
                Ok(Box::pin(pending()))
            }
            Some(Fault::DiesAfter) => {
                let (ack, plan) = (self.inner.append(topic, record)?, Arc::clone(&self.plan));
                Ok(Box::pin(async move {
                    ack.await?;
                    plan.die();
                    pending().await
                }))
            }
        }
    }

    async fn flush(&self) {
        self.inner.flush().await;
    }

    async fn partitions(&self, topic: Topic) -> Result<u32, LogError> {
        self.plan.call(away, self.inner.partitions(topic)).await
    }

    async fn end_offsets(&self, topic: Topic) -> Result<Vec<Position>, LogError> {
        self.plan.call(away, self.inner.end_offsets(topic)).await
    }

    async fn end_offset(&self, topic: Topic, partition: Partition) -> Result<Offset, LogError> {
        self.plan.call(away, self.inner.end_offset(topic, partition)).await
    }

    async fn start_offsets(&self, topic: Topic) -> Result<Vec<Position>, LogError> {
        self.plan.call(away, self.inner.start_offsets(topic)).await
    }

    async fn group_offsets(&self, topic: Topic, group: Group) -> Result<Vec<Position>, LogError> {
        self.plan.call(away, self.inner.group_offsets(topic, group)).await
    }

    async fn subscribe(
        &self,
        topic: Topic,
        group: Group,
        start: StartOffsets,
    ) -> Result<Box<dyn Subscription>, LogError> {
        let inner = self.plan.call(away, self.inner.subscribe(topic, group, start)).await?;
        let (plan, unserved) = (Arc::clone(&self.plan), self.unserved);
        Ok(Box::new(FaultySubscription { inner, plan, unserved, waiting: VecDeque::new() }))
    }

    async fn read(
        &self,
        topic: Topic,
        partition: Partition,
        from: Offset,
        until: Offset,
    ) -> Result<Box<dyn Reader>, LogError> {
        self.plan.call(away, self.inner.read(topic, partition, from, until)).await
    }

    async fn follow(&self, topic: Topic, from: &[Position]) -> Result<Box<dyn Follower>, LogError> {
        self.plan.call(away, self.inner.follow(topic, from)).await
    }
}

struct FaultySubscription {
    inner: Box<dyn Subscription>,
    plan: Arc<Plan>,
    unserved: Option<Partition>,
    waiting: VecDeque<LogRecord>,
}

#[async_trait]
impl Subscription for FaultySubscription {
    async fn next(&mut self) -> Result<SubscriptionEvent, LogError> {
        if self.waiting.is_empty() {
            match self.inner.next().await? {
                SubscriptionEvent::Records(records) => self.waiting.extend(records),
                SubscriptionEvent::Assigned(mut positions) => {
                    positions.retain(|position| Some(position.partition) != self.unserved);
                    return Ok(SubscriptionEvent::Assigned(positions));
                }
                other => return Ok(other),
            }
        }
        let count = self.waiting.len().min(BATCH);
        Ok(SubscriptionEvent::Records(self.waiting.drain(..count).collect()))
    }

    async fn commit(&mut self, next: &[Position]) -> Result<(), LogError> {
        self.plan.call(away, self.inner.commit(next)).await
    }
}
