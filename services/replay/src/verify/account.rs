//! What must be stored of one record: its row in the history, or a dead letter.

use std::collections::BTreeMap;

use chrono::SubsecRound as _;
use events::{Event, Order, OrderId, Outcome, Rejection, fold};
use ports::{
    DeadLetter, HistoryOutcome, HistoryRow, LogRecord, Offset, Partition, Position, StoreError,
    partition_for_key,
};

use super::{
    Findings, Ledger, PAGE,
    difference::{Difference, bytes, nothing},
};

/// Orders as the log says, each with the position of the last record that counted.
pub(super) type Orders = BTreeMap<OrderId, (Order, Position)>;

/// Folds a record in, and says what its row must be; `None` if it is no event of an order that lives there.
pub(super) fn expected(
    record: &LogRecord,
    partitions: u32,
    orders: &mut Orders,
) -> Option<HistoryRow> {
    let value = record.value.as_ref()?;
    let event = codec::decode_event(value).ok()?;
    let key = event.order_id.to_string();
    if record.key.as_deref() != Some(key.as_bytes())
        || partition_for_key(key.as_bytes(), partitions) != record.position.partition
    {
        return None;
    }
    let (before, last) = orders.remove(&event.order_id).unzip();
    let version = before.as_ref().map(|order| order.version);
    let folded = fold(before, &event);
    let moved = folded.order.as_ref().map(|order| order.version) != version;
    let state = folded.order.as_ref().map(|order| order.state);
    let outcome = match (folded.outcome, state) {
        (Outcome::Applied { from, to }, _) => HistoryOutcome::Applied { from, to },
        (Outcome::Duplicate, Some(state)) => HistoryOutcome::Duplicate { state },
        (Outcome::Rejected(reason), state) => {
            HistoryOutcome::Rejected { reason, state, recorded: moved }
        }
        // Only of an order that exists is an event a repeat.
        (Outcome::Duplicate, None) => HistoryOutcome::Rejected {
            reason: Rejection::UnknownOrder,
            state: None,
            recorded: false,
        },
    };
    let row = row(record.position, &event, folded.order.as_ref(), outcome, value.clone());
    if let Some(order) = folded.order {
        let position = last.filter(|_| !moved).unwrap_or(record.position);
        orders.insert(order.id, (order, position));
    }
    Some(row)
}

fn row(
    position: Position,
    event: &Event,
    order: Option<&Order>,
    outcome: HistoryOutcome,
    record: bytes::Bytes,
) -> HistoryRow {
    HistoryRow {
        order_id: event.order_id,
        position,
        version: order.map_or(0, |order| order.version.get()),
        event_id: event.id,
        kind: event.body.kind(),
        outcome,
        occurred_at: event.occurred_at,
        actor: event.actor.as_ref().map(ToString::to_string),
        event: record,
    }
}

/// What is stored of some records of a partition, whatever the log says of them.
pub(super) struct Accounts {
    rows: BTreeMap<Offset, HistoryRow>,
    letters: BTreeMap<Offset, DeadLetter>,
}

impl Accounts {
    /// Of every offset from `from` on and below `until`.
    pub(super) async fn load(
        ledger: Ledger<'_>,
        partition: Partition,
        from: Offset,
        until: Offset,
    ) -> Result<Self, StoreError> {
        let mut accounts = Self { rows: BTreeMap::new(), letters: BTreeMap::new() };
        let mut next = from;
        loop {
            let page = ledger.store.rows(partition, next, until, PAGE).await?;
            let Some(last) = page.last() else { break };
            next = last.position.offset.next();
            accounts.rows.extend(page.into_iter().map(|row| (row.position.offset, row)));
        }
        let mut next = from;
        loop {
            let page = ledger.dead_letters.unfolded(partition, next, until, PAGE).await?;
            let Some(last) = page.last() else { break };
            next = last.record.position.offset.next();
            let letters = page.into_iter();
            accounts.letters.extend(letters.map(|letter| (letter.record.position.offset, letter)));
        }
        Ok(accounts)
    }

    /// Compares what is stored of a record with its row, or with the record itself if it must be a dead letter.
    pub(super) fn compare(
        &mut self,
        record: &LogRecord,
        expected: Option<&HistoryRow>,
        found: &mut Findings<'_>,
    ) {
        let offset = record.position.offset;
        let (row, letter) = (self.rows.remove(&offset), self.letters.remove(&offset));
        match (expected, row) {
            (Some(expected), Some(row)) => fields(&row, expected, found),
            (Some(expected), None) => {
                let expected = outcome(&expected.outcome, expected.order_id);
                found.differs(of_record(record.position, "row", nothing(), expected));
            }
            (None, Some(row)) => {
                let stored = outcome(&row.outcome, row.order_id);
                found.differs(of_record(
                    record.position,
                    "row",
                    stored,
                    "a dead letter".to_owned(),
                ));
            }
            (None, None) => {}
        }
        match (expected.is_none(), letter) {
            (true, Some(letter)) => {
                let fields = [
                    ("dead_letter.key", &letter.record.key, &record.key),
                    ("dead_letter.value", &letter.record.value, &record.value),
                ];
                for (field, stored, expected) in fields {
                    if stored != expected {
                        let told = |part: &Option<bytes::Bytes>| {
                            part.as_deref().map_or_else(nothing, bytes)
                        };
                        let (stored, expected) = (told(stored), told(expected));
                        found.differs(of_record(record.position, field, stored, expected));
                    }
                }
            }
            (true, None) => {
                let expected = "one: the record can't be folded".to_owned();
                found.differs(of_record(record.position, "dead_letter", nothing(), expected));
            }
            (false, Some(letter)) => {
                let stored = letter.reason.name().to_owned();
                found.differs(of_record(record.position, "dead_letter", stored, nothing()));
            }
            (false, None) => {}
        }
    }

    /// What is left is stored of records that the log does not have.
    pub(super) fn rest(self, found: &mut Findings<'_>) {
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

/// Every field of a row that is not as it must be.
fn fields(stored: &HistoryRow, expected: &HistoryRow, found: &mut Findings<'_>) {
    let mut compare = |field, stored: String, expected_text: String| {
        if stored != expected_text {
            let of_record = of_record(expected.position, field, stored, expected_text);
            found.differs(Difference { order_id: Some(expected.order_id), ..of_record });
        }
    };
    compare("row.order_id", stored.order_id.to_string(), expected.order_id.to_string());
    compare("row.version", stored.version.to_string(), expected.version.to_string());
    compare("row.event_id", stored.event_id.to_string(), expected.event_id.to_string());
    compare("row.event", stored.kind.to_string(), expected.kind.to_string());
    compare("row.outcome", format!("{:?}", stored.outcome), format!("{:?}", expected.outcome));
    // The stores keep microseconds.
    let instant = |row: &HistoryRow| row.occurred_at.trunc_subsecs(6).to_rfc3339();
    compare("row.occurred_at", instant(stored), instant(expected));
    let actor = |row: &HistoryRow| row.actor.clone().unwrap_or_else(nothing);
    compare("row.actor", actor(stored), actor(expected));
    if stored.event != expected.event {
        compare("row.record", bytes(&stored.event), bytes(&expected.event));
    }
}

fn outcome(outcome: &HistoryOutcome, order: OrderId) -> String {
    format!("{} of order {order}", outcome.name())
}
