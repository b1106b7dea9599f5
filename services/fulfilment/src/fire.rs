//! Claims timers that are due, appends their events and removes them once the log has acknowledged.

use std::sync::Arc;

use consumer::{Alarm, Error, Retry};
use ports::{AppendError, Clock, EventLog, Timer, TimerStore, Topic};
use tokio::sync::Mutex;

use crate::{Settings, plan};

pub(crate) struct Trigger {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) timers: Arc<dyn TimerStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) alarm: Alarm,
    pub(crate) retry: Retry,
    pub(crate) settings: Settings,
}

impl Trigger {
    /// Fires until the process stops.
    pub(crate) async fn run(&self) -> Result<(), Error> {
        while !self.retry.is_stopping() {
            let Some(due) = self.claim().await? else { break };
            if due.is_empty() {
                self.rest().await?;
            } else {
                self.fire(due).await?;
            }
        }
        Ok(())
    }

    async fn claim(&self) -> Result<Option<Vec<Timer>>, Error> {
        let (lease, limit) = (self.settings.lease, self.settings.batch_max.max(1));
        let claim = || self.timers.claim(self.clock.now(), lease, limit);
        self.retry.until_ok("claim timers", claim).await
    }

    async fn rest(&self) -> Result<(), Error> {
        let next_due = || self.timers.next_due();
        let next_due = self.retry.until_ok("look for due timers", next_due).await?.flatten();
        tokio::select! {
            () = self.retry.stopped() => {}
            () = self.alarm.wait(next_due) => {}
        }
        Ok(())
    }

    /// Appends the events of these timers, all side by side, and forgets the timers. If the process stops before the
    /// log answers, the claims run out and the timers fire again, under the same event ids.
    async fn fire(&self, due: Vec<Timer>) -> Result<(), Error> {
        // What was set before its kind was switched off is forgotten without an event.
        let is_on = |timer: &&Timer| self.settings.after(timer.key.kind).is_some();
        let pending = Mutex::new(due.iter().filter(is_on).collect());
        let append = || self.append(&pending);
        if self.retry.until_ok("append events", append).await?.is_none() {
            return Ok(());
        }
        let forget = || self.timers.fired(&due);
        self.retry.until_ok("forget fired timers", forget).await?;
        Ok(())
    }

    /// Takes each timer off `pending` whose event the log has.
    async fn append(&self, pending: &Mutex<Vec<&Timer>>) -> Result<(), AppendError> {
        let now = self.clock.now();
        let mut pending = pending.lock().await;
        let mut error = None;
        let mut acks = Vec::with_capacity(pending.len());
        let mut unsent = Vec::new();
        for timer in pending.drain(..) {
            let (order_id, kind) = (timer.key.order_id, timer.key.kind.name());
            let event = match plan::event(timer, now) {
                Ok(event) => event,
                Err(error) => {
                    tracing::error!(%order_id, %error, "a timer was forgotten");
                    continue;
                }
            };
            let mut record = codec::event_record(&event, None);
            // What set the timer is long over: its trace is not gone on with. The event may begin one.
            let mut sending = trace::sending_or_begin(Topic::Events, &mut record);
            match self.log.append(Topic::Events, record) {
                Ok(ack) => acks.push((timer, trace::until_acknowledged(sending, ack))),
                Err(full) => {
                    if let Some(span) = &mut sending {
                        span.not_appended(&full);
                    }
                    tracing::debug!(%order_id, kind, error = %full, "an event is yet to be queued");
                    error = Some(full);
                    unsent.push(timer);
                }
            }
        }
        pending.append(&mut unsent);
        for (timer, ack) in acks {
            match ack.await {
                Ok(_) => {
                    let (order_id, kind) = (timer.key.order_id, timer.key.kind.name());
                    tracing::debug!(%order_id, kind, "a timer has fired");
                    metrics::counter!("order_ledger_timers_fired_total", "kind" => kind)
                        .increment(1);
                }
                Err(failed) => {
                    error = Some(failed);
                    pending.push(timer);
                }
            }
        }
        error.map_or(Ok(()), Err)
    }
}
