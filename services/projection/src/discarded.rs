//! What someone discarded: the letter that is stored counts, whatever a later program could make of its record.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use ports::{Consumer, DeadLetter, DeadLetterReason, LetterStatus, LogRecord, Position};

use crate::read::filed_under;

/// Letters that were discarded, or are about to be, by the places of their records. It keeps no bytes: the log has them.
#[derive(Debug, Default)]
pub struct Discarded(HashMap<Position, Kept>);

/// What a letter says beside its record.
#[derive(Debug)]
struct Kept {
    reason: DeadLetterReason,
    detail: String,
    at: DateTime<Utc>,
    status: LetterStatus,
}

impl Discarded {
    /// Heeds a letter, if it was discarded or is about to be.
    pub fn heed(&mut self, letter: DeadLetter) {
        let DeadLetter { record, reason, detail, at, status, .. } = letter;
        if status.is_without_record() {
            self.0.insert(record.position, Kept { reason, detail, at, status });
        }
    }

    /// Forgets those of records that are done with.
    pub fn forget(&mut self, is_done: impl Fn(Position) -> bool) {
        self.0.retain(|position, _| !is_done(*position));
    }

    /// The letter of a record of a topic of `partitions` partitions, as it was kept before.
    pub(crate) fn letter(
        &self,
        record: LogRecord,
        partitions: u32,
    ) -> Result<Box<DeadLetter>, LogRecord> {
        let Some(kept) = self.0.get(&record.position) else { return Err(record) };
        Ok(Box::new(DeadLetter {
            consumer: Consumer::Projector,
            parks: filed_under(&record, partitions),
            record,
            reason: kept.reason,
            detail: kept.detail.clone(),
            at: kept.at,
            status: kept.status,
        }))
    }
}
