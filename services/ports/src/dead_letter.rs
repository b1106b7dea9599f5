//! Records that could not be read, kept with their bytes until someone decides.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use events::OrderId;

use crate::{LogRecord, Offset, Partition, Position, StoreError, Topic};

/// Which consumer gave up on a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Consumer {
    /// Folding `orders.events`.
    Projector,
    /// Indexing `orders.state-changed`.
    Search,
    /// Mailing on `orders.state-changed`.
    Mailer,
    /// Setting timers on `orders.state-changed`.
    Fulfilment,
}

impl Consumer {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Projector, Self::Search, Self::Mailer, Self::Fulfilment];

    /// The consumer of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|consumer| consumer.name() == name)
    }

    /// The name in the stores and in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Projector => "projector",
            Self::Search => "search",
            Self::Mailer => "mailer",
            Self::Fulfilment => "fulfilment",
        }
    }

    /// What it reads.
    #[must_use]
    pub const fn topic(self) -> Topic {
        match self {
            Self::Projector => Topic::Events,
            Self::Search | Self::Mailer | Self::Fulfilment => Topic::StateChanged,
        }
    }
}

/// Why a record can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeadLetterReason {
    /// The value is absent: the log is never compacted, so this means nothing.
    NoValue,
    /// The value is not the message it should be, or breaks its rules.
    Undecodable,
    /// The event's type is not known to this version.
    UnknownType,
    /// The record's key is not the order id in its value: it may stand in a partition where the order does not live.
    ForeignKey,
    /// The key belongs to another partition: the producer used another partitioner.
    WrongPartition,
    /// The receiver refused it for good (a document that does not fit the mapping, say).
    Refused,
}

impl DeadLetterReason {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::NoValue,
        Self::Undecodable,
        Self::UnknownType,
        Self::ForeignKey,
        Self::WrongPartition,
        Self::Refused,
    ];

    /// The reason of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }

    /// The name in the stores and in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoValue => "NoValue",
            Self::Undecodable => "Undecodable",
            Self::UnknownType => "UnknownType",
            Self::ForeignKey => "ForeignKey",
            Self::WrongPartition => "WrongPartition",
            Self::Refused => "Refused",
        }
    }
}

/// What was decided on a dead letter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LetterStatus {
    /// Nothing yet. The order it parks waits.
    #[default]
    Open,
    /// Someone wants it to be read once more.
    Retry,
    /// Someone wants the order to go on without it.
    Discard,
    /// The order went on without it. It stays, as the account of its record.
    Discarded,
}

impl LetterStatus {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Open, Self::Retry, Self::Discard, Self::Discarded];

    /// The status of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// The name in the stores.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Retry => "retry",
            Self::Discard => "discard",
            Self::Discarded => "discarded",
        }
    }

    /// Whether its order goes on without the record, or is about to: for good, whatever becomes readable later.
    #[must_use]
    pub const fn is_without_record(self) -> bool {
        match self {
            Self::Discard | Self::Discarded => true,
            Self::Open | Self::Retry => false,
        }
    }
}

/// Which dead letter: a consumer gives up on a record once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LetterKey {
    /// Who gave up.
    pub consumer: Consumer,
    /// On the record at which place of its topic.
    pub position: Position,
}

/// Which dead letters are meant. What is left out matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LetterFilter {
    /// Of this consumer.
    pub consumer: Option<Consumer>,
    /// In any of these; in any at all if there is none.
    pub statuses: Vec<LetterStatus>,
    /// That park this order, or did.
    pub order: Option<OrderId>,
}

impl LetterFilter {
    /// The projector's letters that someone is still to decide on, or whose decision is still to be carried out: those that
    /// park orders, or this one.
    #[must_use]
    pub fn undecided(order: Option<OrderId>) -> Self {
        let statuses = vec![LetterStatus::Open, LetterStatus::Retry, LetterStatus::Discard];
        Self { consumer: Some(Consumer::Projector), statuses, order }
    }
}

/// A record that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Who gave up.
    pub consumer: Consumer,
    /// The record of its topic as it is, position included.
    pub record: LogRecord,
    /// Why.
    pub reason: DeadLetterReason,
    /// What exactly, for a person.
    pub detail: String,
    /// When it was given up.
    pub at: DateTime<Utc>,
    /// Whose later events are not applied until someone decides: the order that the record is filed under, if it is
    /// filed under one that lives there. Only the projector parks.
    pub parks: Option<OrderId>,
    /// What was decided.
    pub status: LetterStatus,
}

impl DeadLetter {
    /// Which one it is.
    #[must_use]
    pub const fn key(&self) -> LetterKey {
        LetterKey { consumer: self.consumer, position: self.record.position }
    }
}

/// Keeps dead letters. The projector's go through [`crate::Commit`], in the transaction of their offset.
#[async_trait]
pub trait DeadLetters: Send + Sync {
    /// Keeps these; one that is there already (same consumer and position) stays as it is.
    async fn keep(&self, letters: &[DeadLetter]) -> Result<(), StoreError>;

    /// The projector's in one partition of `orders.events`, in log order, those at `from` or above and below `until`,
    /// at most `limit`.
    async fn unfolded(
        &self,
        partition: Partition,
        from: Offset,
        until: Offset,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StoreError>;

    /// Which of these orders are parked: a dead letter of theirs is neither readable nor discarded.
    async fn parked(&self, orders: &[OrderId]) -> Result<Vec<OrderId>, StoreError>;

    /// Those that match, by consumer, partition and offset, after `after`, at most `limit`.
    async fn letters(
        &self,
        filter: &LetterFilter,
        after: Option<LetterKey>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StoreError>;

    /// Writes down what is wanted, unless it is discarded already. The status it has then; `None` if there is no such
    /// letter.
    async fn decide(
        &self,
        key: LetterKey,
        wanted: LetterStatus,
    ) -> Result<Option<LetterStatus>, StoreError>;

    /// Opens one again that was to be read once more and could not be, with the reason of that.
    async fn unreadable(
        &self,
        key: LetterKey,
        reason: DeadLetterReason,
        detail: &str,
    ) -> Result<(), StoreError>;

    /// Forgets one that a consumer other than the projector has dealt with.
    async fn settled(&self, key: LetterKey) -> Result<(), StoreError>;

    /// How many there are, of every consumer, discarded ones included.
    async fn count(&self) -> Result<u64, StoreError>;

    /// How many of each consumer wait for a decision, or for what was decided to be carried out. Consumers without any
    /// may be left out.
    async fn unsettled(&self) -> Result<Vec<(Consumer, u64)>, StoreError>;
}
