//! What waits to be written, and where the partitions end.

use ports::{AppendError, NewRecord, Offset, Partition, Position, Topic};
use tokio::sync::oneshot;

/// A record that waits to be written.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) topic: Topic,
    pub(super) partition: Partition,
    pub(super) record: NewRecord,
    pub(super) done: oneshot::Sender<Result<Position, AppendError>>,
}

/// Where each partition ends.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ends {
    events: Vec<Offset>,
    state_changed: Vec<Offset>,
}

impl Ends {
    fn topic(&self, topic: Topic) -> &Vec<Offset> {
        match topic {
            Topic::Events => &self.events,
            Topic::StateChanged => &self.state_changed,
        }
    }

    fn topic_mut(&mut self, topic: Topic) -> &mut Vec<Offset> {
        match topic {
            Topic::Events => &mut self.events,
            Topic::StateChanged => &mut self.state_changed,
        }
    }

    pub(super) fn push(&mut self, topic: Topic, end: Offset) {
        self.topic_mut(topic).push(end);
    }

    /// How many partitions a topic has.
    pub(super) fn partitions(&self) -> u32 {
        u32::try_from(self.events.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn of(&self, topic: Topic) -> Vec<Position> {
        let ends = (0..).zip(self.topic(topic));
        ends.map(|(n, offset)| Position { partition: Partition(n), offset: *offset }).collect()
    }

    pub(super) fn get(&self, topic: Topic, partition: Partition) -> Option<Offset> {
        self.topic(topic).get(usize::try_from(partition.0).ok()?).copied()
    }

    /// Takes the next offset of a partition.
    pub(super) fn take(&mut self, topic: Topic, partition: Partition) -> Option<Offset> {
        let end = self.topic_mut(topic).get_mut(usize::try_from(partition.0).ok()?)?;
        let taken = *end;
        *end = end.next();
        Some(taken)
    }
}
