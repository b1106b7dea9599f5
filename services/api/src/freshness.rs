//! Reading snapshots, and knowing when they are current.
//!
//! A snapshot trails the log. A yes on an old one is harmless, the fold has the last word; a no could deny what was
//! acknowledged a moment ago. So a no waits until the projection passed the log's end as of now.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use codec::DecodeError;
use events::{Order, OrderId};
use ports::{EventLog, Offset, OrderStore, Partition, Topic, partition_for_key};
use tokio::{
    sync::{Mutex, OnceCell, Semaphore},
    time::Instant,
};

use crate::denial::Denial;

/// What is kept of a caller's time to still send the answer.
const ANSWER: Duration = Duration::from_millis(50);
/// The first pause between two looks at the projection's progress; it doubles up to the longest.
const PAUSE_FIRST: Duration = Duration::from_millis(5);
const PAUSE_LONGEST: Duration = Duration::from_millis(50);

/// How many calls may ask the log for its end at a time; the others wait, for an adapter may need a thread for each.
const ENDS_MAX: usize = 16;

/// The snapshots, seen from the log.
pub(crate) struct Snapshots {
    log: Arc<dyn EventLog>,
    store: Arc<dyn OrderStore>,
    /// How many partitions the log has; it never changes.
    partitions: OnceCell<u32>,
    ends: Semaphore,
    /// However many calls wait for the projection, one at a time asks how far it is, and the others use the answer.
    passed: Mutex<Passed>,
    catch_up_max: Duration,
}

impl Snapshots {
    pub(crate) fn new(
        log: Arc<dyn EventLog>,
        store: Arc<dyn OrderStore>,
        catch_up_max: Duration,
    ) -> Self {
        Self {
            log,
            store,
            partitions: OnceCell::new(),
            ends: Semaphore::new(ENDS_MAX),
            passed: Mutex::default(),
            catch_up_max,
        }
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
        let end = self.end(partition).await?;
        let give_up = (Instant::now() + self.catch_up_max)
            .min(deadline.checked_sub(ANSWER).unwrap_or(deadline));
        let mut pause = PAUSE_FIRST;
        loop {
            if self.has_passed(partition, end).await? {
                return Ok(());
            }
            if Instant::now() + pause > give_up {
                return Err(Denial::Behind);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_LONGEST);
        }
    }

    async fn end(&self, partition: Partition) -> Result<Offset, Denial> {
        // The semaphore is never closed; without a permit the question would only be less polite.
        let _permit = self.ends.acquire().await.ok();
        Ok(self.log.end_offset(Topic::Events, partition).await?)
    }

    async fn has_passed(&self, partition: Partition, end: Offset) -> Result<bool, Denial> {
        let mut passed = self.passed.lock().await;
        let stale = passed.asked_at.is_none_or(|asked_at| asked_at.elapsed() >= PAUSE_FIRST);
        // Progress never goes back, so an old yes is still one.
        if !passed.reaches(partition, end) && stale {
            let progress = self.store.progress(&[]).await?;
            passed.next = progress.into_iter().map(|p| (p.partition, p.next)).collect();
            passed.asked_at = Some(Instant::now());
        }
        Ok(passed.reaches(partition, end))
    }

    async fn partition(&self, order_id: OrderId) -> Result<Partition, Denial> {
        let asked = self.partitions.get_or_try_init(|| self.log.partitions(Topic::Events)).await;
        Ok(partition_for_key(order_id.to_string().as_bytes(), *asked?))
    }
}

/// How far the projection was when it was last asked for.
#[derive(Default)]
struct Passed {
    asked_at: Option<Instant>,
    next: BTreeMap<Partition, Offset>,
}

impl Passed {
    fn reaches(&self, partition: Partition, end: Offset) -> bool {
        self.next.get(&partition).is_some_and(|next| *next >= end)
    }
}

/// Stored bytes that can't be read: logged here, told to the caller without the particulars.
pub(crate) fn damaged(order_id: OrderId, error: &DecodeError) -> Denial {
    tracing::error!(%order_id, %error, "stored bytes can't be read");
    Denial::Damaged
}
