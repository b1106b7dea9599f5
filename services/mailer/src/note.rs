//! Writes down how mails went: those that end at about the same time with one commit, and none is held back for that.

use std::sync::Arc;

use consumer::{Alarm, Error, Retry};
use ports::{Clock, DeliveryResult, DeliveryStore, Finished};
use tokio::sync::mpsc;

pub(crate) struct Noter {
    pub(crate) deliveries: Arc<dyn DeliveryStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) alarm: Alarm,
    pub(crate) retry: Retry,
}

impl Noter {
    /// Notes until no one sends any more. What ends while a note is under way is noted with the next, which follows at once:
    /// the time between the mail server's yes and the commit is the time in which a crash makes a duplicate.
    pub(crate) async fn run(&self, mut notes: mpsc::Receiver<Finished>) -> Result<(), Error> {
        let mut batch = Vec::new();
        while notes.recv_many(&mut batch, notes.max_capacity()).await > 0 {
            let note = || self.deliveries.finish(self.clock.now(), &batch);
            // If the store is gone to the last, the claims run out and the mails go out again, with the same Message-IDs.
            self.retry.until_ok("note how mails went", note).await?;
            if batch.iter().any(|finished| is_pending(&finished.result)) {
                // Who claims may be resting until something else is due.
                self.alarm.ring();
            }
            batch.clear();
        }
        Ok(())
    }
}

fn is_pending(result: &DeliveryResult) -> bool {
    match result {
        DeliveryResult::Retry { .. } | DeliveryResult::PutBack { .. } => true,
        DeliveryResult::Sent | DeliveryResult::Failed { .. } => false,
    }
}
