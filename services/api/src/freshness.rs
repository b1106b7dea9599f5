//! Whether what the store has is current: everything acknowledged is folded sooner or later, and this waits for it.
//!
//! Yes can be said on any snapshot, since the fold has the last word. No can only be said on one that holds every event
//! acknowledged before the call: else a client that was just told OK would hear that its order does not exist.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use codec::DecodeError;
use events::{EventId, Order, OrderId};
use ports::{
    EventLog, LookedUp, Offset, OrderStore, Partition, Position, StoredSnapshot, Topic,
    partition_for_key,
};
use proto::v1;
use tokio::{
    sync::{Mutex, OnceCell, Semaphore},
    task::JoinSet,
    time::Instant,
};

use crate::{
    denial::Denial,
    gather::{Answer, Gather},
};

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
    loads: Gather<OrderId, Option<StoredSnapshot>>,
    looks: Gather<(OrderId, EventId), Option<LookedUp>>,
    /// How many partitions the log has; it never changes.
    partitions: OnceCell<u32>,
    ends: Semaphore,
    /// However many calls wait for the projection, one at a time asks how far it is, and the others use the answer.
    passed: Mutex<Passed>,
    catch_up_max: Duration,
    /// What asks the store; ends with this.
    _asking: JoinSet<()>,
}

impl Snapshots {
    pub(crate) fn new(
        log: Arc<dyn EventLog>,
        store: Arc<dyn OrderStore>,
        catch_up_max: Duration,
    ) -> Self {
        let mut asking = JoinSet::new();
        let loading = Arc::clone(&store);
        let loads = Gather::start(&mut asking, move |orders: Vec<OrderId>| {
            let store = Arc::clone(&loading);
            async move {
                let found = store.load(&orders).await?;
                let found: BTreeMap<_, _> = found.into_iter().map(|s| (s.order_id, s)).collect();
                Ok(orders.iter().map(|order_id| found.get(order_id).cloned()).collect())
            }
        });
        let looking = Arc::clone(&store);
        let looks = Gather::start(&mut asking, move |events: Vec<(OrderId, EventId)>| {
            let store = Arc::clone(&looking);
            async move { store.look_up(&events).await }
        });
        Self {
            log,
            store,
            loads,
            looks,
            partitions: OnceCell::new(),
            ends: Semaphore::new(ENDS_MAX),
            passed: Mutex::default(),
            catch_up_max,
            _asking: asking,
        }
    }

    /// The order, as far as it is folded, and what became of one event.
    pub(crate) fn look_up(&self, order_id: OrderId, event_id: EventId) -> Answer<Option<LookedUp>> {
        self.looks.ask((order_id, event_id))
    }

    /// The order; what is not there is looked for again once the projection caught up.
    pub(crate) async fn find(
        &self,
        order_id: OrderId,
        deadline: Instant,
    ) -> Result<v1::Order, Denial> {
        let mut found = self.loads.ask(order_id).await?;
        if found.is_none() {
            self.catch_up(order_id, deadline).await?;
            found = self.loads.ask(order_id).await?;
        }
        let snapshot = found.ok_or(Denial::NotFound(order_id))?;
        codec::order_of_snapshot(&snapshot.bytes).map_err(|error| damaged(order_id, &error))
    }

    /// Waits until everything that was acknowledged for this order before the call is folded, for a bounded time.
    pub(crate) async fn catch_up(
        &self,
        order_id: OrderId,
        deadline: Instant,
    ) -> Result<(), Denial> {
        let partition = self.partition(order_id).await?;
        let end = self.end(partition).await?;
        let patience = Instant::now() + self.catch_up_max;
        if self.passes(partition, end, patience.min(sendable(deadline))).await? {
            Ok(())
        } else {
            Err(Denial::Behind)
        }
    }

    /// Waits until the record at `position` is folded, as long as the caller does.
    pub(crate) async fn folded(&self, position: Position, deadline: Instant) -> Result<(), Denial> {
        let Position { partition, offset } = position;
        if self.passes(partition, offset.next(), sendable(deadline)).await? {
            Ok(())
        } else {
            Err(Denial::Unfolded(position))
        }
    }

    /// How many partitions the log has.
    pub(crate) async fn partitions(&self) -> Result<u32, Denial> {
        let asked = self.partitions.get_or_try_init(|| self.log.partitions(Topic::Events)).await;
        Ok(*asked?)
    }

    async fn partition(&self, order_id: OrderId) -> Result<Partition, Denial> {
        Ok(partition_for_key(order_id.to_string().as_bytes(), self.partitions().await?))
    }

    /// Where the log ends.
    pub(crate) async fn end(&self, partition: Partition) -> Result<Offset, Denial> {
        // The semaphore is never closed; without a permit the question would only be less polite.
        let _permit = self.ends.acquire().await.ok();
        Ok(self.log.end_offset(Topic::Events, partition).await?)
    }

    /// Whether the projection passes `end` before it is time to give up.
    async fn passes(
        &self,
        partition: Partition,
        end: Offset,
        give_up: Instant,
    ) -> Result<bool, Denial> {
        let mut pause = PAUSE_FIRST;
        loop {
            if self.has_passed(partition, end).await? {
                return Ok(true);
            }
            if Instant::now() + pause > give_up {
                return Ok(false);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_LONGEST);
        }
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
}

/// When an answer must be on its way to be there by the deadline.
fn sendable(deadline: Instant) -> Instant {
    deadline.checked_sub(ANSWER).unwrap_or(deadline)
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

/// The order in a snapshot.
pub(crate) fn decode(snapshot: &StoredSnapshot) -> Result<Order, Denial> {
    codec::decode_snapshot(&snapshot.bytes).map_err(|error| damaged(snapshot.order_id, &error))
}

/// Stored bytes that can't be read: logged here, told to the caller without the particulars.
pub(crate) fn damaged(order_id: OrderId, error: &DecodeError) -> Denial {
    tracing::error!(%order_id, %error, "stored bytes can't be read");
    Denial::Damaged
}
