//! A log that can't be used as it is set up.

use std::sync::Arc;

use async_trait::async_trait;
use ports::{
    Ack, AppendError, EventLog, Follower, Group, LogError, NewRecord, Offset, Partition, Position,
    Reader, StartOffsets, Subscription, Topic, TopicSettings,
};
use projector::{Error, Settings};
use tokio_util::sync::CancellationToken;

use crate::world::{World, parts};

/// It has partitions, or not even that.
struct Unfit {
    partitions: Option<u32>,
}

fn unfit<T>() -> Result<T, LogError> {
    Err(LogError::Unfit("it forgets".to_owned()))
}

#[async_trait]
impl EventLog for Unfit {
    async fn prepare(&self, _: TopicSettings) -> Result<(), LogError> {
        unfit()
    }
    fn append(&self, _: Topic, _: NewRecord) -> Result<Ack, AppendError> {
        Err(AppendError::QueueFull)
    }
    async fn flush(&self) {}
    async fn partitions(&self, _: Topic) -> Result<u32, LogError> {
        self.partitions.map_or_else(unfit, Ok)
    }
    async fn end_offsets(&self, _: Topic) -> Result<Vec<Position>, LogError> {
        unfit()
    }
    async fn start_offsets(&self, _: Topic) -> Result<Vec<Position>, LogError> {
        unfit()
    }
    async fn end_offset(&self, _: Topic, _: Partition) -> Result<Offset, LogError> {
        unfit()
    }
    async fn group_offsets(&self, _: Topic, _: Group) -> Result<Vec<Position>, LogError> {
        unfit()
    }
    async fn subscribe(
        &self,
        _: Topic,
        _: Group,
        _: StartOffsets,
    ) -> Result<Box<dyn Subscription>, LogError> {
        unfit()
    }
    async fn read(
        &self,
        _: Topic,
        _: Partition,
        _: Offset,
        _: Offset,
    ) -> Result<Box<dyn Reader>, LogError> {
        unfit()
    }
    async fn follow(&self, _: Topic, _: &[Position]) -> Result<Box<dyn Follower>, LogError> {
        unfit()
    }
}

/// Waiting won't help: an operator must act.
#[tokio::test]
async fn an_unfit_log_ends_the_projector() {
    let world = World::open().await;
    for partitions in [None, Some(3)] {
        let parts = parts(Arc::new(Unfit { partitions }), world.store.clone(), world.store.clone());
        let ended = projector::run(parts, Settings::default(), CancellationToken::new()).await;
        assert!(matches!(ended, Err(Error::Log(LogError::Unfit(_)))), "{ended:?}");
    }
}
