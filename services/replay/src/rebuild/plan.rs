//! What a replay is to do.

use std::{collections::BTreeMap, num::NonZeroU32};

use chrono::{DateTime, Utc};
use ports::{LogRecord, Offset, Partition, Position};

use super::ReplayError;

/// Which generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A new one; or the last one that was interrupted, if it had loaded.
    Log,
    /// This one, which has loaded or was live.
    Generation(u32),
    /// The one that was live before.
    Previous,
}

/// How far to fold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Until {
    /// All there is.
    Now,
    /// Records appended then or before.
    Time(DateTime<Utc>),
    /// Records below these offsets; nothing of partitions that are left out.
    Offsets(BTreeMap<Partition, Offset>),
}

impl Until {
    /// Where to stop at the latest, in a partition that ends at `end`.
    pub(super) fn bound(&self, partition: Partition, end: Offset) -> Offset {
        match self {
            Self::Now | Self::Time(_) => end,
            Self::Offsets(offsets) => {
                offsets.get(&partition).map_or(Offset::START, |o| end.min(*o))
            }
        }
    }

    /// Whether a log that ends there has it all.
    pub(super) fn check(&self, ends: &[Position]) -> Result<(), ReplayError> {
        let Self::Offsets(offsets) = self else { return Ok(()) };
        for (&partition, &until) in offsets {
            let end = ends.iter().find(|end| end.partition == partition);
            let end = end.ok_or(ReplayError::NoSuchPartition(partition))?.offset;
            if until > end {
                return Err(ReplayError::BeyondTheEnd { partition, until, end });
            }
        }
        Ok(())
    }

    /// Whether to stop before this record.
    pub(super) fn is_past(&self, record: &LogRecord) -> bool {
        match self {
            Self::Now | Self::Offsets(_) => false,
            Self::Time(time) => record.appended_at.is_some_and(|at| at > *time),
        }
    }
}

/// What to do of two things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Only {
    /// A generation; the search index stays as it is.
    State,
    /// The search index, from the live generation, which stays as it is.
    Search,
}

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// With which generation.
    pub source: Source,
    /// Up to where a new one is loaded. One that ends in the past does not become live.
    pub until: Until,
    /// Whether it becomes live. If not, the search index stays as it is.
    pub swap: bool,
    /// If not everything. With [`Only::Search`] the rest of the plan does not matter.
    pub only: Option<Only>,
    /// How many records a second are loaded, caught up with and verified at most, and documents indexed: a replay that has
    /// time leaves the machine to those who place orders. Nothing is held up while the projectors stand still.
    pub rate: Option<NonZeroU32>,
}

impl Plan {
    /// All there is, from the log, as fast as it goes, to take the place of what is live.
    pub const WHOLE: Self =
        Self { source: Source::Log, until: Until::Now, swap: true, only: None, rate: None };

    /// Whether the generation takes the place of the live one.
    pub(super) fn cuts(&self) -> bool {
        self.swap && self.until == Until::Now
    }

    /// Whether a new search index takes the place of the one in use.
    pub(super) fn reindexes(&self) -> bool {
        match self.only {
            None => self.cuts(),
            Some(Only::State) => false,
            Some(Only::Search) => true,
        }
    }
}
