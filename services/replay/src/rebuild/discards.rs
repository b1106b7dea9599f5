//! What was discarded, read beside the log: it holds for the generation that is built, whatever this program could make of the
//! records.

use std::sync::Arc;

use ports::{
    Consumer, DeadLetter, DeadLetters, LetterFilter, LetterKey, LetterStatus, LogRecord, Offset,
    Partition, Position, StoreError,
};
use projection::Discarded;

/// Letters read at once: each comes with its record, which may have a million bytes.
pub(super) const LETTERS: usize = 64;

/// The discarded letters of one partition, page by page as its log is read.
pub(super) struct Discards {
    letters: Arc<dyn DeadLetters>,
    partition: Partition,
    /// Every letter below is read.
    next: Offset,
    /// Those of records that are not done with.
    found: Discarded,
}

impl Discards {
    /// Of the records at `from` or above.
    pub(super) fn new(letters: Arc<dyn DeadLetters>, partition: Partition, from: Offset) -> Self {
        Self { letters, partition, next: from, found: Discarded::default() }
    }

    /// What was discarded of these records, which come after those that were asked for before.
    pub(super) async fn of(&mut self, records: &[LogRecord]) -> Result<&Discarded, StoreError> {
        let (Some(first), Some(last)) = (records.first(), records.last()) else {
            return Ok(&self.found);
        };
        let first = first.position;
        self.found.forget(|position| position.offset < first.offset);
        while self.next <= last.position.offset {
            let (from, end) = (self.next, Offset(i64::MAX));
            let page = self.letters.unfolded(self.partition, from, end, LETTERS).await?;
            let last = page.last().filter(|_| page.len() >= LETTERS);
            // What is discarded from here on is carried over by the cut, or found by `unheeded`.
            self.next = last.map_or(end, |last| last.record.position.offset.next());
            for letter in page {
                self.found.heed(letter);
            }
        }
        Ok(&self.found)
    }
}

/// A record that is discarded in the live generation and that another, which is as far, has no letter of: it was folded there
/// before anyone decided. With the projectors held still no more can become one.
pub(super) async fn unheeded(
    live: &dyn DeadLetters,
    other: &dyn DeadLetters,
) -> Result<Option<Position>, StoreError> {
    let discarded = vec![LetterStatus::Discarded, LetterStatus::Discard];
    let (mut discarded, mut kept) =
        (Letters::new(live, discarded), Letters::new(other, Vec::new()));
    let mut at = kept.next().await?;
    while let Some(position) = discarded.next().await? {
        while at.is_some_and(|at| at < position) {
            at = kept.next().await?;
        }
        if at != Some(position) {
            return Ok(Some(position));
        }
    }
    Ok(None)
}

/// Where the projector's letters stand, one after the other.
struct Letters<'a> {
    letters: &'a dyn DeadLetters,
    filter: LetterFilter,
    page: std::vec::IntoIter<LetterKey>,
    after: Option<LetterKey>,
    is_last: bool,
}

impl<'a> Letters<'a> {
    fn new(letters: &'a dyn DeadLetters, statuses: Vec<LetterStatus>) -> Self {
        let filter = LetterFilter { consumer: Some(Consumer::Projector), statuses, order: None };
        Self { letters, filter, page: Vec::new().into_iter(), after: None, is_last: false }
    }

    async fn next(&mut self) -> Result<Option<Position>, StoreError> {
        if self.page.len() == 0 && !self.is_last {
            let page = self.letters.letters(&self.filter, self.after, LETTERS).await?;
            self.is_last = page.len() < LETTERS;
            self.page = page.iter().map(DeadLetter::key).collect::<Vec<_>>().into_iter();
        }
        let next = self.page.next();
        self.after = next.or(self.after);
        Ok(next.map(|key| key.position))
    }
}
