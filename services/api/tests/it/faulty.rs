//! A log and a store that misbehave when they are told to, and are real ones otherwise.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use events::{EventId, OrderId, State};
use ports::{
    Ack, AppendError, Checkpoint, Commit, CommitError, EventLog, Follower, Group, HistoryRow,
    ListKey, LogError, LookedUp, NewRecord, Offset, OrderFilter, OrderStore, Partition, Position,
    Progress, Reader, StartOffsets, StoreError, StoredSnapshot, Subscription, Topic, TopicSettings,
};
use tokio::sync::watch;

/// How the log behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Works,
    /// Appends, but tells no one yet.
    Silent,
    /// Its queue has no room.
    Full,
    /// Its first partition has no leader; the others work.
    Leaderless,
    /// Nothing gets through, and it says so.
    Away,
    /// Nothing gets through, and no one is told for as long as they ask.
    Hangs,
}

pub(crate) struct FaultyLog {
    inner: Arc<dyn EventLog>,
    mood: watch::Sender<Mood>,
}

impl FaultyLog {
    pub(crate) fn new(inner: Arc<dyn EventLog>) -> Self {
        Self { inner, mood: watch::Sender::new(Mood::Works) }
    }

    pub(crate) fn turns(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    fn reach(&self) -> Result<&dyn EventLog, LogError> {
        match *self.mood.borrow() {
            Mood::Away | Mood::Hangs => Err(LogError::Unavailable("told to be away".to_owned())),
            Mood::Works | Mood::Silent | Mood::Full | Mood::Leaderless => Ok(self.inner.as_ref()),
        }
    }
}

#[async_trait]
impl EventLog for FaultyLog {
    async fn prepare(&self, settings: TopicSettings) -> Result<(), LogError> {
        self.reach()?.prepare(settings).await
    }

    fn append(&self, topic: Topic, record: NewRecord) -> Result<Ack, AppendError> {
        let mood = *self.mood.borrow();
        match mood {
            Mood::Works | Mood::Silent | Mood::Leaderless => {
                let ack = self.inner.append(topic, record)?;
                let mut mood = self.mood.subscribe();
                Ok(Box::pin(async move {
                    let position = ack.await?;
                    mood.wait_for(|mood| *mood != Mood::Silent).await.unwrap();
                    Ok(position)
                }))
            }
            Mood::Full => Err(AppendError::QueueFull),
            Mood::Away => {
                let error = AppendError::Unacknowledged("told to be away".to_owned());
                Ok(Box::pin(std::future::ready(Err(error))))
            }
            Mood::Hangs => Ok(Box::pin(std::future::pending())),
        }
    }

    async fn flush(&self) {
        self.inner.flush().await;
    }

    async fn partitions(&self, topic: Topic) -> Result<u32, LogError> {
        self.reach()?.partitions(topic).await
    }

    async fn end_offsets(&self, topic: Topic) -> Result<Vec<Position>, LogError> {
        self.reach()?.end_offsets(topic).await
    }

    async fn end_offset(&self, topic: Topic, partition: Partition) -> Result<Offset, LogError> {
        if partition == Partition(0) && *self.mood.borrow() == Mood::Leaderless {
            return Err(LogError::Unavailable("told to have no leader".to_owned()));
        }
        self.reach()?.end_offset(topic, partition).await
    }

    async fn start_offsets(&self, topic: Topic) -> Result<Vec<Position>, LogError> {
        self.reach()?.start_offsets(topic).await
    }

    async fn group_offsets(&self, topic: Topic, group: Group) -> Result<Vec<Position>, LogError> {
        self.reach()?.group_offsets(topic, group).await
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
        self.reach()?.follow(topic, from).await
    }
}

pub(crate) struct FaultyStore {
    inner: Arc<dyn OrderStore>,
    away: AtomicBool,
}

impl FaultyStore {
    pub(crate) fn new(inner: Arc<dyn OrderStore>) -> Self {
        Self { inner, away: AtomicBool::new(false) }
    }

    pub(crate) fn is_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    fn reach(&self) -> Result<&dyn OrderStore, StoreError> {
        if self.away.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("told to be away".to_owned()));
        }
        Ok(self.inner.as_ref())
    }
}

#[async_trait]
impl OrderStore for FaultyStore {
    async fn prepare(&self) -> Result<(), StoreError> {
        self.reach()?.prepare().await
    }

    async fn bind_partitions(&self, partitions: u32) -> Result<(), StoreError> {
        self.reach()?.bind_partitions(partitions).await
    }

    async fn progress(&self, partitions: &[Partition]) -> Result<Vec<Progress>, StoreError> {
        self.reach()?.progress(partitions).await
    }

    async fn load(&self, orders: &[OrderId]) -> Result<Vec<StoredSnapshot>, StoreError> {
        self.reach()?.load(orders).await
    }

    async fn commit(&self, commit: &Commit) -> Result<(), CommitError> {
        self.reach()?.commit(commit).await
    }

    async fn announced(&self, progress: Progress) -> Result<(), CommitError> {
        self.reach()?.announced(progress).await
    }

    async fn checkpoints(
        &self,
        partition: Partition,
        after: Offset,
        limit: usize,
    ) -> Result<Vec<Checkpoint>, StoreError> {
        self.reach()?.checkpoints(partition, after, limit).await
    }

    async fn look_up(
        &self,
        questions: &[(OrderId, EventId)],
    ) -> Result<Vec<Option<LookedUp>>, StoreError> {
        self.reach()?.look_up(questions).await
    }

    async fn history_page(
        &self,
        order: OrderId,
        after: Option<Offset>,
        limit: usize,
    ) -> Result<Vec<HistoryRow>, StoreError> {
        self.reach()?.history_page(order, after, limit).await
    }

    async fn rows(
        &self,
        partition: Partition,
        from: Offset,
        until: Offset,
        limit: usize,
    ) -> Result<Vec<HistoryRow>, StoreError> {
        self.reach()?.rows(partition, from, until, limit).await
    }

    async fn list(
        &self,
        filter: &OrderFilter,
        after: Option<ListKey>,
        limit: usize,
    ) -> Result<Vec<StoredSnapshot>, StoreError> {
        self.reach()?.list(filter, after, limit).await
    }

    async fn touched_since(
        &self,
        partition: Partition,
        from: Offset,
        limit: usize,
    ) -> Result<Vec<(OrderId, Offset)>, StoreError> {
        self.reach()?.touched_since(partition, from, limit).await
    }

    async fn scan(
        &self,
        after: Option<OrderId>,
        limit: usize,
    ) -> Result<Vec<StoredSnapshot>, StoreError> {
        self.reach()?.scan(after, limit).await
    }

    async fn count_by_state(&self) -> Result<Vec<(State, u64)>, StoreError> {
        self.reach()?.count_by_state().await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.reach()?.ping().await
    }
}
