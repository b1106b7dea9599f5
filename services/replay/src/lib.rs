//! The log folded again from its start: to compare it with what is stored, and to build what is stored anew.

mod audit;
mod copies;
mod diff;
mod rebuild;
mod verify;

pub use audit::Auditor;
pub use copies::{
    CompareSettings, Comparison, LogChange, LogCopy, LogDifference, WholeLog, compare_logs,
};
pub use diff::{Diff, EXAMPLES_MAX, Example, MailOf, Parting, Standing, diff};
pub use rebuild::{
    Only, PartitionReport, Parts, Phase, Plan, RefusedDocument, Reindexed, ReplayError, Replayed,
    Report, Source, Until, Watch, finish_cut, replay,
};
pub use verify::{
    Compared, Difference, Ledger, Share, Tell, Verification, VerifyError, VerifySettings, verify,
    verify_with,
};
