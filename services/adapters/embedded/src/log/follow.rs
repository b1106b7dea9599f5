//! Following a topic as a member of a group.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use ports::{
    LogError, LogRecord, Offset, Partition, Position, Revoked, StartOffsets, Subscription,
    SubscriptionEvent,
};
use sqlx::SqlitePool;
use tokio::sync::watch;

use super::{group::Membership, pending::Ends, read::BATCH_MAX, tables, write::Handle};
use crate::database::Error;

/// How long to wait before a read that failed is tried again.
const PAUSE: Duration = Duration::from_millis(500);

pub(super) struct Follower {
    membership: Membership,
    start: StartOffsets,
    readers: SqlitePool,
    writer: Handle,
    ends: watch::Receiver<Ends>,
    /// Taken, with the place still to be found.
    taken: Vec<Partition>,
    /// Where to read on in each partition.
    next: BTreeMap<Partition, Offset>,
    /// Which partition was read last: the others come first, so that a long one does not keep them waiting.
    last: Option<Partition>,
}

impl Follower {
    pub(super) fn new(
        membership: Membership,
        start: StartOffsets,
        readers: SqlitePool,
        writer: Handle,
        ends: watch::Receiver<Ends>,
    ) -> Self {
        Self {
            membership,
            start,
            readers,
            writer,
            ends,
            taken: Vec::new(),
            next: BTreeMap::new(),
            last: None,
        }
    }

    fn let_go(&mut self) -> Option<Revoked> {
        let revoked = self.membership.to_let_go()?;
        for partition in &revoked.partitions {
            self.next.remove(partition);
            self.taken.retain(|taken| taken != partition);
        }
        Some(revoked)
    }

    /// Partitions that became this member's, each with where to read on. Cancel-safe: what is taken is remembered
    /// until its place is found.
    async fn assigned(&mut self) -> Result<Option<Vec<Position>>, LogError> {
        self.taken.extend(self.membership.take());
        if self.taken.is_empty() {
            return Ok(None);
        }
        let found = match &self.start {
            StartOffsets::External(offsets) => offsets.next_offsets(&self.taken).await,
            StartOffsets::Group => self.group_offsets().await?,
        };
        self.taken.clear();
        self.next.extend(found.iter().map(|position| (position.partition, position.offset)));
        Ok(Some(found))
    }

    async fn group_offsets(&self) -> Result<Vec<Position>, LogError> {
        let Membership { topic, group, .. } = self.membership;
        loop {
            match tables::group_offsets(&self.readers, topic, group, &self.taken).await {
                Ok(found) => return Ok(found),
                Err(error) => wait_out(error, "a group's place").await?,
            }
        }
    }

    /// The next records of whichever partition has some.
    async fn records(&mut self) -> Result<Option<Vec<LogRecord>>, LogError> {
        let topic = self.membership.topic;
        let Some((partition, from, until)) = self.readable() else { return Ok(None) };
        match tables::records(&self.readers, topic, partition, from, until, BATCH_MAX).await {
            Ok(records) => {
                let next = records.last().map_or(until, |last| last.position.offset.next());
                self.next.insert(partition, next);
                self.last = Some(partition);
                Ok((!records.is_empty()).then_some(records))
            }
            Err(error) => wait_out(error, "the log").await.map(|()| None),
        }
    }

    fn readable(&mut self) -> Option<(Partition, Offset, Offset)> {
        let ends = self.ends.borrow_and_update();
        let of = |(partition, from): (&Partition, &Offset)| {
            let until = ends.get(self.membership.topic, *partition)?;
            (*from < until).then_some((*partition, *from, until))
        };
        let later = self.next.iter().filter(|(p, _)| self.last.is_none_or(|last| **p > last));
        later.filter_map(of).next().or_else(|| self.next.iter().filter_map(of).next())
    }
}

/// Waits before the next try, unless trying again won't help.
async fn wait_out(error: Error, what: &str) -> Result<(), LogError> {
    match LogError::from(error) {
        error @ LogError::Unavailable(_) => {
            tracing::warn!(%error, "can't read {what}, trying again");
            tokio::time::sleep(PAUSE).await;
            Ok(())
        }
        error @ LogError::Unfit(_) => Err(error),
    }
}

#[async_trait]
impl Subscription for Follower {
    async fn next(&mut self) -> Result<SubscriptionEvent, LogError> {
        loop {
            if let Some(revoked) = self.let_go() {
                return Ok(SubscriptionEvent::Revoked(revoked));
            }
            if let Some(positions) = self.assigned().await? {
                return Ok(SubscriptionEvent::Assigned(positions));
            }
            if self.readable().is_some() {
                if let Some(records) = self.records().await? {
                    return Ok(SubscriptionEvent::Records(records));
                }
                continue;
            }
            tokio::select! {
                () = self.membership.changed() => {}
                changed = self.ends.changed() => {
                    if changed.is_err() {
                        return Err(LogError::Unfit("the log was closed".to_owned()));
                    }
                }
            }
        }
    }

    async fn commit(&mut self, next: &[Position]) -> Result<(), LogError> {
        let next: Vec<_> =
            next.iter().copied().filter(|p| self.membership.holds(p.partition)).collect();
        if next.is_empty() {
            return Ok(());
        }
        self.writer.commit(self.membership.topic, self.membership.group, next).await
    }
}
