//! The pure step: records and the snapshots they touch go in, one commit and its announcements come out.
//!
//! The projector takes it a batch at a time, beside the store; a replay takes it an event at a time, in memory. Both make
//! the same of the same log.

mod batch;
mod chain;
mod discarded;
mod entry;
mod read;
mod refold;
mod step;

pub use batch::{ANNOUNCED_BYTES_MAX, Anomaly, Known, Projected, Projection, Traced};
pub use chain::{Chain, RECORDS_PER_CHECKPOINT};
pub use discarded::Discarded;
pub use entry::Entry;
pub use read::decode;
pub use refold::{Decided, Refolded, Refolder, Refolding, decided, refold};
pub use step::{Step, announcement, change, parked, step};
