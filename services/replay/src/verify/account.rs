//! What is stored of each record: its row in the history, or a dead letter; and where that is not as it must be.

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::{DateTime, SubsecRound as _, Utc};
use events::OrderId;
use ports::{
    DeadLetter, HistoryOutcome, HistoryRow, LetterStatus, LogRecord, Offset, Partition, Position,
    StoreError,
};

use super::{
    Ledger,
    difference::{Difference, bytes, nothing},
    findings::Findings,
};

/// What is stored of some records of a partition, whatever the log says of them.
pub(super) struct Accounts {
    rows: BTreeMap<Offset, HistoryRow>,
    letters: BTreeMap<Offset, DeadLetter>,
}

/// What the row of an event is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// It has the event that the log has.
    Believed,
    /// It has, but what became of the event depends on a letter that may have been decided on a moment ago.
    Undecided,
    /// It is missing, or of another event.
    Wrong,
}

impl Accounts {
    /// Of every offset from `from` on and below `until`, `page` at a time.
    pub(super) async fn load(
        ledger: Ledger<'_>,
        partition: Partition,
        from: Offset,
        until: Offset,
        page: usize,
    ) -> Result<Self, StoreError> {
        let mut accounts = Self { rows: BTreeMap::new(), letters: BTreeMap::new() };
        let mut next = from;
        while next < until {
            let rows = ledger.store.rows(partition, next, until, page).await?;
            next = match rows.last() {
                Some(last) if rows.len() >= page => last.position.offset.next(),
                Some(_) | None => until,
            };
            accounts.rows.extend(rows.into_iter().map(|row| (row.position.offset, row)));
        }
        let mut next = from;
        while next < until {
            let letters = ledger.dead_letters.unfolded(partition, next, until, page).await?;
            next = match letters.last() {
                Some(last) if letters.len() >= page => last.record.position.offset.next(),
                Some(_) | None => until,
            };
            let letters = letters.into_iter();
            accounts.letters.extend(letters.map(|letter| (letter.record.position.offset, letter)));
        }
        Ok(accounts)
    }

    /// Whether the letter that is stored of a record is the account of it, whatever the record says by now: someone discarded
    /// it, and that holds.
    pub(super) fn is_discarded(&self, offset: Offset) -> bool {
        self.letters.get(&offset).is_some_and(|letter| letter.status.is_without_record())
    }

    /// Compares what is stored of a record with the row that it must have. What became of the event is left open if a
    /// letter of its `order_waits`, or did.
    pub(super) fn event(
        &mut self,
        expected: &HistoryRow,
        order_waits: bool,
        found: &mut Findings<'_, '_>,
    ) -> Worth {
        let offset = expected.position.offset;
        let row = self.rows.remove(&offset);
        let worth = match row {
            Some(row) => {
                let same = row.version == expected.version && row.outcome == expected.outcome;
                if !order_waits {
                    became(&row, expected.version, expected.outcome, found);
                }
                said(&row, expected, found);
                if row.order_id != expected.order_id || row.event != expected.event {
                    Worth::Wrong
                } else if order_waits && !same {
                    Worth::Undecided
                } else {
                    Worth::Believed
                }
            }
            None => {
                let expected_text = outcome(&expected.outcome, expected.order_id);
                found.differs(of_record(expected.position, "row", nothing(), expected_text));
                Worth::Wrong
            }
        };
        if let Some(letter) = self.letters.remove(&offset) {
            let stored = letter.reason.name().to_owned();
            found.differs(of_record(expected.position, "dead_letter", stored, nothing()));
        }
        worth
    }

    /// Compares what is stored of a record that must be a dead letter, and says whether someone discarded it.
    pub(super) fn unreadable(
        &mut self,
        record: &LogRecord,
        parks: Option<OrderId>,
        found: &mut Findings<'_, '_>,
    ) -> bool {
        let position = record.position;
        if let Some(row) = self.rows.remove(&position.offset) {
            let stored = outcome(&row.outcome, row.order_id);
            found.differs(of_record(position, "row", stored, "a dead letter".to_owned()));
        }
        let Some(letter) = self.letters.remove(&position.offset) else {
            let expected = "one: the record can't be folded".to_owned();
            found.differs(of_record(position, "dead_letter", nothing(), expected));
            return false;
        };
        let told = |part: &Option<Bytes>| part.as_deref().map_or_else(nothing, bytes);
        for (field, stored, expected) in [
            ("dead_letter.key", &letter.record.key, &record.key),
            ("dead_letter.value", &letter.record.value, &record.value),
        ] {
            if stored != expected {
                found.differs(of_record(position, field, told(stored), told(expected)));
            }
        }
        if letter.parks != parks {
            let told = |order: Option<OrderId>| order.map_or_else(nothing, |id| id.to_string());
            let (stored, expected) = (told(letter.parks), told(parks));
            found.differs(of_record(position, "dead_letter.parks", stored, expected));
        }
        letter.status == LetterStatus::Discarded
    }

    /// What is left is stored of records that the log does not have. Gives the places of such rows.
    pub(super) fn rest(self, found: &mut Findings<'_, '_>) -> Vec<Offset> {
        let places = self.rows.keys().copied().collect();
        for row in self.rows.into_values() {
            let stored = outcome(&row.outcome, row.order_id);
            let row = of_record(row.position, "row", stored, "no such record".to_owned());
            found.differs(row);
        }
        for letter in self.letters.into_values() {
            let (position, stored) = (letter.record.position, letter.reason.name().to_owned());
            let none = "no such record".to_owned();
            found.differs(of_record(position, "dead_letter", stored, none));
        }
        places
    }
}

fn of_record(
    position: Position,
    field: &'static str,
    stored: String,
    expected: String,
) -> Difference {
    Difference { order_id: None, position: Some(position), field, stored, expected }
}

/// Where a row says otherwise what became of its event.
pub(super) fn became(
    stored: &HistoryRow,
    version: u64,
    outcome: HistoryOutcome,
    found: &mut Findings<'_, '_>,
) {
    for difference in became_otherwise(stored, version, outcome) {
        found.differs(difference);
    }
}

/// The same, as differences.
pub(super) fn became_otherwise(
    stored: &HistoryRow,
    version: u64,
    outcome: HistoryOutcome,
) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut differs = |field, stored_text: String, expected: String| {
        let difference = of_record(stored.position, field, stored_text, expected);
        differences.push(Difference { order_id: Some(stored.order_id), ..difference });
    };
    if stored.version != version {
        differs("row.version", stored.version.to_string(), version.to_string());
    }
    if stored.outcome != outcome {
        differs("row.outcome", format!("{:?}", stored.outcome), format!("{outcome:?}"));
    }
    differences
}

/// Where a row says otherwise what the event is. Texts are made of what differs alone: nearly nothing does.
fn said(stored: &HistoryRow, expected: &HistoryRow, found: &mut Findings<'_, '_>) {
    let mut differs = |field, stored: String, expected_text: String| {
        let difference = of_record(expected.position, field, stored, expected_text);
        found.differs(Difference { order_id: Some(expected.order_id), ..difference });
    };
    if stored.order_id != expected.order_id {
        differs("row.order_id", stored.order_id.to_string(), expected.order_id.to_string());
    }
    if stored.event_id != expected.event_id {
        differs("row.event_id", stored.event_id.to_string(), expected.event_id.to_string());
    }
    if stored.kind != expected.kind {
        differs("row.event", stored.kind.to_string(), expected.kind.to_string());
    }
    // The stores keep microseconds.
    let instant = |row: &HistoryRow| -> DateTime<Utc> { row.occurred_at.trunc_subsecs(6) };
    if instant(stored) != instant(expected) {
        let (stored, expected) = (instant(stored).to_rfc3339(), instant(expected).to_rfc3339());
        differs("row.occurred_at", stored, expected);
    }
    if stored.actor != expected.actor {
        let actor = |row: &HistoryRow| row.actor.clone().unwrap_or_else(nothing);
        differs("row.actor", actor(stored), actor(expected));
    }
    if stored.event != expected.event {
        differs("row.record", bytes(&stored.event), bytes(&expected.event));
    }
}

fn outcome(outcome: &HistoryOutcome, order: OrderId) -> String {
    format!("{} of order {order}", outcome.name())
}
