//! The loop: read a batch, do its work, keep what can't be read, commit. In that order, so that whatever a crash
//! interrupts is done again.

use std::{pin::pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use events::OrderId;
use ports::{
    Clock, Consumer, DeadLetter, DeadLetterReason, DeadLetters, EventLog, Group, LogRecord,
    Position, StartOffsets, Subscription, SubscriptionEvent, Topic, Traceparent,
};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep_until},
};
use tracing::field::display;

use crate::{
    Changed, Error, Retry,
    batch::{Batch, dead_letter},
};

/// How often the dead letters are looked at for some that are to be read again.
const LOOK: Duration = Duration::from_secs(1);

/// Where state changes come from, and where those that can't be read go.
#[derive(Clone)]
pub struct Source {
    /// Who reads: the group, the dead letters and the metrics are named after it.
    pub consumer: Consumer,
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// Keeps what can't be read.
    pub dead_letters: Arc<dyn DeadLetters>,
    /// For the time at which a record was given up, and for the lag.
    pub clock: Arc<dyn Clock>,
}

/// A record that a reaction can never do its work for.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Which.
    pub record: LogRecord,
    /// Why, for a person.
    pub detail: String,
}

/// What a role does about state changes.
#[async_trait]
pub trait Reaction: Send + Sync {
    /// What it does, in few words, for logs and metrics.
    fn name(&self) -> &'static str;

    /// Does a batch's work, durably. Doing it again must change nothing, and an order's changes may come repeated and
    /// out of order.
    async fn react(&self, batch: &[Changed]) -> Result<Vec<Refusal>, Error>;
}

/// Lets `reaction` follow `orders.state-changed` until the process stops; then the batch in hand is finished and
/// committed.
///
/// # Errors
/// What waiting can't mend.
pub async fn follow(source: &Source, reaction: &dyn Reaction, retry: &Retry) -> Result<(), Error> {
    let joined = tokio::select! {
        biased;
        () = retry.stopped() => return Ok(()),
        joined = retry.until_ok("join the group", || source.subscribe()) => joined?,
    };
    let Some(mut subscription) = joined else { return Ok(()) };
    let mut look_at = Instant::now();
    loop {
        let next = next(source, reaction, retry, subscription.as_mut(), &mut look_at);
        let Some(event) = next.await? else { return Ok(()) };
        match event {
            SubscriptionEvent::Records(records) => {
                let done = source.work_off(records, reaction, subscription.as_mut(), retry).await?;
                if done.is_none() {
                    return Ok(());
                }
            }
            // Nothing is in hand between batches: letting go at once is right.
            SubscriptionEvent::Revoked(revoked) => {
                tracing::info!(consumer = source.name(), partitions = ?revoked.partitions, "partitions taken away");
            }
            SubscriptionEvent::Assigned(from) => {
                tracing::info!(consumer = source.name(), ?from, "partitions assigned");
                look_at = Instant::now();
            }
        }
    }
}

/// The next thing that happens in the group; `None` if the process stops. Letters are read again beside the wait, which is
/// never begun anew: being given partitions may take longer than the pause between two looks.
async fn next(
    source: &Source,
    reaction: &dyn Reaction,
    retry: &Retry,
    subscription: &mut dyn Subscription,
    look_at: &mut Instant,
) -> Result<Option<SubscriptionEvent>, Error> {
    let mut next = pin!(subscription.next());
    loop {
        // However busy the log is.
        if Instant::now() >= *look_at {
            if source.read_again(reaction, retry).await?.is_none() {
                return Ok(None);
            }
            *look_at = Instant::now() + LOOK;
        }
        tokio::select! {
            biased;
            () = retry.stopped() => return Ok(None),
            event = &mut next => return Ok(Some(event?)),
            () = sleep_until(*look_at) => {}
        }
    }
}

impl Source {
    const fn name(&self) -> &'static str {
        self.consumer.name()
    }

    async fn subscribe(&self) -> Result<Box<dyn Subscription>, ports::LogError> {
        self.log.subscribe(Topic::StateChanged, self.group(), StartOffsets::Group).await
    }

    pub(crate) const fn group(&self) -> Group {
        match self.consumer {
            Consumer::Projector => Group::Projector,
            Consumer::Search => Group::Search,
            Consumer::Mailer => Group::Mailer,
            Consumer::Fulfilment => Group::Fulfilment,
        }
    }

    /// One batch. `None` if the process stops and something was away to the last: then nothing is committed and the
    /// batch comes again.
    async fn work_off(
        &self,
        records: Vec<LogRecord>,
        reaction: &dyn Reaction,
        subscription: &mut dyn Subscription,
        retry: &Retry,
    ) -> Result<Option<()>, Error> {
        let (read, began) = (records.len(), self.clock.now());
        let mut batch = Batch::decode(self.consumer, records, began);
        let spans = self.begin_spans(&mut batch.changes, began);
        if !batch.changes.is_empty() {
            let work = || reaction.react(&batch.changes);
            let Some(refusals) = retry.until_ok(reaction.name(), work).await? else {
                return Ok(None);
            };
            self.give_up(refusals, &mut batch);
        }
        if !batch.dead_letters.is_empty() {
            let keep = || self.dead_letters.keep(&batch.dead_letters);
            if retry.until_ok("keep dead letters", keep).await?.is_none() {
                return Ok(None);
            }
        }
        // Locked only because a closure can't lend out what it borrows mutably.
        let subscription = Mutex::new(subscription);
        let commit = || async { subscription.lock().await.commit(&batch.next).await };
        let committed = retry.until_ok("commit offsets", commit).await?;
        self.end_spans(spans, &batch.dead_letters, began);
        self.measure(read, &batch);
        Ok(committed)
    }

    fn give_up(&self, refusals: Vec<Refusal>, batch: &mut Batch) {
        let now = self.clock.now();
        batch.dead_letters.extend(refusals.into_iter().map(|Refusal { record, detail }| {
            dead_letter(self.consumer, record, DeadLetterReason::Refused, detail, now)
        }));
    }

    /// Counted after the commit, so that a repeated batch counts once unless the process died.
    fn measure(&self, read: usize, batch: &Batch) {
        let consumer = self.name();
        let size = u32::try_from(read).unwrap_or(u32::MAX);
        metrics::counter!("order_ledger_changes_read_total", "consumer" => consumer)
            .increment(size.into());
        metrics::histogram!("order_ledger_changes_batch_records", "consumer" => consumer)
            .record(size);
        if let Some(oldest) = batch.oldest() {
            metrics::histogram!("order_ledger_changes_lag_seconds", "consumer" => consumer)
                .record(since(oldest, self.clock.now()));
        }
        for letter in &batch.dead_letters {
            let reason = letter.reason.name();
            metrics::counter!("order_ledger_dead_letters_total", "consumer" => consumer, "reason" => reason)
                .increment(1);
            log(consumer, letter);
        }
    }
}

/// How long ago; nothing if the clocks disagree.
fn since(earlier: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    (now - earlier).to_std().unwrap_or(Duration::ZERO)
}

/// Of the record's key only what is an order id: anyone may have written it.
fn log(consumer: &'static str, letter: &DeadLetter) {
    let LogRecord { position: Position { partition, offset }, key, headers, .. } = &letter.record;
    let key = key.as_deref().and_then(|key| std::str::from_utf8(key).ok());
    let order_id = key.and_then(|key| key.parse::<OrderId>().ok()).map(display);
    let trace_id = Traceparent::of(headers).map(|trace| display(trace.trace_id()));
    tracing::warn!(
        consumer, order_id, trace_id, %partition, %offset, reason = letter.reason.name(), detail = letter.detail,
        "a state change became a dead letter"
    );
}
