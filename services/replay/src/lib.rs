//! The log folded again from its start: to compare it with what is stored, and to build what is stored anew.

mod audit;
mod copies;
mod rebuild;
mod verify;

pub use audit::Auditor;
pub use copies::{
    CompareSettings, Comparison, LogChange, LogCopy, LogDifference, WholeLog, compare_logs,
};
pub use rebuild::{
    PartitionReport, Parts, Phase, Plan, ReplayError, Replayed, Report, Source, Until, Watch,
    replay,
};
pub use verify::{
    Compared, Difference, Ledger, Share, Tell, Verification, VerifyError, VerifySettings, verify,
    verify_with,
};
