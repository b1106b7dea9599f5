//! Where someone who follows a topic reads on in each partition, and the records from there.

use std::{collections::BTreeMap, time::Duration};

use ports::{LogError, LogRecord, Offset, Partition, Position, Topic};
use sqlx::SqlitePool;
use tokio::sync::watch;

use super::{pending::Ends, read::BATCH_MAX, tables};
use crate::database::Error;

/// How long to wait before a read that failed is tried again.
const PAUSE: Duration = Duration::from_millis(500);

pub(super) struct Cursor {
    pub(super) readers: SqlitePool,
    pub(super) topic: Topic,
    ends: watch::Receiver<Ends>,
    /// Where to read on in each partition.
    next: BTreeMap<Partition, Offset>,
    /// Which partition was read last: the others come first, so that a long one does not keep them waiting.
    last: Option<Partition>,
}

impl Cursor {
    /// A cursor that reads nothing yet.
    pub(super) const fn new(
        readers: SqlitePool,
        topic: Topic,
        ends: watch::Receiver<Ends>,
    ) -> Self {
        Self { readers, topic, ends, next: BTreeMap::new(), last: None }
    }

    /// Reads on from there.
    ///
    /// # Errors
    /// [`LogError::Unfit`] if the truth ends before one of these places: what is appended next would be passed over.
    pub(super) fn place(&mut self, places: &[Position]) -> Result<(), LogError> {
        for Position { partition, offset } in places {
            let end = self.ends.borrow().get(self.topic, *partition);
            if let Some(end) = end.filter(|end| self.topic == Topic::Events && offset > end) {
                return Err(LogError::Unfit(format!(
                    "{} partition {partition} ends at {end}, but reading has to go on at {offset}: a part of the history \
                     is gone; restore it, or rebuild the state from what there is",
                    self.topic.name()
                )));
            }
        }
        self.next.extend(places.iter().map(|place| (place.partition, place.offset)));
        Ok(())
    }

    pub(super) fn forget(&mut self, partition: Partition) {
        self.next.remove(&partition);
    }

    pub(super) fn is_behind(&mut self) -> bool {
        self.readable().is_some()
    }

    /// The next records of whichever partition has some. Cancel-safe.
    pub(super) async fn records(&mut self) -> Result<Option<Vec<LogRecord>>, LogError> {
        let Some((partition, from, until)) = self.readable() else { return Ok(None) };
        match tables::records(&self.readers, self.topic, partition, from, until, BATCH_MAX).await {
            Ok(records) => {
                let next = records.last().map_or(until, |last| last.position.offset.next());
                self.next.insert(partition, next);
                self.last = Some(partition);
                Ok((!records.is_empty()).then_some(records))
            }
            Err(error) => wait_out(error, "the log").await.map(|()| None),
        }
    }

    /// Waits until there may be something to read.
    pub(super) async fn grown(&mut self) -> Result<(), LogError> {
        let closed = |_| LogError::Unfit("the log was closed".to_owned());
        self.ends.changed().await.map_err(closed)
    }

    fn readable(&mut self) -> Option<(Partition, Offset, Offset)> {
        let ends = self.ends.borrow_and_update();
        let of = |(partition, from): (&Partition, &Offset)| {
            let until = ends.get(self.topic, *partition)?;
            (*from < until).then_some((*partition, *from, until))
        };
        let later = self.next.iter().filter(|(p, _)| self.last.is_none_or(|last| **p > last));
        later.filter_map(of).next().or_else(|| self.next.iter().filter_map(of).next())
    }
}

/// Waits before the next try, unless trying again won't help.
pub(super) async fn wait_out(error: Error, what: &str) -> Result<(), LogError> {
    match LogError::from(error) {
        error @ LogError::Unavailable(_) => {
            tracing::warn!(%error, "can't read {what}, trying again");
            tokio::time::sleep(PAUSE).await;
            Ok(())
        }
        error @ (LogError::Unfit(_) | LogError::Expired { .. }) => Err(error),
    }
}
