//! Following a topic as a member of a group.

use async_trait::async_trait;
use ports::{
    LogError, Partition, Position, Revoked, StartOffsets, Subscription, SubscriptionEvent,
};

use super::{
    cursor::{Cursor, wait_out},
    group::Membership,
    tables,
    write::Handle,
};

pub(super) struct Member {
    membership: Membership,
    start: StartOffsets,
    writer: Handle,
    /// Taken, with the place still to be found.
    taken: Vec<Partition>,
    cursor: Cursor,
}

impl Member {
    pub(super) const fn new(
        membership: Membership,
        start: StartOffsets,
        writer: Handle,
        cursor: Cursor,
    ) -> Self {
        Self { membership, start, writer, taken: Vec::new(), cursor }
    }

    fn let_go(&mut self) -> Option<Revoked> {
        let revoked = self.membership.to_let_go()?;
        for partition in &revoked.partitions {
            self.cursor.forget(*partition);
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
        self.cursor.place(&found)?;
        Ok(Some(found))
    }

    async fn group_offsets(&self) -> Result<Vec<Position>, LogError> {
        let Membership { topic, group, .. } = self.membership;
        loop {
            match tables::group_offsets(&self.cursor.readers, topic, group, &self.taken).await {
                Ok(found) => return Ok(found),
                Err(error) => wait_out(error, "a group's place").await?,
            }
        }
    }
}

#[async_trait]
impl Subscription for Member {
    async fn next(&mut self) -> Result<SubscriptionEvent, LogError> {
        loop {
            if let Some(revoked) = self.let_go() {
                return Ok(SubscriptionEvent::Revoked(revoked));
            }
            if let Some(positions) = self.assigned().await? {
                return Ok(SubscriptionEvent::Assigned(positions));
            }
            if self.cursor.is_behind() {
                if let Some(records) = self.cursor.records().await? {
                    return Ok(SubscriptionEvent::Records(records));
                }
                continue;
            }
            tokio::select! {
                () = self.membership.changed() => {}
                grown = self.cursor.grown() => grown?,
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
