//! The continuous count: whether every record below the folded offset is accounted for.

use async_trait::async_trait;

use crate::{Offset, Partition, StoreError};

/// How far a partition of `orders.events` was audited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Which partition.
    pub partition: Partition,
    /// Every record below was looked for.
    pub next: Offset,
    /// Records below that have neither a history row nor a dead letter.
    pub unaccounted: u64,
}

/// Counts what is stored of records, whatever those who stored it say.
#[async_trait]
pub trait AuditStore: Send + Sync {
    /// Every partition that is bound, by number; one that was never audited is at 0.
    async fn audits(&self) -> Result<Vec<Audit>, StoreError>;

    /// How many offsets of a partition, from `from` on and below `until`, have a history row or a dead letter of the
    /// projector.
    async fn accounted(
        &self,
        partition: Partition,
        from: Offset,
        until: Offset,
    ) -> Result<u64, StoreError>;

    /// Writes how far a partition was audited, if it was audited up to `from` before; whether it was.
    async fn audited(&self, from: Offset, audit: Audit) -> Result<bool, StoreError>;
}
