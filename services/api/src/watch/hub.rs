//! The hub: reads `orders.state-changed` once and hands each change to those who watch its order, or many.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use events::{OrderId, State};
use metrics::{Counter, Gauge};
use ports::{EventLog, Follower, LogError, LogRecord, Offset, Partition, Position, Topic};
use prost::Message as _;
use proto::v1;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use crate::denial::Denial;

/// Changes handed out before others get a turn, those who wait for them above all.
const HAND_OUT_MAX: usize = 256;
/// The pause before a log that is away is asked again.
const PAUSE: Duration = Duration::from_millis(500);

/// Where to go on in each partition of `orders.state-changed`.
pub(crate) type Places = BTreeMap<Partition, Offset>;

/// One change, decoded once for all who watch.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) order_id: OrderId,
    /// In `orders.state-changed`.
    pub(crate) position: Position,
    pub(crate) message: v1::OrderStateChanged,
    /// Of the order, after the change.
    pub(crate) state: State,
    pub(crate) placed_at: DateTime<Utc>,
}

impl Change {
    /// Parses a record; `None` if it is none of this program's.
    pub(crate) fn parse(record: &LogRecord) -> Option<Self> {
        let message = v1::OrderStateChanged::decode(record.value.clone()?).ok()?;
        let order = message.order.as_ref()?;
        let order_id = order.order_id.parse().ok()?;
        let state = codec::state_from_proto(order.state)?;
        let placed_at = codec::decode_instant(order.placed_at.as_ref())?;
        Some(Self { order_id, position: record.position, message, state, placed_at })
    }

    pub(crate) fn order(&self) -> v1::Order {
        self.message.order.clone().unwrap_or_default()
    }
}

/// Whether a watcher of many wants a change.
pub(crate) type Wanted = Box<dyn Fn(&Change) -> bool + Send>;

/// Changes on their way to one watcher.
type Queue = mpsc::Sender<Arc<Change>>;

/// Reads and hands out.
pub(crate) struct Hub {
    log: Arc<dyn EventLog>,
    watchers: Mutex<Watchers>,
    /// Changes that wait for one watcher; with one more it is too slow.
    queue_max: usize,
    /// Whether someone wants to watch; the log is not read before.
    wanted: watch::Sender<bool>,
    /// Whether changes are handed out.
    follows: watch::Sender<bool>,
}

#[derive(Default)]
struct Watchers {
    /// Everything below was handed out.
    places: Places,
    by_order: HashMap<OrderId, Vec<(u64, Queue)>>,
    of_many: HashMap<u64, (Wanted, Queue)>,
    next_id: u64,
}

/// A place among the watchers, given up when dropped.
pub(crate) struct Subscription {
    changes: mpsc::Receiver<Arc<Change>>,
    id: u64,
    order_id: Option<OrderId>,
    hub: Arc<Hub>,
}

impl Subscription {
    /// The next change. Cancel-safe.
    ///
    /// # Errors
    /// [`Denial::TooSlow`] once the queue was full and what was in it is read.
    pub(crate) async fn next(&mut self) -> Result<Arc<Change>, Denial> {
        self.changes.recv().await.ok_or(Denial::TooSlow)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut watchers = self.hub.watchers();
        match self.order_id {
            Some(order_id) => watchers.forget(order_id, self.id),
            None => _ = watchers.of_many.remove(&self.id),
        }
        drop(watchers);
        gauge().decrement(1.0);
    }
}

impl Watchers {
    fn forget(&mut self, order_id: OrderId, id: u64) {
        if let Some(watching) = self.by_order.get_mut(&order_id) {
            watching.retain(|(other, _)| *other != id);
            if watching.is_empty() {
                self.by_order.remove(&order_id);
            }
        }
    }

    /// Hands a change out; whoever has no room for it is forgotten.
    fn hand_out(&mut self, change: &Arc<Change>, dropped: &Counter) {
        let send = |queue: &Queue| match queue.try_send(Arc::clone(change)) {
            Ok(()) => true,
            Err(error) => {
                if matches!(error, mpsc::error::TrySendError::Full(_)) {
                    dropped.increment(1);
                }
                false
            }
        };
        if let Some(watching) = self.by_order.get_mut(&change.order_id) {
            watching.retain(|(_, queue)| send(queue));
            if watching.is_empty() {
                self.by_order.remove(&change.order_id);
            }
        }
        self.of_many.retain(|_, (wanted, queue)| !wanted(change) || send(queue));
    }
}

impl Hub {
    pub(crate) fn new(log: Arc<dyn EventLog>, queue_max: usize) -> Self {
        Self {
            log,
            watchers: Mutex::default(),
            queue_max,
            wanted: watch::Sender::new(false),
            follows: watch::Sender::new(false),
        }
    }

    /// Hands out changes, from when the first watcher comes. A log that is away is waited for; nothing is left out
    /// meanwhile.
    pub(crate) async fn run(&self) {
        let mut wanted = self.wanted.subscribe();
        if wanted.wait_for(|wanted| *wanted).await.is_ok() {
            self.follow().await;
        }
    }

    /// Waits until changes are handed out: what happens from now on will be.
    pub(crate) async fn ready(&self, deadline: Instant) -> Result<(), Denial> {
        self.wanted.send_replace(true);
        let mut follows = self.follows.subscribe();
        match tokio::time::timeout_at(deadline, follows.wait_for(|follows| *follows)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Denial::Closing),
            Err(_) => Err(Denial::Away("event log")),
        }
    }

    /// Where the next changes will be.
    pub(crate) fn places(&self) -> Places {
        self.watchers().places.clone()
    }

    /// Watches one order.
    pub(crate) fn watch(self: &Arc<Self>, order_id: OrderId) -> Subscription {
        let (sender, changes) = mpsc::channel(self.queue_max);
        let mut watchers = self.watchers();
        let id = watchers.next_id;
        watchers.next_id += 1;
        watchers.by_order.entry(order_id).or_default().push((id, sender));
        drop(watchers);
        gauge().increment(1.0);
        Subscription { changes, id, order_id: Some(order_id), hub: Arc::clone(self) }
    }

    /// Watches many: every wanted change from the places that are returned.
    pub(crate) fn watch_many(self: &Arc<Self>, wanted: Wanted) -> (Subscription, Places) {
        let (sender, changes) = mpsc::channel(self.queue_max);
        let mut watchers = self.watchers();
        let id = watchers.next_id;
        watchers.next_id += 1;
        watchers.of_many.insert(id, (wanted, sender));
        let places = watchers.places.clone();
        drop(watchers);
        gauge().increment(1.0);
        (Subscription { changes, id, order_id: None, hub: Arc::clone(self) }, places)
    }

    async fn follow(&self) {
        let mut follower = loop {
            match self.begin().await {
                Ok(follower) => break follower,
                Err(error) => {
                    tracing::warn!(%error, "changes can't be watched yet, trying again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        };
        self.follows.send_replace(true);
        let dropped = metrics::counter!("order_ledger_watchers_dropped_total");
        loop {
            match follower.next().await {
                Ok(records) => {
                    for records in records.chunks(HAND_OUT_MAX) {
                        self.hand_out(records, &dropped);
                        tokio::task::yield_now().await;
                    }
                }
                Err(error) => follower = self.go_on(error).await,
            }
        }
    }

    /// Starts at the end: what was before is for snapshots and histories. Whoever watched before could miss something,
    /// and is sent away to resume.
    async fn begin(&self) -> Result<Box<dyn Follower>, LogError> {
        let ends = self.log.end_offsets(Topic::StateChanged).await?;
        let follower = self.log.follow(Topic::StateChanged, &ends).await?;
        let mut watchers = self.watchers();
        watchers.by_order.clear();
        watchers.of_many.clear();
        watchers.places = ends.iter().map(|end| (end.partition, end.offset)).collect();
        drop(watchers);
        Ok(follower)
    }

    /// Follows again from where it was, or anew if that has expired.
    async fn go_on(&self, error: LogError) -> Box<dyn Follower> {
        tracing::warn!(%error, "watching broke off, going on");
        loop {
            let places: Vec<_> = self
                .places()
                .into_iter()
                .map(|(partition, offset)| Position { partition, offset })
                .collect();
            let follower = match self.log.follow(Topic::StateChanged, &places).await {
                Err(LogError::Expired { .. }) => self.begin().await,
                followed => followed,
            };
            if let Ok(follower) = follower {
                return follower;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn hand_out(&self, records: &[LogRecord], dropped: &Counter) {
        let changes: Vec<_> =
            records.iter().map(|record| Change::parse(record).map(Arc::new)).collect();
        let mut watchers = self.watchers();
        for (record, change) in records.iter().zip(changes) {
            let Position { partition, offset } = record.position;
            match change {
                Some(change) => watchers.hand_out(&change, dropped),
                None => tracing::warn!(%partition, %offset, "a state change can't be read"),
            }
            watchers.places.insert(partition, offset.next());
        }
    }

    /// Held for as long as it takes to queue a few changes; nothing is awaited meanwhile. A poisoned lock is as good.
    fn watchers(&self) -> MutexGuard<'_, Watchers> {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn gauge() -> Gauge {
    metrics::gauge!("order_ledger_watchers")
}
