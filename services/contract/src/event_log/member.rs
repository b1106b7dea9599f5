//! A subscriber that checks what every subscriber may rely on while it follows a topic.

use std::collections::BTreeMap;

use ports::{
    EventLog, Group, LogRecord, Offset, Partition, Position, Revoked, StartOffsets, Subscription,
    SubscriptionEvent, Topic,
};

use super::within;

/// A member of a group and what it saw.
pub(super) struct Member {
    pub(super) subscription: Box<dyn Subscription>,
    /// The partitions it holds and where it goes on in each.
    pub(super) held: BTreeMap<Partition, Offset>,
    pub(super) records: Vec<LogRecord>,
}

impl Member {
    pub(super) async fn join(log: &dyn EventLog, group: Group) -> Self {
        Self::join_at(log, group, StartOffsets::Group).await
    }

    pub(super) async fn join_at(log: &dyn EventLog, group: Group, start: StartOffsets) -> Self {
        let subscription = log.subscribe(Topic::Events, group, start).await.unwrap();
        Self { subscription, held: BTreeMap::new(), records: Vec::new() }
    }

    /// The next event, taken in; what is being taken away, if it is that. Cancel-safe.
    pub(super) async fn step(&mut self) -> Option<Revoked> {
        match self.subscription.next().await.unwrap() {
            SubscriptionEvent::Assigned(positions) => {
                for Position { partition, offset } in positions {
                    let before = self.held.insert(partition, offset);
                    assert_eq!(before, None, "partition {partition} was given twice");
                }
                None
            }
            SubscriptionEvent::Revoked(revoked) => {
                for partition in &revoked.partitions {
                    let held = self.held.remove(partition);
                    assert!(held.is_some(), "partition {partition} was not held");
                }
                Some(revoked)
            }
            SubscriptionEvent::Records(records) => {
                assert!((1..=4_096).contains(&records.len()), "{} at once", records.len());
                for Position { partition, offset } in super::positions(&records) {
                    let next = self.held.get_mut(&partition);
                    let next = next.unwrap_or_else(|| panic!("partition {partition} is not held"));
                    assert!(
                        offset >= *next,
                        "{offset} of partition {partition} comes after {next}"
                    );
                    *next = offset.next();
                }
                self.records.extend(records);
                None
            }
        }
    }

    /// Follows until `done`, letting go of whatever is taken away.
    pub(super) async fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        within(what, async {
            while !done(self) {
                self.step().await;
            }
        })
        .await;
    }

    /// Follows until it holds all three partitions and saw so many records.
    pub(super) async fn until_seen(&mut self, count: usize) {
        let what = format!("{count} records");
        self.until(&what, |this| this.held.len() == 3 && this.records.len() >= count).await;
        assert_eq!(self.records.len(), count);
    }

    /// Where it goes on.
    pub(super) fn place(&self) -> Vec<Position> {
        let place = |(partition, offset): (&Partition, &Offset)| Position {
            partition: *partition,
            offset: *offset,
        };
        self.held.iter().map(place).collect()
    }

    pub(super) async fn commit(&mut self) {
        let place = self.place();
        within("a commit", self.subscription.commit(&place)).await.unwrap();
    }

    /// What it saw, sorted by position.
    pub(super) fn seen(&self) -> Vec<Position> {
        let mut seen = super::positions(&self.records);
        seen.sort_unstable();
        seen
    }
}
