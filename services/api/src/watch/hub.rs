//! The hub: reads `orders.state-changed` once and hands each change to those who watch its order, or many.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use events::{OrderId, State};
use metrics::{Counter, Gauge};
use ports::{
    EventLog, Follower, LogError, LogRecord, Offset, Partition, Position, Topic, Traceparent,
};
use prost::Message as _;
use proto::v1;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tracing::field::display;

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

/// What a watcher is found by: a change is offered to those it concerns, not to all.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Interest {
    Order(OrderId),
    Customer(String),
    Region(String),
    Everything,
}

impl Interest {
    /// Every interest that a change meets.
    fn met_by(change: &Change) -> impl Iterator<Item = Self> {
        let order = change.message.order.as_ref();
        let details = order.and_then(|order| order.details.as_ref());
        let customer = details.and_then(|details| details.customer.as_ref());
        [Self::Order(change.order_id), Self::Everything]
            .into_iter()
            .chain(customer.map(|customer| Self::Customer(customer.email.clone())))
            .chain(details.map(|details| Self::Region(details.region.clone())))
    }
}

/// Whether a watcher wants a change that meets its interest.
pub(crate) type Wanted = Box<dyn Fn(&Change) -> bool + Send>;

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
    by_interest: HashMap<Interest, Vec<Watcher>>,
    next_id: u64,
}

struct Watcher {
    id: u64,
    wanted: Wanted,
    queue: mpsc::Sender<Arc<Change>>,
}

/// A place among the watchers, given up when dropped.
pub(crate) struct Subscription {
    changes: mpsc::Receiver<Arc<Change>>,
    id: u64,
    interest: Interest,
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
        self.hub.watchers().retain(&self.interest, |watcher| watcher.id != self.id);
        gauge().decrement(1.0);
    }
}

impl Watchers {
    /// Keeps those with that interest for whom it is true.
    fn retain(&mut self, interest: &Interest, keep: impl FnMut(&Watcher) -> bool) {
        if let Some(watching) = self.by_interest.get_mut(interest) {
            watching.retain(keep);
            if watching.is_empty() {
                self.by_interest.remove(interest);
            }
        }
    }

    /// Hands a change out; whoever has no room for it is forgotten.
    fn hand_out(&mut self, change: &Arc<Change>, dropped: &Counter) {
        for interest in Interest::met_by(change) {
            self.retain(&interest, |watcher| {
                if !(watcher.wanted)(change) {
                    return true;
                }
                let sent = watcher.queue.try_send(Arc::clone(change));
                if matches!(sent, Err(mpsc::error::TrySendError::Full(_))) {
                    dropped.increment(1);
                }
                sent.is_ok()
            });
        }
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

    /// Watches: every wanted change from the places that are returned.
    pub(crate) fn watch(
        self: &Arc<Self>,
        interest: Interest,
        wanted: Wanted,
    ) -> (Subscription, Places) {
        let (queue, changes) = mpsc::channel(self.queue_max);
        let mut watchers = self.watchers();
        let id = watchers.next_id;
        watchers.next_id += 1;
        let watching = watchers.by_interest.entry(interest.clone()).or_default();
        watching.push(Watcher { id, wanted, queue });
        let places = watchers.places.clone();
        drop(watchers);
        gauge().increment(1.0);
        (Subscription { changes, id, interest, hub: Arc::clone(self) }, places)
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
        watchers.by_interest.clear();
        watchers.places = ends.iter().map(|end| (end.partition, end.offset)).collect();
        drop(watchers);
        Ok(follower)
    }

    /// Follows again from where it was, or anew if that has expired, or is not in the log any more: the topic was made anew.
    async fn go_on(&self, error: LogError) -> Box<dyn Follower> {
        tracing::warn!(%error, "watching broke off, going on");
        loop {
            let places: Vec<_> = self
                .places()
                .into_iter()
                .map(|(partition, offset)| Position { partition, offset })
                .collect();
            let follower = match self.log.follow(Topic::StateChanged, &places).await {
                Err(error @ (LogError::Expired { .. } | LogError::Unfit(_))) => {
                    tracing::warn!(%error, "watching begins anew: who watches is to resume");
                    self.begin().await
                }
                followed => followed,
            };
            match follower {
                Ok(follower) => return follower,
                Err(error) => tracing::warn!(%error, "changes can't be watched, trying again"),
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
                None => {
                    let trace_id = Traceparent::of(&record.headers);
                    let trace_id = trace_id.map(|trace| display(trace.trace_id()));
                    tracing::warn!(trace_id, %partition, %offset, "a state change can't be read");
                }
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
