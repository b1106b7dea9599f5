//! The continuous audit: counts what is stored of each record below the folded offset. A projection that skips a record
//! while its lag reads zero shows up here within seconds.
//!
//! It believes no one: it counts rows, and looks into the log where there are too few.

use std::{sync::Arc, time::Duration};

use ports::{Audit, AuditStore, EventLog, Offset, OrderStore, Partition, Topic};
use tokio_util::sync::CancellationToken;

use crate::VerifyError;

/// Offsets that are counted at once.
const STEP: i64 = 50_000;

/// What an audit looks at.
#[derive(Clone)]
pub struct Auditor {
    /// What must be accounted for.
    pub log: Arc<dyn EventLog>,
    /// Says how far the log is folded.
    pub orders: Arc<dyn OrderStore>,
    /// Where it is counted.
    pub audits: Arc<dyn AuditStore>,
}

impl Auditor {
    /// Audits what was folded since, again and again, until `stop`. Several processes share the work.
    pub async fn run(self, every: Duration, stop: CancellationToken) {
        let mut failed = false;
        while stop.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
            match stop.run_until_cancelled(self.round()).await {
                // It is none of the order path: what failed is done at the next round.
                Some(Err(error)) if !failed => {
                    tracing::warn!(%error, "the audit is put off");
                    failed = true;
                }
                Some(Err(_)) | None => {}
                Some(Ok(())) => failed = false,
            }
        }
    }

    /// Audits what was folded since the last time, and says how much of the log is unaccounted for.
    ///
    /// # Errors
    /// [`VerifyError`] if something can't be read.
    pub async fn round(&self) -> Result<(), VerifyError> {
        // First what was audited: another process may be further by the time that the rest is known.
        let audits = self.audits.audits().await?;
        let folded = self.orders.progress(&[]).await?;
        for mut audit in audits {
            let partition = audit.partition;
            let next = folded.iter().find(|progress| progress.partition == partition);
            let next = next.map_or(audit.next, |progress| progress.next);
            while audit.next < next {
                let from = audit.next;
                let until = Offset(from.0.saturating_add(STEP)).min(next);
                let unaccounted = self.unaccounted(partition, from, until).await?;
                audit = Audit {
                    partition,
                    next: until,
                    unaccounted: audit.unaccounted.saturating_add(unaccounted),
                };
                if !self.audits.audited(from, audit).await? {
                    break;
                }
            }
            let label = partition.to_string();
            metrics::gauge!("order_ledger_unaccounted_records", "partition" => label.clone())
                .set(u32::try_from(audit.unaccounted).map_or(f64::MAX, f64::from));
            metrics::gauge!("order_ledger_unaudited_records", "partition" => label)
                .set(u32::try_from(next.0.saturating_sub(audit.next.0)).map_or(0.0, f64::from));
        }
        Ok(())
    }

    /// How many records of the log have nothing stored of them. Narrows the places down by halves.
    async fn unaccounted(
        &self,
        partition: Partition,
        from: Offset,
        until: Offset,
    ) -> Result<u64, VerifyError> {
        let mut unaccounted = 0;
        let mut ranges = vec![(from, until)];
        while let Some((from, until)) = ranges.pop() {
            let offsets = u64::try_from(until.0.saturating_sub(from.0)).unwrap_or(0);
            let accounted = self.audits.accounted(partition, from, until).await?;
            if accounted == 0 {
                unaccounted += self.records(partition, from, until).await?;
            } else if accounted < offsets {
                let middle = Offset(i64::midpoint(from.0, until.0));
                ranges.extend([(middle, until), (from, middle)]);
            }
        }
        Ok(unaccounted)
    }

    /// How many records the log has there: offsets may have gaps of their own.
    async fn records(
        &self,
        partition: Partition,
        from: Offset,
        until: Offset,
    ) -> Result<u64, VerifyError> {
        let mut reader = self.log.read(Topic::Events, partition, from, until).await?;
        let mut count = 0;
        loop {
            let records = reader.next().await?;
            if records.is_empty() {
                break;
            }
            count += u64::try_from(records.len()).unwrap_or(u64::MAX);
        }
        if count > 0 {
            tracing::error!(
                %partition, %from, %until, records = count,
                "records of the log are not accounted for: `order-ledger verify` says what is missing"
            );
        }
        Ok(count)
    }
}
