//! Announcements under way: appended in order, acknowledged later, so that the log's round trip overlaps the next fold.

use std::{collections::VecDeque, sync::Arc};

use ports::{Ack, AppendError, EventLog, NewRecord, Topic};

/// Announcements that the log has not acknowledged yet.
pub(crate) struct Announcer {
    log: Arc<dyn EventLog>,
    pending: VecDeque<Ack>,
}

impl Announcer {
    /// The most announcements under way; beyond it, sending waits for the oldest.
    const PENDING_MAX: usize = 16_384;

    pub(crate) fn new(log: Arc<dyn EventLog>) -> Self {
        Self { log, pending: VecDeque::new() }
    }

    /// Whether everything sent is acknowledged.
    pub(crate) fn is_settled(&self) -> bool {
        self.pending.is_empty()
    }

    /// Appends announcements in order. After an error some may be in the log and some not: derive them again.
    pub(crate) async fn send(
        &mut self,
        records: impl IntoIterator<Item = NewRecord>,
    ) -> Result<(), AppendError> {
        for mut record in records {
            let sending = trace::sending(Topic::StateChanged, &mut record);
            while self.pending.len() >= Self::PENDING_MAX {
                self.settle_oldest().await?;
            }
            let ack = loop {
                match self.log.append(Topic::StateChanged, record.clone()) {
                    Ok(ack) => break ack,
                    // Others fill the queue as well: wait for one of ours, or give way for a moment.
                    Err(AppendError::QueueFull) if self.pending.is_empty() => {
                        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                    }
                    Err(AppendError::QueueFull) => self.settle_oldest().await?,
                    Err(error) => return Err(error),
                }
            };
            self.pending.push_back(trace::until_acknowledged(sending, ack));
        }
        Ok(())
    }

    /// Waits until everything sent is acknowledged. Cancel-safe.
    pub(crate) async fn settle(&mut self) -> Result<(), AppendError> {
        while !self.pending.is_empty() {
            self.settle_oldest().await?;
        }
        Ok(())
    }

    /// Forgets what is under way; it will be derived again.
    pub(crate) fn forget(&mut self) {
        self.pending.clear();
    }

    async fn settle_oldest(&mut self) -> Result<(), AppendError> {
        let Some(oldest) = self.pending.front_mut() else { return Ok(()) };
        let result = oldest.await;
        self.pending.pop_front();
        result.map(drop)
    }
}
