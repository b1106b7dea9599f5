//! Where the records of one order part.

use std::fmt;

use bytes::Bytes;
use ports::Position;

use super::Short;

/// What is the matter with the first record that is not the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogChange {
    /// It says something else.
    Changed,
    /// The copy does not have it.
    Missing,
    /// The log does not have it.
    Added,
    /// The copy has it at another place among the order's records.
    Moved,
}

impl LogChange {
    /// What is said of it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Missing => "missing",
            Self::Added => "added",
            Self::Moved => "moved",
        }
    }
}

/// The first difference between the records of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogDifference {
    /// The key of the order's records; `None` for the records of a partition that belong to no order.
    pub order: Option<String>,
    /// What is the matter.
    pub change: LogChange,
    /// The record in the log; `None` if it is added.
    pub log: Option<Position>,
    /// The record in the copy; `None` if it is missing.
    pub copy: Option<Position>,
}

impl fmt::Display for LogDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.order {
            Some(order) => write!(f, "order {order}: ")?,
            None => write!(f, "records of no order: ")?,
        }
        let at = |position: Option<Position>| {
            position.map_or_else(
                || "nowhere".to_owned(),
                |Position { partition, offset }| format!("at {partition}/{offset}"),
            )
        };
        let (log, copy) = (at(self.log), at(self.copy));
        write!(f, "{}, in the log {log}, in the copy {copy}", self.change.name())
    }
}

/// A record.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) position: Position,
    /// The digest of all that it says.
    pub(super) content: Short,
}

/// The records of one order on both sides.
pub(super) struct Pair {
    /// The key; none for strays.
    order: Option<Box<[u8]>>,
    pub(super) log: Vec<Entry>,
    pub(super) copy: Vec<Entry>,
}

impl Pair {
    pub(super) fn of(key: Option<&Bytes>) -> Self {
        let order = key.map(|key| key.as_ref().into());
        Self { order, log: Vec::new(), copy: Vec::new() }
    }

    pub(super) fn first_difference(self) -> Option<LogDifference> {
        let same = self.log.iter().zip(&self.copy);
        let same = same.take_while(|(log, copy)| log.content == copy.content).count();
        let (mut log, mut copy) = (self.log.iter().skip(same), self.copy.iter().skip(same));
        let (change, log, copy) = match (log.next(), copy.next()) {
            (None, None) => return None,
            (Some(first), None) => (LogChange::Missing, Some(first), None),
            (None, Some(first)) => (LogChange::Added, None, Some(first)),
            (Some(log_first), Some(copy_first)) => {
                let in_copy = copy.find(|entry| entry.content == log_first.content);
                let in_log = log.any(|entry| entry.content == copy_first.content);
                match (in_copy, in_log) {
                    (Some(elsewhere), true) => (LogChange::Moved, Some(log_first), Some(elsewhere)),
                    (Some(_), false) => (LogChange::Added, None, Some(copy_first)),
                    (None, true) => (LogChange::Missing, Some(log_first), None),
                    (None, false) => (LogChange::Changed, Some(log_first), Some(copy_first)),
                }
            }
        };
        Some(LogDifference {
            order: self.order.map(|key| String::from_utf8_lossy(&key).into_owned()),
            change,
            log: log.map(|entry| entry.position),
            copy: copy.map(|entry| entry.position),
        })
    }
}
