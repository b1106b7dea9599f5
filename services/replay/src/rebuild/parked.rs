//! Orders that may move without a record above those that are read: someone decides on a dead letter of theirs.

use std::collections::{BTreeMap, BTreeSet};

use events::OrderId;
use ports::{DeadLetter, DeadLetters, LetterFilter, Offset, Partition, Position, StoreError};

use super::discards::LETTERS;

/// Orders that are remembered one by one: some million bytes. If there are more, all that has moved since the first letter is
/// read again instead.
const ORDERS_MAX: usize = 50_000;

/// What is to be read once more, however far the log was followed.
#[derive(Debug)]
pub(super) struct Parked {
    /// Those that waited when someone looked.
    orders: BTreeSet<OrderId>,
    orders_max: usize,
    /// There were too many: none is remembered.
    are_too_many: bool,
    /// Where the first letter of each partition stands. An order that is decided on has a row there or above.
    since: BTreeMap<Partition, Offset>,
}

impl Default for Parked {
    fn default() -> Self {
        Self::new(ORDERS_MAX)
    }
}

impl Parked {
    const fn new(orders_max: usize) -> Self {
        Self { orders: BTreeSet::new(), orders_max, are_too_many: false, since: BTreeMap::new() }
    }

    /// Adds those that wait now. None is taken out: one that goes on meanwhile has moved.
    pub(super) async fn look(&mut self, letters: &dyn DeadLetters) -> Result<(), StoreError> {
        let filter = LetterFilter::undecided(None);
        let mut after = None;
        loop {
            let page = letters.letters(&filter, after, LETTERS).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.key());
            for DeadLetter { record, parks, .. } in &page {
                if let Some(order) = parks {
                    self.add(record.position, *order);
                }
            }
        }
    }

    fn add(&mut self, Position { partition, offset }: Position, order: OrderId) {
        let since = self.since.entry(partition).or_insert(offset);
        *since = offset.min(*since);
        if !self.are_too_many {
            self.orders.insert(order);
            self.are_too_many = self.orders.len() > self.orders_max;
        }
        if self.are_too_many {
            self.orders.clear();
        }
    }

    /// Those that are to be read again, one by one.
    pub(super) fn orders(&self) -> Vec<OrderId> {
        self.orders.iter().copied().collect()
    }

    /// From where a partition is to be read that was followed up to there.
    pub(super) fn from(&self, partition: Partition, followed: Offset) -> Offset {
        let since = self.since.get(&partition).filter(|_| self.are_too_many);
        since.map_or(followed, |since| followed.min(*since))
    }
}

#[cfg(test)]
mod tests {
    use testkit::sample::order_id;

    use super::*;

    fn at(partition: u32, offset: i64) -> Position {
        Position { partition: Partition(partition), offset: Offset(offset) }
    }

    #[test]
    fn few_are_remembered_and_many_are_read_from_the_first_letter_on() {
        let mut parked = Parked::new(2);
        parked.add(at(0, 70), order_id(1));
        parked.add(at(0, 30), order_id(1));
        parked.add(at(1, 50), order_id(2));
        assert_eq!(parked.orders(), [order_id(1), order_id(2)]);
        assert_eq!(parked.from(Partition(0), Offset(100)), Offset(100));

        parked.add(at(1, 60), order_id(3));
        parked.add(at(1, 65), order_id(1));
        assert_eq!(parked.orders(), []);
        // The first letter counts even if it was decided on before there were too many.
        assert_eq!(parked.from(Partition(0), Offset(100)), Offset(30));
        assert_eq!(parked.from(Partition(1), Offset(100)), Offset(50));
        assert_eq!(parked.from(Partition(1), Offset(40)), Offset(40));
        assert_eq!(parked.from(Partition(2), Offset(100)), Offset(100));
    }
}
