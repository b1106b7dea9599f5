//! A record, read: what the projector folds in batches and a replay one by one.

use chrono::{DateTime, Utc};
use events::{Event, OrderId};
use ports::{DeadLetter, LogRecord};

use crate::{Discarded, decode};

/// A record of `orders.events`, decoded or given up with its reason.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly every one is an event")]
pub enum Entry {
    /// An event of an order that lives there.
    Event(LogRecord, Event),
    /// What can't be read, or could not be when someone discarded it.
    Dead(Box<DeadLetter>),
}

impl Entry {
    /// Reads a record of a topic of `partitions` partitions. What can't be read becomes a dead letter given up at `now`, never
    /// an error (promise 10). What was `discarded` stays the letter that it was: the order went on without it, and a program
    /// that could read it must not take that back.
    #[must_use]
    pub fn read(
        record: LogRecord,
        partitions: u32,
        now: DateTime<Utc>,
        discarded: &Discarded,
    ) -> Self {
        let record = match discarded.letter(record, partitions) {
            Ok(letter) => return Self::Dead(letter),
            Err(record) => record,
        };
        match decode(record, partitions, now) {
            Ok((record, event)) => Self::Event(record, event),
            Err(letter) => Self::Dead(letter),
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
