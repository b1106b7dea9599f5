//! The subscriber's side of a member.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use async_trait::async_trait;
use ports::{LogError, Partition, Position, StartOffsets, Subscription, SubscriptionEvent};
use rdkafka::{
    TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
};
use tokio::time::Instant;

use crate::{
    assignment::{Membership, native},
    error::unavailable,
    mailbox::{Letter, Mailbox},
};

/// A member of a group. Dropping it leaves the group, on the member's own thread.
pub(crate) struct KafkaSubscription {
    /// The thread owns the consumer: closing it blocks.
    pub(crate) consumer: Weak<BaseConsumer<Membership>>,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) topic_name: String,
    pub(crate) start: StartOffsets,
    /// Partitions whose places are being asked for; kept here so that a cancelled `next` asks again.
    pub(crate) asked: Option<Vec<Partition>>,
}

/// How long a commit may take, rebalances included.
const COMMIT_WITHIN: Duration = Duration::from_secs(15);
/// How long to wait until a rebalance may be over.
const REBALANCE_WAIT: Duration = Duration::from_millis(100);

#[async_trait]
impl Subscription for KafkaSubscription {
    async fn next(&mut self) -> Result<SubscriptionEvent, LogError> {
        loop {
            if let Some(partitions) = &self.asked {
                let places = match &self.start {
                    StartOffsets::External(offsets) => offsets.next_offsets(partitions).await,
                    StartOffsets::Group => Vec::new(),
                };
                self.mailbox.answer(partitions.clone(), places);
                self.asked = None;
            }
            match self.mailbox.take().await? {
                Letter::Ask(partitions) => self.asked = Some(partitions),
                Letter::Event(event) => return Ok(event),
            }
        }
    }

    async fn commit(&mut self, next: &[Position]) -> Result<(), LogError> {
        let until = Instant::now() + COMMIT_WITHIN;
        loop {
            let held = self.mailbox.held();
            let ours = next.iter().filter(|position| held.contains(&position.partition));
            let ours: Vec<_> = ours.copied().collect();
            if ours.is_empty() {
                return Ok(());
            }
            let Err(error) = self.commit_held(ours, until).await else { return Ok(()) };
            match error.rdkafka_error_code() {
                // The group moved on without this member: the partitions are someone else's.
                Some(
                    RDKafkaErrorCode::IllegalGeneration
                    | RDKafkaErrorCode::UnknownMemberId
                    | RDKafkaErrorCode::FencedInstanceId,
                ) => return Ok(()),
                Some(RDKafkaErrorCode::RebalanceInProgress)
                    if Instant::now() + REBALANCE_WAIT < until =>
                {
                    tokio::time::sleep(REBALANCE_WAIT).await;
                }
                _ => return Err(unavailable("commit offsets", &error)),
            }
        }
    }
}

impl KafkaSubscription {
    async fn commit_held(&self, next: Vec<Position>, until: Instant) -> Result<(), KafkaError> {
        let Some(consumer) = self.consumer.upgrade() else { return Err(KafkaError::Canceled) };
        let mut list = TopicPartitionList::with_capacity(next.len());
        for Position { partition, offset } in next {
            let offset = rdkafka::Offset::Offset(offset.0);
            list.add_partition_offset(&self.topic_name, native(partition), offset)?;
        }
        let commit = tokio::task::spawn_blocking(move || consumer.commit(&list, CommitMode::Sync));
        match tokio::time::timeout_at(until, commit).await {
            Ok(Ok(committed)) => committed,
            Ok(Err(_)) => Err(KafkaError::Canceled),
            // librdkafka gives it up by itself, soon after.
            Err(_) => Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::OperationTimedOut)),
        }
    }
}

impl Drop for KafkaSubscription {
    fn drop(&mut self) {
        self.mailbox.close();
    }
}
