//! Claims mails that are due, ahead of their sending.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use consumer::{Alarm, Error, Retry};
use ports::{Clock, Delivery, DeliveryStore, Mailer};
use tokio::sync::mpsc;

/// Whether the mail server is known to be away, as who sends finds out and who claims must know.
#[derive(Clone, Default)]
pub(crate) struct ServerAway(Arc<AtomicBool>);

impl ServerAway {
    pub(crate) fn set(&self, is_away: bool) {
        self.0.store(is_away, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

pub(crate) struct Claimer {
    pub(crate) deliveries: Arc<dyn DeliveryStore>,
    pub(crate) mailer: Arc<dyn Mailer>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) alarm: Alarm,
    pub(crate) retry: Retry,
    pub(crate) lease: Duration,
    pub(crate) server_away: ServerAway,
}

impl Claimer {
    /// Keeps the queue filled until the process stops, or no one reads it any more.
    pub(crate) async fn run(&self, queue: mpsc::Sender<Delivery>) -> Result<(), Error> {
        self.reach_server().await?;
        while let Some(room) = self.room(&queue).await {
            if self.server_away.get() {
                self.reach_server().await?;
                continue;
            }
            let claim = || self.deliveries.claim(self.clock.now(), self.lease, room);
            let Some(claimed) = self.retry.until_ok("claim mails", claim).await? else { break };
            let is_all = claimed.len() < room;
            for delivery in claimed {
                // There is room. If no one reads any more, the claim runs out.
                _ = queue.try_send(delivery);
            }
            if is_all {
                self.rest().await?;
            }
        }
        Ok(())
    }

    async fn reach_server(&self) -> Result<(), Error> {
        self.retry.until_ok("reach the mail server", || self.mailer.ping()).await?;
        self.server_away.set(false);
        Ok(())
    }

    /// How many the queue takes, once half of it is free: claims of a few would be many. `None` if it is to be filled no more.
    async fn room(&self, queue: &mpsc::Sender<Delivery>) -> Option<usize> {
        let half = queue.max_capacity().div_ceil(2);
        tokio::select! {
            biased;
            () = self.retry.stopped() => return None,
            half = queue.reserve_many(half) => drop(half.ok()?),
        }
        // No one else fills it.
        Some(queue.capacity())
    }

    async fn rest(&self) -> Result<(), Error> {
        let next_due = || self.deliveries.next_due();
        let next_due = self.retry.until_ok("look for due mails", next_due).await?.flatten();
        tokio::select! {
            () = self.retry.stopped() => {}
            () = self.alarm.wait(next_due) => {}
        }
        Ok(())
    }
}
