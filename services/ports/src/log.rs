//! The event log: append-only, partitioned topics, read by groups that share the partitions among their members.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use tokio::sync::oneshot;

/// A topic of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// The truth: every event of every order, kept forever.
    Events,
    /// Derived: what each recorded event did to its order.
    StateChanged,
}

impl Topic {
    /// Both, the truth first.
    pub const ALL: [Self; 2] = [Self::Events, Self::StateChanged];

    /// The topic's name. An adapter may put a prefix before it, to keep installations on one cluster apart.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Events => "orders.events",
            Self::StateChanged => "orders.state-changed",
        }
    }
}

/// One partition of a topic; `orders.state-changed` has as many as `orders.events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(pub u32);

/// A record's place in its partition, from 0, growing, possibly with gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub i64);

impl Offset {
    /// The first place.
    pub const START: Self = Self(0);

    /// The place after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// In which partition.
    pub partition: Partition,
    /// At which place.
    pub offset: Offset,
}

/// One header of a record. Names may repeat; values are bytes.
pub type Header = (String, Bytes);

/// A record to append. Records with equal keys share a partition ([`crate::partition_for_key`]) and keep their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRecord {
    /// What chooses the partition: the order id as text.
    pub key: Bytes,
    /// The encoded message.
    pub value: Bytes,
    /// What other readers may want to know without decoding.
    pub headers: Vec<Header>,
}

/// A record as read. Anyone may have written it: key and value can be absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// Where it stands.
    pub position: Position,
    /// When it was appended, to the millisecond, if the log knows.
    pub appended_at: Option<DateTime<Utc>>,
    /// The key, if any.
    pub key: Option<Bytes>,
    /// The value, if any.
    pub value: Option<Bytes>,
    /// The headers, as many as there are.
    pub headers: Vec<Header>,
}

/// Resolves once the log holds the record durably, or will not.
pub type Ack = Pin<Box<dyn Future<Output = Result<Position, AppendError>> + Send>>;

/// Why a record was not appended, or may not have been.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The bounded queue is full; nothing was queued. Try again later.
    #[error("the log's queue is full")]
    QueueFull,
    /// The record can never be appended.
    #[error("the record has {size} bytes, the log takes at most {max}")]
    TooLarge {
        /// What it has.
        size: usize,
        /// What is allowed.
        max: usize,
    },
    /// The log did not answer in time. The record may be there; appending it again under the same event id is safe.
    #[error("the log did not acknowledge the record: {0}")]
    Unacknowledged(String),
}

/// Why the log can't be read or prepared.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// It does not answer; a later try may succeed.
    #[error("the event log is not available: {0}")]
    Unavailable(String),
    /// It would lose or reorder history as it is set up; retrying won't help, an operator must act.
    #[error("the event log can't be used: {0}")]
    Unfit(String),
    /// Reading was to start at a place whose records the log no longer has; start at `first` or later.
    #[error(
        "the event log can't be read from offset {asked} of partition {partition}: it begins at {first}"
    )]
    Expired {
        /// In which partition.
        partition: Partition,
        /// Where reading was to start or to go on.
        asked: Offset,
        /// The first place that is still there.
        first: Offset,
    },
}

/// How to create and check topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicSettings {
    /// How many partitions new topics get; `None` accepts what is there and creates 6. Never changed afterwards.
    pub partitions: Option<u32>,
    /// How many replicas new topics get; `None` means 3, or as many as there are brokers if fewer.
    pub replication: Option<u16>,
}

/// The name under which consumers share partitions and keep their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    /// Folds events.
    Projector,
    /// Feeds the search index.
    Search,
    /// Writes mails.
    Mailer,
    /// Sets and clears timers.
    Fulfilment,
}

impl Group {
    /// The group's name. An adapter may put a prefix before it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Projector => "order-ledger.projector",
            Self::Search => "order-ledger.search",
            Self::Mailer => "order-ledger.mailer",
            Self::Fulfilment => "order-ledger.fulfilment",
        }
    }
}

/// An append-only, partitioned, durable log.
#[async_trait]
pub trait EventLog: Send + Sync {
    /// Creates missing topics and checks existing ones: `orders.events` must keep everything forever, in as many
    /// partitions as it always had. Idempotent.
    ///
    /// # Errors
    /// [`LogError::Unfit`] says which setting is wrong and how to mend it.
    async fn prepare(&self, settings: TopicSettings) -> Result<(), LogError>;

    /// Queues a record; never blocks. Records appended one after the other under one key keep that order.
    ///
    /// # Errors
    /// [`AppendError::QueueFull`] and [`AppendError::TooLarge`] at once; the rest through the [`Ack`].
    fn append(&self, topic: Topic, record: NewRecord) -> Result<Ack, AppendError>;

    /// Waits until every record queued so far is acknowledged or has failed.
    async fn flush(&self);

    /// How many partitions the topic has.
    async fn partitions(&self, topic: Topic) -> Result<u32, LogError>;

    /// Per partition, where the next record will stand: everything acknowledged before the call is below.
    async fn end_offsets(&self, topic: Topic) -> Result<Vec<Position>, LogError>;

    /// The same for one partition.
    async fn end_offset(&self, topic: Topic, partition: Partition) -> Result<Offset, LogError>;

    /// Per partition, the first place that is still there: 0 unless the topic expires records.
    async fn start_offsets(&self, topic: Topic) -> Result<Vec<Position>, LogError>;

    /// Per partition, where a group goes on: what a member of it last committed, at the start where none ever did. Whoever
    /// asks does not join.
    async fn group_offsets(&self, topic: Topic, group: Group) -> Result<Vec<Position>, LogError>;

    /// Joins a group. Dropping the subscription leaves it.
    async fn subscribe(
        &self,
        topic: Topic,
        group: Group,
        start: StartOffsets,
    ) -> Result<Box<dyn Subscription>, LogError>;

    /// Reads one partition from `from` up to (not including) `until` or the log's end, outside of any group.
    ///
    /// # Errors
    /// If a part of this is gone: [`LogError::Unfit`] for events, which are kept forever, [`LogError::Expired`] for state
    /// changes.
    async fn read(
        &self,
        topic: Topic,
        partition: Partition,
        from: Offset,
        until: Offset,
    ) -> Result<Box<dyn Reader>, LogError>;

    /// Reads the partitions named, each once, from these offsets on and for as long as the follower is kept, outside
    /// of any group: every follower sees every record.
    ///
    /// # Errors
    /// [`LogError::Expired`] if a place is before what [`Self::start_offsets`] says: nothing is skipped silently.
    /// [`LogError::Unfit`] if it is beyond the end, or in a partition that the topic does not have.
    async fn follow(&self, topic: Topic, from: &[Position]) -> Result<Box<dyn Follower>, LogError>;
}

/// Where a member of a group starts in the partitions it is given.
#[derive(Clone)]
pub enum StartOffsets {
    /// Where the group last said (see [`Subscription::commit`]); at the start of the log if it never did.
    Group,
    /// Where someone else keeps the place: asked at every assignment.
    External(Arc<dyn GroupOffsets>),
}

/// Keeps a group's place outside of the log.
#[async_trait]
pub trait GroupOffsets: Send + Sync {
    /// The next offset to read, one per partition asked for. Waits out failures; never gives up before it is dropped.
    async fn next_offsets(&self, partitions: &[Partition]) -> Vec<Position>;
}

/// A member of a group.
#[async_trait]
pub trait Subscription: Send {
    /// The next thing that happens, in order. Waits as long as it takes. Cancel-safe.
    ///
    /// # Errors
    /// [`LogError::Unfit`] ends the subscription. A log that is merely away is waited for, and logged.
    async fn next(&mut self) -> Result<SubscriptionEvent, LogError>;

    /// Remembers the next offset to read for [`StartOffsets::Group`], and for tools that show a group's lag. Offsets
    /// of partitions that were taken away are ignored.
    async fn commit(&mut self, next: &[Position]) -> Result<(), LogError>;
}

/// What happens to a member of a group.
#[derive(Debug)]
pub enum SubscriptionEvent {
    /// Partitions were given to this member, to be read from these offsets.
    Assigned(Vec<Position>),
    /// Partitions are about to be taken away; their records no longer come.
    Revoked(Revoked),
    /// One to 4,096 records of assigned partitions, in order per partition.
    Records(Vec<LogRecord>),
}

/// Partitions that are about to be taken away. They are handed over once this is dropped, or after ten seconds.
#[derive(Debug)]
pub struct Revoked {
    /// Which.
    pub partitions: Vec<Partition>,
    done: Option<oneshot::Sender<()>>,
}

impl Revoked {
    /// For adapters: `done` is sent to once the member has let go.
    #[must_use]
    pub const fn new(partitions: Vec<Partition>, done: oneshot::Sender<()>) -> Self {
        Self { partitions, done: Some(done) }
    }
}

impl Drop for Revoked {
    fn drop(&mut self) {
        if let Some(done) = self.done.take() {
            // No one waits any longer if the ten seconds are over.
            _ = done.send(());
        }
    }
}

/// Reads a bounded part of a partition.
#[async_trait]
pub trait Reader: Send {
    /// The next records, in order; empty once `until` is reached.
    async fn next(&mut self) -> Result<Vec<LogRecord>, LogError>;
}

/// Reads partitions on and on, outside of any group. Dropping it ends that.
#[async_trait]
pub trait Follower: Send {
    /// The next one to 4,096 records, in order per partition. Waits as long as it takes. Cancel-safe.
    ///
    /// # Errors
    /// Any error ends the follower: [`LogError::Expired`] if it was so slow that records expired before it read them,
    /// [`LogError::Unfit`] if the log can't be read. A log that is merely away is waited for, and logged.
    async fn next(&mut self) -> Result<Vec<LogRecord>, LogError>;
}
