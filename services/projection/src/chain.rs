//! The chain over the records of a partition, in the order of the log, and the checkpoints on it.

use codec::record_digest;
use events::Digest;
use ports::{Checkpoint, LogRecord, Offset, Partition};

/// Checkpoints are at multiples of this offset, whatever batches the records come in.
pub const RECORDS_PER_CHECKPOINT: i64 = 10_000;

/// A partition's chain as it grows.
#[derive(Clone, Copy, Debug)]
pub struct Chain {
    partition: Partition,
    next: Offset,
    digest: Digest,
}

impl Chain {
    /// Goes on from a head over everything below `next`; from [`Digest::ZERO`] at the start.
    #[must_use]
    pub const fn at(partition: Partition, next: Offset, digest: Digest) -> Self {
        Self { partition, next, digest }
    }

    /// The head.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Adds a record. The checkpoint that was passed on the way to it, if one was.
    pub fn add(&mut self, record: &LogRecord) -> Option<Checkpoint> {
        let Self { partition, next, digest } = *self;
        let offset = record.position.offset;
        self.digest = digest.chain(record_digest(record));
        self.next = offset.next();
        let place = Offset(offset.0 - offset.0.rem_euclid(RECORDS_PER_CHECKPOINT));
        (place >= next && place > Offset::START).then_some(Checkpoint {
            partition,
            next: place,
            digest,
        })
    }
}

#[cfg(test)]
mod tests {
    use ports::Position;

    use super::*;

    fn record(offset: i64) -> LogRecord {
        let position = Position { partition: Partition(2), offset: Offset(offset) };
        LogRecord { position, appended_at: None, key: None, value: None, headers: Vec::new() }
    }

    #[test]
    fn checkpoints_are_where_the_offsets_say() {
        let mut chain = Chain::at(Partition(2), Offset::START, Digest::ZERO);
        let mut passed = Vec::new();
        // The log skips what would be the first record after the second checkpoint.
        for offset in (0..25_000).filter(|offset| !(19_995..20_003).contains(offset)) {
            passed.extend(chain.add(&record(offset)).map(|checkpoint| checkpoint.next.0));
        }
        assert_eq!(passed, [10_000, 20_000]);
    }

    #[test]
    fn batches_do_not_matter() {
        let mut whole = Chain::at(Partition(2), Offset::START, Digest::ZERO);
        let mut parts = whole;
        for offset in 0..10_002 {
            let of_whole = whole.add(&record(offset));
            parts = Chain::at(Partition(2), Offset(offset), parts.digest());
            assert_eq!(parts.add(&record(offset)), of_whole);
        }
    }
}
