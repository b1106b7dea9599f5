//! The chain over the records of a partition, computed from the log once more, and what is stored of it.
//!
//! Whoever changes a record in the log, and alike what was made of it, changes every head after it; the heads that are
//! stored were computed when the record was first folded.

use events::Digest;
use ports::{Checkpoint, Offset, OrderStore, Partition, Position, Progress, StoreError};

use super::{
    difference::{Difference, nothing},
    findings::Findings,
};

/// Where checkpoints are: at multiples of it.
const APART: i64 = 10_000;
/// Checkpoints read at once.
const PAGE: usize = 1_000;

/// A place that was passed.
struct Passed {
    next: Offset,
    head: Digest,
    /// The record right before it is there: a projection can't have come past it without a stop.
    must_be: bool,
}

/// A chain on its way.
pub(super) struct Chain {
    partition: Partition,
    next: Offset,
    head: Digest,
    passed: Vec<Passed>,
}

impl Chain {
    pub(super) const fn new(partition: Partition) -> Self {
        Self { partition, next: Offset::START, head: Digest::ZERO, passed: Vec::new() }
    }

    /// Adds a record by its digest.
    pub(super) fn add(&mut self, offset: Offset, record: Digest) {
        let place = Offset(offset.0 - offset.0.rem_euclid(APART));
        if place >= self.next && place > Offset::START {
            let must_be = place == self.next;
            self.passed.push(Passed { next: place, head: self.head, must_be });
        }
        self.head = self.head.chain(record);
        self.next = offset.next();
    }

    /// Compares with every stored checkpoint below `until`, up to where records were added, and with the stored head if
    /// that is the one at `until`. Of what is wrong only the first is named: the rest follows from it.
    pub(super) async fn compare(
        &mut self,
        store: &dyn OrderStore,
        stored: Option<Progress>,
        until: Offset,
        found: &mut Findings<'_, '_>,
    ) -> Result<(), StoreError> {
        let stored = stored.filter(|progress| progress.next == until);
        let mut passed = std::mem::take(&mut self.passed).into_iter().peekable();
        let mut good = Offset::START;
        let mut wrong: Option<(Offset, Checkpoint, Digest)> = None;
        let mut right_again = stored.is_some_and(|progress| progress.digest == self.head);
        let mut after = Offset::START;
        'pages: loop {
            let page = store.checkpoints(self.partition, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.next;
            for checkpoint in page {
                if checkpoint.next >= until {
                    break 'pages;
                }
                while let Some(missing) = passed.next_if(|passed| passed.next < checkpoint.next) {
                    self.missing(&missing, found);
                }
                match passed.next_if(|passed| passed.next == checkpoint.next) {
                    None => {
                        let stored = checkpoint.digest.to_string();
                        found.differs(self.of(checkpoint.next, "checkpoint", stored, nothing()));
                    }
                    Some(passed) if passed.head == checkpoint.digest => {
                        right_again |= wrong.is_some();
                        if wrong.is_none() {
                            good = passed.next;
                        }
                    }
                    Some(passed) => {
                        wrong.get_or_insert((good, checkpoint, passed.head));
                    }
                }
            }
        }
        for missing in passed {
            self.missing(&missing, found);
        }
        if let Some((good, checkpoint, head)) = wrong {
            let why = if right_again {
                "the checkpoint itself was changed, for what is stored after it is right".to_owned()
            } else {
                changed_between(good, checkpoint.next)
            };
            let (stored, expected) = (checkpoint.digest.to_string(), format!("{head}: {why}"));
            found.differs(self.of(checkpoint.next, "checkpoint", stored, expected));
        } else if let Some(progress) = stored.filter(|_| !right_again) {
            let expected = format!("{}: {}", self.head, changed_between(good, until));
            let stored = progress.digest.to_string();
            found.differs(self.of(until, "progress.digest", stored, expected));
        }
        Ok(())
    }

    fn missing(&self, passed: &Passed, found: &mut Findings<'_, '_>) {
        if passed.must_be {
            let expected = passed.head.to_string();
            found.differs(self.of(passed.next, "checkpoint", nothing(), expected));
        }
    }

    const fn of(
        &self,
        offset: Offset,
        field: &'static str,
        stored: String,
        expected: String,
    ) -> Difference {
        let position = Some(Position { partition: self.partition, offset });
        Difference { order_id: None, position, field, stored, expected }
    }
}

fn changed_between(good: Offset, wrong: Offset) -> String {
    format!(
        "a record from {good} on and below {wrong} was changed, added, removed or moved after it was folded"
    )
}
