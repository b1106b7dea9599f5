//! A record, read: what the projector folds in batches and a replay one by one.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use events::{Event, OrderId};
use ports::{DeadLetter, LetterStatus, LogRecord, Position};

use crate::decode;

/// A record of `orders.events`, decoded or given up with its reason.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly every one is an event")]
pub enum Entry {
    /// An event of an order that lives there.
    Event(LogRecord, Event),
    /// What can't be read.
    Dead(Box<DeadLetter>),
}

impl Entry {
    /// Reads a record of a topic of `partitions` partitions. What can't be read becomes a dead letter given up at `now`, never
    /// an error (promise 10); it parks no order if `discarded` says that someone decided so.
    #[must_use]
    pub fn read(
        record: LogRecord,
        partitions: u32,
        now: DateTime<Utc>,
        discarded: &HashSet<Position>,
    ) -> Self {
        match decode(record, partitions, now) {
            Ok((record, event)) => Self::Event(record, event),
            Err(mut letter) => {
                if discarded.contains(&letter.record.position) {
                    letter.status = LetterStatus::Discarded;
                }
                Self::Dead(letter)
            }
        }
    }

    /// The order that must be known to fold it.
    #[must_use]
    pub const fn order_id(&self) -> Option<OrderId> {
        match self {
            Self::Event(_, event) => Some(event.order_id),
            Self::Dead(_) => None,
        }
    }
}
