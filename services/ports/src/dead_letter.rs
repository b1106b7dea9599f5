//! Records that could not be read, kept with their bytes until someone decides.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::{LogRecord, Offset, Partition, StoreError, Topic};

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

/// A record that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Who gave up.
    pub consumer: Consumer,
    /// Where the record stands.
    pub topic: Topic,
    /// The record as it is, position included.
    pub record: LogRecord,
    /// Why.
    pub reason: DeadLetterReason,
    /// What exactly, for a person.
    pub detail: String,
    /// When it was given up.
    pub at: DateTime<Utc>,
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

    /// How many there are, of every consumer.
    async fn count(&self) -> Result<u64, StoreError>;
}
