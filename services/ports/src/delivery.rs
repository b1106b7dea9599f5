//! Mail deliveries: one row for every mail that is to be sent, claimed before sending.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use events::{OrderId, Version};

use crate::{StoreError, Traceparent};

/// Names one mail: at most one row, and one Message-ID, for each.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DeliveryKey {
    /// About which order.
    pub order_id: OrderId,
    /// About which of its state changes.
    pub version: Version,
    /// From which template.
    pub template: String,
}

/// A mail to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDelivery {
    /// Which.
    pub key: DeliveryKey,
    /// The `OrderStateChanged` it is about, encoded, so that sending needs no other store.
    pub state_change: Bytes,
    /// From when on it is due.
    pub due_at: DateTime<Utc>,
    /// The trace that it belongs to, if any.
    pub traceparent: Option<Traceparent>,
}

/// A mail that this sender has claimed and no other will touch until the claim runs out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Which.
    pub key: DeliveryKey,
    /// The `OrderStateChanged` it is about, encoded.
    pub state_change: Bytes,
    /// How many times it was claimed and not put back, this time included.
    pub attempts: u32,
    /// When the claim runs out, as the store keeps it. No later claim of the mail has the same: it tells the claims apart.
    pub claimed_until: DateTime<Utc>,
    /// The trace that it belongs to, if any.
    pub traceparent: Option<Traceparent>,
}

/// How an attempt went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryResult {
    /// The mail server took it.
    Sent,
    /// Not now: claimable again from `due_at` on.
    Retry {
        /// When.
        due_at: DateTime<Utc>,
        /// Why, for a person.
        error: String,
    },
    /// It was not tried, or in vain for a reason that is not its own: claimable again at once, and the claim is no attempt.
    PutBack {
        /// Why, for a person.
        error: String,
    },
    /// Never: kept visible with its reason.
    Failed {
        /// Why, for a person.
        error: String,
    },
}

/// What a sender says of a mail that it had claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Which.
    pub key: DeliveryKey,
    /// [`Delivery::claimed_until`].
    pub claimed_until: DateTime<Utc>,
    /// How it went.
    pub result: DeliveryResult,
}

/// Keeps deliveries: `pending`, then `sent` or `failed`.
#[async_trait]
pub trait DeliveryStore: Send + Sync {
    /// Adds these as pending; one that is there already, in whatever status, stays as it is.
    async fn add(&self, deliveries: &[NewDelivery]) -> Result<(), StoreError>;

    /// Claims up to `limit` pending deliveries that are due at `now`, those due longest first, for `lease`: until then
    /// no other sender gets them. A claim that runs out (its sender died) makes them claimable again.
    async fn claim(
        &self,
        now: DateTime<Utc>,
        lease: Duration,
        limit: usize,
    ) -> Result<Vec<Delivery>, StoreError>;

    /// Says how claimed deliveries went, at `now`: all of it or nothing is kept. What is sent or failed stays so, whatever is
    /// said of it later or beside it, and whoever says so. A word that leaves a mail pending counts only as long as no one else
    /// has claimed it.
    async fn finish(&self, now: DateTime<Utc>, finished: &[Finished]) -> Result<(), StoreError>;

    /// When the next pending, unclaimed delivery is due; `None` if there is none.
    async fn next_due(&self) -> Result<Option<DateTime<Utc>>, StoreError>;

    /// How many deliveries are pending (claimed or not), sent, failed.
    async fn counts(&self) -> Result<(u64, u64, u64), StoreError>;

    /// How many are pending, claimed or not: asked often, of a table that keeps every mail that was ever sent.
    async fn pending(&self) -> Result<u64, StoreError>;
}
