//! What is measured beside the roles, of what they leave in the stores: how far the fold is behind, what waits. Never in
//! the way of an order: a store that is away is asked again at the next round.

use std::{collections::HashMap, time::Duration};

use ports::{Consumer, LogError, Partition, StoreError, Topic};
use tokio_util::sync::CancellationToken;

use super::{
    lag::Ends,
    seen::{Seen, Waiting},
};
use crate::{config::Role, parts::Parts};

/// How often it is measured.
const EVERY: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
enum MeasureError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Measures what the roles of this process answer for.
pub(crate) struct Measuring {
    parts: Parts,
    roles: Vec<Role>,
    ends: HashMap<Partition, Ends>,
    seen: Seen,
}

impl Measuring {
    /// Of a process that plays these roles. What is found is left in `seen`, too.
    pub(crate) fn new(parts: Parts, roles: Vec<Role>, seen: Seen) -> Self {
        Self { parts, roles, ends: HashMap::new(), seen }
    }

    /// Measures again and again until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut failed = false;
        loop {
            match stop.run_until_cancelled(self.round()).await {
                Some(Ok(())) => failed = false,
                Some(Err(error)) => {
                    if !failed {
                        tracing::warn!(%error, "what waits in the stores can't be measured");
                    }
                    failed = true;
                }
                None => return,
            }
            if stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none() {
                return;
            }
        }
    }

    async fn round(&mut self) -> Result<(), MeasureError> {
        let letters = self.parts.dead_letters.unsettled().await?;
        for role in self.roles.clone() {
            let Some(consumer) = consumer(role) else { continue };
            let open = letters.iter().find(|(of, _)| *of == consumer).map_or(0, |(_, n)| *n);
            metrics::gauge!("order_ledger_dead_letters_open", "consumer" => consumer.name())
                .set(open as f64);
            let mut waiting = Waiting { dead_letters_open: open, mails_pending: None };
            match role {
                Role::Projector => self.lag().await?,
                Role::Mailer => {
                    let pending = self.parts.deliveries.pending().await?;
                    metrics::gauge!("order_ledger_mails_pending").set(pending as f64);
                    waiting.mails_pending = Some(pending);
                }
                Role::Fulfilment => self.timers().await?,
                Role::Api | Role::Search => {}
            }
            self.seen.waiting(consumer, waiting);
        }
        Ok(())
    }

    /// Of every partition, whoever owns it: one that no projector owns lags, too.
    async fn lag(&mut self) -> Result<(), MeasureError> {
        // The place first: what is folded between the two questions must not look like records beyond the end.
        let folded = self.parts.orders.progress(&[]).await?;
        let ends = self.parts.log.end_offsets(Topic::Events).await?;
        let now = self.parts.clock.now();
        for progress in folded {
            let partition = progress.partition;
            let Some(end) = ends.iter().find(|end| end.partition == partition) else { continue };
            let seen = self.ends.entry(partition).or_default();
            let lag = seen.look(now, end.offset, progress.next);
            self.seen.lag(partition, lag);
            let partition = partition.to_string();
            metrics::gauge!("order_ledger_projector_lag_records", "partition" => partition.clone())
                .set(lag.records as f64);
            metrics::gauge!("order_ledger_projector_lag_seconds", "partition" => partition)
                .set(lag.seconds);
        }
        Ok(())
    }

    async fn timers(&self) -> Result<(), MeasureError> {
        let set = self.parts.timers.count().await?;
        let overdue = self.parts.timers.overdue(self.parts.clock.now()).await?;
        metrics::gauge!("order_ledger_timers_set").set(set as f64);
        metrics::gauge!("order_ledger_timers_overdue").set(overdue as f64);
        Ok(())
    }
}

/// Whose dead letters a role answers for.
const fn consumer(role: Role) -> Option<Consumer> {
    match role {
        Role::Api => None,
        Role::Projector => Some(Consumer::Projector),
        Role::Search => Some(Consumer::Search),
        Role::Mailer => Some(Consumer::Mailer),
        Role::Fulfilment => Some(Consumer::Fulfilment),
    }
}
