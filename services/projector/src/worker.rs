//! One member of the projector group: receive, fold, commit, announce.

use std::{
    collections::{BTreeMap, HashMap},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use events::{Order, OrderId};
use ports::{
    AppendError, Backoff, Commit, CommitError, LogRecord, Offset, Partition, Position, Progress,
    StoreError, StoredSnapshot, Subscription, SubscriptionEvent,
};
use projection::{Anomaly, Discarded, Known, Projected, Projection};
use tokio::time::Instant;

use crate::{
    Error, Parts, announce::Announcer, measure::Appended, patience::Patience, recover, traces,
};

/// How long progress of announcements may stay unwritten while nothing else is committed.
const IDLE: Duration = Duration::from_millis(500);

/// How often the dead letters are looked at for decisions.
const LOOK: Duration = Duration::from_secs(1);

/// Why a membership ended.
pub(crate) enum End {
    Stopped,
    /// Something was not written, because it was made from what is not stored any more.
    Fenced(CommitError),
}

pub(crate) struct Worker {
    pub(crate) parts: Parts,
    pub(crate) patience: Patience,
    pub(crate) announcer: Announcer,
    /// How many partitions the topic has.
    pub(crate) partitions: u32,
    /// The partitions this member owns and how far they are.
    pub(crate) held: BTreeMap<Partition, Progress>,
    /// Whether `announced` of a held partition moved since it was last written.
    unsaved: bool,
    /// When to look for decisions on dead letters.
    look_at: Instant,
    /// Why something was not written; the membership ends.
    refused: Option<CommitError>,
    /// Whether anything was committed.
    pub(crate) has_committed: bool,
}

impl Worker {
    /// A member that owns nothing yet.
    pub(crate) fn new(parts: Parts, patience: Patience, partitions: u32) -> Self {
        Self {
            announcer: Announcer::new(Arc::clone(&parts.log)),
            parts,
            patience,
            partitions,
            held: BTreeMap::new(),
            unsaved: false,
            look_at: Instant::now(),
            refused: None,
            has_committed: false,
        }
    }

    /// Works until `stop`, or until what it knows turns out to be old.
    pub(crate) async fn work(&mut self, subscription: &mut dyn Subscription) -> Result<End, Error> {
        loop {
            let event = match self.next(subscription).await? {
                Ok(event) => event,
                Err(end) => return Ok(end),
            };
            match event {
                SubscriptionEvent::Assigned(positions) => self.assigned(&positions).await,
                SubscriptionEvent::Revoked(revoked) => {
                    self.settle().await;
                    if self.save_announced().await.is_none() {
                        return Ok(self.end());
                    }
                    self.held.retain(|partition, _| !revoked.partitions.contains(partition));
                }
                SubscriptionEvent::Records(records) => {
                    let Some(next) = self.project(records).await else { return Ok(self.end()) };
                    if let Err(error) = subscription.commit(&next).await {
                        // Only for tools that show the group's lag: the store has the place that counts.
                        tracing::debug!(%error, "the group's offsets were not noted");
                    }
                }
            }
        }
    }

    fn end(&mut self) -> End {
        self.refused.take().map_or(End::Stopped, End::Fenced)
    }

    /// The next thing that happens in the group, or why the membership ends. What there is to do meanwhile is done beside
    /// the wait, which is never begun anew: being given partitions takes as long as the store takes to answer.
    async fn next(
        &mut self,
        subscription: &mut dyn Subscription,
    ) -> Result<Result<SubscriptionEvent, End>, Error> {
        let mut next = pin!(subscription.next());
        loop {
            // However busy the log is.
            if Instant::now() >= self.look_at {
                if self.carry_out_decisions().await.is_none() && !self.patience.stop.is_cancelled()
                {
                    return Ok(Err(self.end()));
                }
                self.look_at = Instant::now() + LOOK;
            }
            tokio::select! {
                biased;
                () = self.patience.stop.cancelled() => {
                    self.settle().await;
                    let saved = self.save_announced().await;
                    return Ok(Err(saved.map_or_else(|| self.end(), |()| End::Stopped)));
                }
                event = &mut next => return Ok(Ok(event?)),
                result = self.announcer.settle(), if !self.announcer.is_settled() => {
                    self.settled(result).await;
                }
                () = tokio::time::sleep(IDLE), if self.unsaved => {
                    if self.save_announced().await.is_none() {
                        return Ok(Err(self.end()));
                    }
                }
                () = tokio::time::sleep_until(self.look_at) => {}
            }
        }
    }

    /// Takes partitions over: announces again what the last owner may have left unannounced.
    async fn assigned(&mut self, positions: &[Position]) {
        let partitions: Vec<_> = positions.iter().map(|position| position.partition).collect();
        let store = Arc::clone(&self.parts.store);
        let Some(progress) =
            self.patience.until_ok("load progress", || store.progress(&partitions)).await
        else {
            return;
        };
        for progress in progress {
            self.held.insert(progress.partition, progress);
        }
        self.look_at = Instant::now();
        self.announce_again().await;
    }

    /// Projects one batch. `None` if what it was folded from is not stored any more, or if `stop` came first; nothing more
    /// is stored then.
    async fn project(&mut self, records: Vec<LogRecord>) -> Option<Vec<Position>> {
        let records = self.unseen(records);
        if records.is_empty() {
            return Some(Vec::new());
        }
        let mut appended = Appended::of(&records);
        // What is read for the first time has no letter yet that someone could have discarded.
        let (now, discarded) = (self.parts.clock.now(), Discarded::default());
        let mut left = Some(Projection::decode(records, self.partitions, now, &discarded));
        let mut next = BTreeMap::new();
        while let Some(projection) = left {
            left = self.project_some(projection, now, &mut appended, &mut next).await?;
        }
        let position = |(partition, offset)| Position { partition, offset };
        Some(next.into_iter().map(position).collect())
    }

    /// Projects as much at once as its announcements leave room for, which is a whole batch unless orders are large. Gives
    /// back what is left.
    async fn project_some(
        &mut self,
        projection: Projection,
        now: DateTime<Utc>,
        appended: &mut Appended,
        next: &mut BTreeMap<Partition, Offset>,
    ) -> Option<Option<Projection>> {
        let known = self.load(&projection.orders()).await?;
        let Projected { mut commit, mut announcements, anomalies, traced, rest } =
            projection.fold(known, &self.held);
        // The last batch's announcements had the time of this load and fold.
        self.settle().await;
        for step in &mut commit.partitions {
            step.announced = self.held.get(&step.partition)?.announced;
        }
        self.commit(&commit).await?;
        let committed_at = self.parts.clock.now();
        traces::processed(&traced, &mut announcements, now, self.parts.clock.as_ref());
        for step in &commit.partitions {
            if let Some(progress) = self.held.get_mut(&step.partition) {
                (progress.next, progress.digest) = (step.next, step.digest);
            }
        }
        if let Err(error) = self.announcer.send(announcements).await {
            self.settled(Err(error)).await;
        } else if self.announcer.is_settled() {
            // There was nothing to tell: repeats, or records that can't be read.
            self.all_announced();
        }
        count(&commit, &anomalies);
        appended.measure(&commit, committed_at, &self.parts.measures);
        next.extend(commit.partitions.iter().map(|step| (step.partition, step.next)));
        Some(rest)
    }

    /// Drops records of partitions that are not held any more, and those that were accounted for before.
    fn unseen(&self, mut records: Vec<LogRecord>) -> Vec<LogRecord> {
        records.retain(|record| {
            self.held
                .get(&record.position.partition)
                .is_some_and(|progress| record.position.offset >= progress.next)
        });
        records
    }

    async fn load(&mut self, orders: &[OrderId]) -> Option<Known> {
        let letters = Arc::clone(&self.parts.dead_letters);
        let parked =
            self.patience.until_ok("ask what is parked", || letters.parked(orders)).await?;
        let snapshots = self.load_snapshots(orders).await?;
        Some(Known { snapshots, parked: parked.into_iter().collect() })
    }

    async fn load_snapshots(&mut self, orders: &[OrderId]) -> Option<HashMap<OrderId, Order>> {
        let store = Arc::clone(&self.parts.store);
        let stored = self.patience.until_ok("load snapshots", || store.load(orders)).await?;
        let mut snapshots = HashMap::with_capacity(stored.len());
        for StoredSnapshot { order_id, bytes, .. } in stored {
            let order = match codec::decode_snapshot(&bytes) {
                Ok(order) => Some(order),
                Err(error) => {
                    tracing::error!(%order_id, %error, "a stored snapshot is damaged: folding its history again");
                    self.patience
                        .until_ok("fold a history again", || async {
                            projection::refold(&store.history(order_id).await?, |_| {})
                        })
                        .await?
                }
            };
            snapshots.extend(order.map(|order| (order_id, order)));
        }
        Some(snapshots)
    }

    /// Stores a batch, waiting for the store as long as it takes. `None` if it is refused, or if `stop` came first.
    pub(crate) async fn commit(&mut self, commit: &Commit) -> Option<()> {
        let store = Arc::clone(&self.parts.store);
        self.write("commit a batch", || store.commit(commit)).await?;
        if !self.has_committed {
            self.has_committed = true;
            self.parts.health.up();
        }
        Some(())
    }

    /// Writes what was made from what is held. What is refused is not tried again: it would be refused for ever.
    async fn write<F, Fut>(&mut self, what: &'static str, write: F) -> Option<()>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<(), CommitError>>,
    {
        let written = self.patience.until_ok(what, || {
            let written = write();
            async {
                match written.await {
                    Ok(()) => Ok(Ok(())),
                    Err(CommitError::Store(
                        away @ (StoreError::Unavailable(_) | StoreError::OtherFold { .. }),
                    )) => Err(away),
                    Err(refused) => Ok(Err(refused)),
                }
            }
        });
        match written.await? {
            Ok(()) => Some(()),
            Err(refused) => {
                self.refused = Some(refused);
                None
            }
        }
    }

    /// Waits for what is under way; makes up for what failed.
    pub(crate) async fn settle(&mut self) {
        if !self.announcer.is_settled() {
            let result = self.announcer.settle().await;
            self.settled(result).await;
        }
    }

    pub(crate) async fn settled(&mut self, result: Result<(), AppendError>) {
        match result {
            Ok(()) => self.all_announced(),
            Err(error) => {
                tracing::warn!(%error, "state changes were not acknowledged: announcing them again");
                self.announcer.forget();
                self.announce_again().await;
            }
        }
    }

    /// Derives and sends everything committed and not known to be announced.
    async fn announce_again(&mut self) {
        let behind: Vec<_> = self.held.values().filter(|p| p.announced < p.next).copied().collect();
        let store = Arc::clone(&self.parts.store);
        for progress in behind {
            let mut backoff = Backoff::default();
            loop {
                let again =
                    recover::announce_again(store.as_ref(), &mut self.announcer, progress).await;
                let error = match again {
                    Ok(records) => {
                        metrics::counter!("order_ledger_projector_announced_again_total")
                            .increment(u64::try_from(records).unwrap_or(u64::MAX));
                        break;
                    }
                    Err(error) => error,
                };
                self.announcer.forget();
                let delay = backoff.next_delay(u64::from(progress.partition.0));
                self.patience.failed("announce state changes again", &error, delay);
                tokio::select! {
                    () = self.patience.stop.cancelled() => return,
                    () = tokio::time::sleep(delay) => {}
                }
            }
            if backoff.failures() > 0 {
                self.patience.works("announce state changes again");
            }
        }
        self.all_announced();
    }

    fn all_announced(&mut self) {
        for progress in self.held.values_mut() {
            self.unsaved |= progress.announced != progress.next;
            progress.announced = progress.next;
        }
    }

    /// `None` as in [`Self::commit`].
    async fn save_announced(&mut self) -> Option<()> {
        if self.unsaved {
            let store = Arc::clone(&self.parts.store);
            let held: Vec<_> = self.held.values().copied().collect();
            for progress in held {
                self.write("write progress", || store.announced(progress)).await?;
            }
            self.unsaved = false;
        }
        Some(())
    }
}

fn count(commit: &Commit, anomalies: &[Anomaly]) {
    metrics::histogram!("order_ledger_projector_batch_records")
        .record(u32::try_from(commit.history.len()).map_or(f64::MAX, f64::from));
    for row in &commit.history {
        metrics::counter!("order_ledger_projector_events_total", "outcome" => row.outcome.name())
            .increment(1);
    }
    for letter in &commit.dead_letters {
        metrics::counter!(
            "order_ledger_dead_letters_total",
            "consumer" => letter.consumer.name(), "reason" => letter.reason.name()
        )
        .increment(1);
        traces::log_dead_letter(letter);
    }
    if !anomalies.is_empty() {
        let count = u64::try_from(anomalies.len()).unwrap_or(u64::MAX);
        metrics::counter!("order_ledger_anomalies_total").increment(count);
        traces::log_anomalies(commit, anomalies);
    }
}
