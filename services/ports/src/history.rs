//! What became of each record, as the stores keep it.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use events::{EventId, EventKind, OrderId, Rejection, State, Version};

use crate::Position;

/// One record of `orders.events` and what became of it. Exactly one row for every record that is not a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryRow {
    /// Whose history.
    pub order_id: OrderId,
    /// The record.
    pub position: Position,
    /// The order's version after it; 0 if the order is unknown.
    pub version: u64,
    /// Which event.
    pub event_id: EventId,
    /// Of which kind.
    pub kind: EventKind,
    /// What became of it.
    pub outcome: HistoryOutcome,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// Who reported it, if said.
    pub actor: Option<String>,
    /// The record's value as logged, so that an order can be folded again without the log.
    pub event: Bytes,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryOutcome {
    /// It moved the order.
    Applied {
        /// The state before; `None` for the first.
        from: Option<State>,
        /// The state after.
        to: State,
    },
    /// It did not fit.
    Rejected {
        /// Why.
        reason: Rejection,
        /// Where the order stood and stands; `None` if it is unknown.
        state: Option<State>,
        /// Whether the order's version counts it: not for unknown orders and full histories.
        recorded: bool,
    },
    /// It was there before.
    Duplicate {
        /// Where the order stood and stands.
        state: State,
    },
    /// A record of its order before it is a dead letter that no one has decided on: it waits (promise 10).
    Parked {
        /// Where the order stood and stands; `None` if it is unknown.
        state: Option<State>,
    },
}

impl HistoryOutcome {
    /// The name in the stores: `applied`, `rejected`, `duplicate`, `parked`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Applied { .. } => "applied",
            Self::Rejected { .. } => "rejected",
            Self::Duplicate { .. } => "duplicate",
            Self::Parked { .. } => "parked",
        }
    }

    /// Where the order stood, where it stands, and why the event was rejected if it was.
    #[must_use]
    pub const fn parts(&self) -> (Option<State>, Option<State>, Option<Rejection>) {
        match *self {
            Self::Applied { from, to } => (from, Some(to), None),
            Self::Rejected { reason, state, recorded: _ } => (state, state, Some(reason)),
            Self::Duplicate { state } => (Some(state), Some(state), None),
            Self::Parked { state } => (state, state, None),
        }
    }

    /// Whether the order's version counts the event, and a state change is announced for it.
    #[must_use]
    pub const fn is_recorded(&self) -> bool {
        match self {
            Self::Applied { .. } => true,
            Self::Rejected { recorded, .. } => *recorded,
            Self::Duplicate { .. } | Self::Parked { .. } => false,
        }
    }
}

/// A version as the stores keep it.
impl HistoryRow {
    /// The order's version, if the event is counted by it.
    #[must_use]
    pub const fn recorded_version(&self) -> Option<Version> {
        if self.outcome.is_recorded() { Some(Version::new(self.version)) } else { None }
    }
}
