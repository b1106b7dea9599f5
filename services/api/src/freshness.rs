//! Reading snapshots, and knowing when they are current.
//!
//! A snapshot trails the log. A yes on an old one is harmless, the fold has the last word; a no could deny what was
//! acknowledged a moment ago. So a no waits until the projection passed the log's end as of now.

use std::{sync::Arc, time::Duration};

use codec::DecodeError;
use events::{Order, OrderId};
use ports::{EventLog, OrderStore, Partition, Topic, partition_for_key};
use tokio::{sync::OnceCell, time::Instant};

use crate::denial::Denial;

/// What is kept of a caller's time to still send the answer.
const ANSWER: Duration = Duration::from_millis(50);
/// The first pause between two looks at the projection's progress; it doubles up to the longest.
const PAUSE_FIRST: Duration = Duration::from_millis(5);
const PAUSE_LONGEST: Duration = Duration::from_millis(50);

/// The snapshots, seen from the log.
pub(crate) struct Snapshots {
    log: Arc<dyn EventLog>,
    store: Arc<dyn OrderStore>,
    /// How many partitions the log has; it never changes.
    partitions: OnceCell<u32>,
    catch_up_max: Duration,
}

impl Snapshots {
    pub(crate) fn new(
        log: Arc<dyn EventLog>,
        store: Arc<dyn OrderStore>,
        catch_up_max: Duration,
    ) -> Self {
        Self { log, store, partitions: OnceCell::new(), catch_up_max }
    }

    /// The order as far as it is folded.
    pub(crate) async fn load(&self, order_id: OrderId) -> Result<Option<Order>, Denial> {
        let stored = self.store.load(&[order_id]).await?;
        let decoded = stored.first().map(|snapshot| codec::decode_snapshot(&snapshot.bytes));
        decoded.transpose().map_err(|error| damaged(order_id, &error))
    }

    /// The order; what is not there is looked for again once the projection caught up.
    pub(crate) async fn find(&self, order_id: OrderId, deadline: Instant) -> Result<Order, Denial> {
        if let Some(order) = self.load(order_id).await? {
            return Ok(order);
        }
        self.catch_up(order_id, deadline).await?;
        self.load(order_id).await?.ok_or(Denial::NotFound(order_id))
    }

    /// Waits until everything that was acknowledged for this order before the call is folded, for a bounded time.
    pub(crate) async fn catch_up(
        &self,
        order_id: OrderId,
        deadline: Instant,
    ) -> Result<(), Denial> {
        let partition = self.partition(order_id).await?;
        let end = self.log.end_offset(Topic::Events, partition).await?;
        let give_up = (Instant::now() + self.catch_up_max)
            .min(deadline.checked_sub(ANSWER).unwrap_or(deadline));
        let mut pause = PAUSE_FIRST;
        loop {
            let progress = self.store.progress(&[partition]).await?;
            if progress.iter().any(|p| p.partition == partition && p.next >= end) {
                return Ok(());
            }
            if Instant::now() + pause > give_up {
                return Err(Denial::Behind);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_LONGEST);
        }
    }

    async fn partition(&self, order_id: OrderId) -> Result<Partition, Denial> {
        let asked = self.partitions.get_or_try_init(|| self.log.partitions(Topic::Events)).await;
        Ok(partition_for_key(order_id.to_string().as_bytes(), *asked?))
    }
}

/// Stored bytes that can't be read: logged here, told to the caller without the particulars.
pub(crate) fn damaged(order_id: OrderId, error: &DecodeError) -> Denial {
    tracing::error!(%order_id, %error, "stored bytes can't be read");
    Denial::Damaged
}
