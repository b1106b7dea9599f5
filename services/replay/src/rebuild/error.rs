//! Why a replay ends early.

use ports::{CommitError, LogError, Offset, Partition, Position, SearchError, StoreError};

use crate::{Difference, VerifyError};

/// Why a replay ended before its time. The live generation is as it was, unless it says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// Another process is at it.
    #[error("another replay is running: see `order-ledger replay status`")]
    Busy,
    /// Someone said so; what was built is removed.
    #[error("the replay was cancelled: generation {0} is removed, the live one is as it was")]
    Cancelled(u32),
    /// Someone said so; what was there before is there still.
    #[error("the replay was cancelled: generation {0} is there as before, and so is the live one")]
    CancelledKept(u32),
    /// Someone said so, of a replay of the search index alone.
    #[error(
        "the replay was cancelled: the new search index is removed, the one in use is as it was"
    )]
    SearchCancelled,
    /// The rest is done; this is made up for by [`crate::finish_cut`].
    #[error(
        "generation {number} is live, but the search index has not followed yet: it will when a process with the role \
         `search` starts, or with the next replay"
    )]
    SearchPending {
        /// Which.
        number: u32,
        /// Why not.
        source: Box<ReplayError>,
    },
    /// There is none that can be made live.
    #[error("there is no generation {0} that could be made live: see `order-ledger replay status`")]
    NoSuchGeneration(u32),
    /// It was to end in a partition that the log does not have.
    #[error("the event log has no partition {0}")]
    NoSuchPartition(Partition),
    /// It was to end where the log has not come yet.
    #[error("partition {partition} of the event log ends at {end}, before {until}")]
    BeyondTheEnd {
        /// Which.
        partition: Partition,
        /// Where it was to end.
        until: Offset,
        /// Where the log ends.
        end: Offset,
    },
    /// There is none to go back to.
    #[error("there is no earlier generation to go back to")]
    NothingRetired,
    /// What was built is not what the log says.
    #[error(
        "generation {generation} has {differences} differences from the log and did not become live, the first: {first}"
    )]
    Differs {
        /// Which.
        generation: u32,
        /// How many.
        differences: u64,
        /// One of them.
        first: Box<Difference>,
    },
    /// What was built has folded a record that was discarded after it had been read.
    #[error(
        "generation {generation} did not become live: the record at {}/{} was discarded after it had been folded; \
         replay again",
        position.partition, position.offset
    )]
    Discarded {
        /// Which.
        generation: u32,
        /// Where the record stands.
        position: Position,
    },
    /// The log can't be read.
    #[error("can't read the event log")]
    Log(#[from] LogError),
    /// A store does not answer, or is damaged.
    #[error("can't write the generation")]
    Store(#[from] StoreError),
    /// The search index does not answer, or can't be used.
    #[error("can't build the search index")]
    Search(#[from] SearchError),
    /// It could not be verified.
    #[error("can't verify the generation")]
    Verify(#[from] VerifyError),
    /// A part of it ended without a word.
    #[error("a partition's task ended early: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl From<CommitError> for ReplayError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Store(error) => Self::Store(error),
            behind @ (CommitError::Fenced { .. } | CommitError::Stale(_)) => {
                Self::Store(StoreError::Corrupt(format!("someone else writes it: {behind}")))
            }
        }
    }
}
