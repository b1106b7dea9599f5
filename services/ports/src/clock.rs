//! Time and fresh ids, injected.

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Tells the time, UTC, to the microsecond (finer digits are zero, so that every store keeps it exactly).
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> DateTime<Utc>;
}

/// Makes ids that no one made before.
pub trait IdSource: Send + Sync {
    /// A fresh id, UUID v7: later ids sort after earlier ones, roughly.
    fn fresh(&self) -> Uuid;
}
