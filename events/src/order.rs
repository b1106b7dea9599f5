//! An order: what its events so far make of it.

use chrono::{DateTime, Utc};

use crate::{
    Digest, EventId, Fingerprint, LineProgress, MinorUnits, OrderDetails, OrderId, State, Text,
    TimeSpent, Version,
};

/// What the carrier took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// Who carries it.
    pub carrier: Text<100>,
    /// The carrier's number for it.
    pub tracking_number: Text<100>,
}

/// One event that was recorded, applied or rejected, so that a repeat of it is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The event's id.
    pub event_id: EventId,
    /// What the event said.
    pub fingerprint: Fingerprint,
}

/// The fold of an order's events so far. Only [`crate::fold`] moves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Which order.
    pub id: OrderId,
    /// How many events were recorded.
    pub version: Version,
    /// Where it stands.
    pub state: State,
    /// What was ordered.
    pub details: Box<OrderDetails>,
    /// Sum of the payments; at most the total.
    pub captured: MinorUnits,
    /// Sum of the refunds; at most what was captured.
    pub refunded: MinorUnits,
    /// The last parcel shipped.
    pub parcel: Option<Parcel>,
    /// How far each line has come, in their order; empty as long as no event moved any.
    pub progress: Vec<LineProgress>,
    /// Why it was cancelled, if it was and someone said.
    pub cancel_reason: Option<Text<500>>,
    /// Facts that did not fit; a person must look.
    pub anomalies: u32,
    /// When `OrderPlaced` happened.
    pub placed_at: DateTime<Utc>,
    /// When the event happened that brought it into its state.
    pub entered_at: DateTime<Utc>,
    /// How long it was in each state that it left.
    pub spent: TimeSpent,
    /// When the last applied event happened.
    pub updated_at: DateTime<Utc>,
    /// The head of the hash chain over the events recorded so far: BLAKE3 over the head before and the event's digest,
    /// beginning with [`Digest::ZERO`].
    pub head: Digest,
    /// Every event recorded so far, oldest first; as many as the version says.
    pub recorded: Vec<Recorded>,
}

impl Order {
    /// What is still to be paid.
    #[must_use]
    pub fn to_capture(&self) -> MinorUnits {
        self.details.total().checked_sub(self.captured).unwrap_or(MinorUnits::ZERO)
    }

    /// What was paid and not paid back.
    #[must_use]
    pub fn to_refund(&self) -> MinorUnits {
        self.captured.checked_sub(self.refunded).unwrap_or(MinorUnits::ZERO)
    }
}
