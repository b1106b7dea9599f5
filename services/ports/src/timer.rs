//! Durable timers: an event that will be appended unless the order moves first.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use events::{OrderId, Version};

use crate::StoreError;

/// What a timer does when it fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimerKind {
    /// Appends `PaymentCaptured` of all that is to be paid (demo).
    Pay,
    /// Appends `PreparationStarted` (demo).
    Prepare,
    /// Appends `OrderShipped` with a made-up parcel (demo).
    Ship,
    /// Appends `OrderDelivered` (demo).
    Deliver,
    /// Appends `OrderCompleted`: the return window is over.
    Complete,
    /// Appends `OrderCancelled`: no one paid in time.
    CancelUnpaid,
}

impl TimerKind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Pay, Self::Prepare, Self::Ship, Self::Deliver, Self::Complete, Self::CancelUnpaid];

    /// The name in the stores and in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pay => "Pay",
            Self::Prepare => "Prepare",
            Self::Ship => "Ship",
            Self::Deliver => "Deliver",
            Self::Complete => "Complete",
            Self::CancelUnpaid => "CancelUnpaid",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Names one timer: a fired timer's event id is derived from it, so that firing twice appends a duplicate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerKey {
    /// Whose.
    pub order_id: OrderId,
    /// What it does.
    pub kind: TimerKind,
}

/// A timer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timer {
    /// Which.
    pub key: TimerKey,
    /// The order's version when it was set.
    pub version: Version,
    /// When it fires.
    pub due_at: DateTime<Utc>,
    /// What is to be captured when a [`TimerKind::Pay`] fires, in minor units, and its ISO 4217 currency.
    pub amount: Option<(i64, String)>,
}

/// Keeps timers.
#[async_trait]
pub trait TimerStore: Send + Sync {
    /// For each order: removes its timers and sets these instead, unless a newer version did so already. An order
    /// with no timers is named with an empty list. Keeps the version even then, so that an older one comes too late.
    async fn replace(&self, orders: &[(OrderId, Version, Vec<Timer>)]) -> Result<(), StoreError>;

    /// Claims up to `limit` timers that are due at `now`, those due longest first, for `lease`. A claim that runs
    /// out makes them claimable again.
    async fn claim(
        &self,
        now: DateTime<Utc>,
        lease: Duration,
        limit: usize,
    ) -> Result<Vec<Timer>, StoreError>;

    /// Removes timers that have fired; one that was replaced by a newer version meanwhile stays.
    async fn fired(&self, timers: &[Timer]) -> Result<(), StoreError>;

    /// When the next unclaimed timer is due; `None` if there is none.
    async fn next_due(&self) -> Result<Option<DateTime<Utc>>, StoreError>;

    /// How many timers are set.
    async fn count(&self) -> Result<u64, StoreError>;

    /// How many timers are due at `now`, claimed or not.
    async fn overdue(&self, now: DateTime<Utc>) -> Result<u64, StoreError>;
}
