//! Folds the log again from its start. Reads only: nothing here writes to a store or to the log.

mod audit;
mod verify;

pub use audit::Auditor;
pub use verify::{Difference, Ledger, Share, Tell, Verification, VerifyError, verify};
