//! The stream of transitions: what every recorded event must have left there.
//!
//! Found by id, a thousand at a time, as the log is read. What becomes of the events of an order with dead letters may be
//! decided on meanwhile: these are looked at when the log is read.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use codec::{StateChange, StateChangeOutcome};
use events::{Event, Order, OrderId};
use ports::{HistoryOutcome, LogRecord, Offset, Position, TransitionDocument, TransitionKey};
use serde_json::Value;

use super::{
    VerifyError,
    difference::{Difference, nothing},
    findings::Findings,
    partition::{PAGE, PartitionCheck},
    reach,
    refold::ROWS,
};

/// Orders with dead letters that are looked at at once.
const ORDERS: usize = 100;

/// What must be in the stream.
pub(super) struct Expected {
    key: TransitionKey,
    position: Position,
    /// When its event was logged, if the log knows.
    logged_at: Option<DateTime<Utc>>,
    document: Box<TransitionDocument>,
    /// Whether the trace of the document is that of the event.
    is_traced: bool,
}

/// One event, as it was folded.
pub(super) struct Folded<'a> {
    pub(super) event: &'a Event,
    pub(super) outcome: HistoryOutcome,
    /// When the order had come into its state before it.
    pub(super) entered_at_before: Option<DateTime<Utc>>,
    pub(super) position: Position,
    /// The event as logged, where that is at hand.
    pub(super) record: Option<&'a LogRecord>,
}

impl Folded<'_> {
    /// What is expected of it, beside the order after it; nothing if it was not recorded.
    pub(super) fn expected(self, order: Order) -> (Order, Option<Expected>) {
        let Self { event, outcome, entered_at_before, position, record } = self;
        let outcome = match outcome {
            HistoryOutcome::Applied { from, .. } => StateChangeOutcome::Applied { from },
            HistoryOutcome::Rejected { reason, recorded: true, .. } => {
                StateChangeOutcome::Rejected(reason)
            }
            HistoryOutcome::Rejected { .. }
            | HistoryOutcome::Duplicate { .. }
            | HistoryOutcome::Parked { .. } => return (order, None),
        };
        let change = StateChange {
            event_id: event.id,
            kind: event.body.kind(),
            outcome,
            actor: event.actor.as_ref().map_or_else(String::new, ToString::to_string),
            from_entered_at: entered_at_before,
            occurred_at: event.occurred_at,
            position,
            order,
        };
        // When it was read does not follow from the log, and is not compared.
        let document = codec::transition(&change, record, change.occurred_at);
        let order = change.order;
        let key = TransitionKey { order_id: order.id, version: order.version.get() };
        let logged_at = record.and_then(|record| record.appended_at);
        let (document, is_traced) = (Box::new(document), record.is_some());
        (order, Some(Expected { key, position, logged_at, document, is_traced }))
    }
}

impl PartitionCheck<'_> {
    /// Whether the transitions of an order are compared.
    pub(super) fn is_streamed(&self, order: OrderId) -> bool {
        self.ledger.transitions.is_some_and(|(_, share)| self.is_of(share, order))
    }

    /// Notes what an event must have left, if the role `search` has come there.
    pub(super) fn expect(
        &mut self,
        expected: Expected,
        reached: Offset,
        found: &mut Findings<'_, '_>,
    ) {
        if expected.position.offset < reached {
            self.expected.push(expected);
        } else {
            found.counted.transitions_behind += 1;
        }
    }

    /// Compares what was noted, once it is worth a request.
    pub(super) async fn transitions_so_far(
        &mut self,
        found: &mut Findings<'_, '_>,
    ) -> Result<(), VerifyError> {
        if self.expected.len() >= PAGE { self.compare_transitions(found).await } else { Ok(()) }
    }

    /// Compares the rest, and what the orders with dead letters have left.
    pub(super) async fn transitions(
        &mut self,
        found: &mut Findings<'_, '_>,
    ) -> Result<(), VerifyError> {
        self.compare_transitions(found).await?;
        let orders: Vec<_> =
            self.letters.keys().copied().filter(|id| self.is_streamed(*id)).collect();
        for orders in orders.chunks(ORDERS) {
            let mut expected = Vec::new();
            for order in orders {
                expected.extend(self.after_letters(*order).await?);
            }
            // After the rows: whoever decided has taken back by then how far changes are announced.
            let (log, store) = (self.ledger.log, self.ledger.store);
            let progress = store.progress(&[self.partition]).await?;
            let reached = reach::reached(log, &progress).await?;
            if let Some((stream, _)) = self.ledger.transitions {
                stream.refresh().await?;
            }
            let reached = reached.get(&self.partition).copied().unwrap_or(Offset::START);
            for expected in expected {
                self.expect(expected, reached, found);
            }
            self.compare_transitions(found).await?;
        }
        Ok(())
    }

    /// What the events of an order after its first dead letter must have left, as far as the log is read.
    async fn after_letters(&self, order: OrderId) -> Result<Vec<Expected>, VerifyError> {
        let first = self.letters.get(&order).and_then(|letters| letters.first()).copied();
        let parked = self.first_letter(order).await?;
        let beginning = self.ledger.store.history_page(order, None, ROWS).await?;
        let refolded = self.refold(order, beginning, parked, true).await?;
        let mut expected = refolded.transitions;
        expected.retain(|one| first.is_some_and(|first| one.position.offset > first));
        for one in &mut expected {
            one.logged_at = self.logged.get(&one.position.offset).copied();
        }
        Ok(expected)
    }

    async fn compare_transitions(
        &mut self,
        found: &mut Findings<'_, '_>,
    ) -> Result<(), VerifyError> {
        let expected = std::mem::take(&mut self.expected);
        let Some((stream, _)) = self.ledger.transitions else { return Ok(()) };
        for page in expected.chunks(PAGE) {
            let keys: Vec<_> = page.iter().map(|expected| expected.key).collect();
            let mut kept: HashMap<_, Vec<Value>> = HashMap::with_capacity(keys.len());
            for (key, document) in stream.find(&keys).await? {
                kept.entry(key).or_default().push(document);
            }
            // Asked last: what was deleted meanwhile is older than that. An event of no known time may be, too.
            let whole_since = match page.iter().all(|expected| kept.contains_key(&expected.key)) {
                true => None,
                false => Some(stream.whole_since().await?),
            };
            for expected in page {
                let kept = kept.get(&expected.key).map_or(&[][..], Vec::as_slice);
                let must_be = expected.logged_at >= whole_since;
                if kept.is_empty() && !must_be {
                    found.counted.transitions_before += 1;
                } else {
                    found.counted.transitions += 1;
                    expected.compare(kept, found);
                }
            }
        }
        Ok(())
    }
}

/// Fields that follow from the log, by name.
const FIELDS: [&str; 22] = [
    "transition.@timestamp",
    "transition.event.kind",
    "transition.event.action",
    "transition.event.outcome",
    "transition.event.id",
    "transition.event.dataset",
    "transition.service.name",
    "transition.trace.id",
    "transition.order_id",
    "transition.version",
    "transition.from",
    "transition.to",
    "transition.seconds_in_from",
    "transition.rejection",
    "transition.actor",
    "transition.currency",
    "transition.total_minor",
    "transition.region",
    "transition.payment.gateway",
    "transition.payment.card_brand",
    "transition.payment.bank",
    "transition.load_test_type",
];

/// Fields that say when it was read, and by which program.
const NOT_COMPARED: [&str; 3] = ["event.created", "lag_seconds", "service.version"];

/// Where its trace stands. What was told again, or made of the history, is in none.
const TRACE: &str = "trace.id";

impl Expected {
    fn compare(&self, kept: &[Value], found: &mut Findings<'_, '_>) {
        let mut differs = |field, stored, expected| {
            let (order_id, position) = (Some(self.key.order_id), Some(self.position));
            found.differs(Difference { order_id, position, field, stored, expected });
        };
        let version = self.key.version;
        match kept {
            [] => {
                let expected = format!("version {version}, {}", self.document.event.action);
                differs("transition", nothing(), expected);
            }
            [_] => {}
            more => {
                let stored = format!("{} of version {version}", more.len());
                differs("transition", stored, "one of it".to_owned());
            }
        }
        if kept.is_empty() {
            return;
        }
        let expected = serde_json::to_value(&self.document).unwrap_or(Value::Null);
        let expected = leaves(&expected);
        for stored in kept {
            let stored = leaves(stored);
            let mut names: Vec<&String> = stored.keys().chain(expected.keys()).collect();
            names.sort_unstable();
            names.dedup();
            for name in names {
                let (stored, expected) = (stored.get(name).copied(), expected.get(name).copied());
                if stored != expected && self.is_compared(name, stored.is_some()) {
                    let (field, stored, expected) = told(name, stored, expected);
                    differs(field, stored, expected);
                }
            }
        }
    }

    fn is_compared(&self, name: &str, is_stored: bool) -> bool {
        if name == TRACE {
            return is_stored && self.is_traced;
        }
        !NOT_COMPARED.contains(&name)
    }
}

/// The fields of a document that say something, those of objects in it by their paths.
fn leaves(document: &Value) -> BTreeMap<String, &Value> {
    let mut leaves = BTreeMap::new();
    let mut left = vec![(String::new(), document)];
    while let Some((path, value)) = left.pop() {
        match value {
            Value::Null => {}
            Value::Object(fields) => left.extend(fields.iter().map(|(name, value)| {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                (path, value)
            })),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                leaves.insert(path, value);
            }
        }
    }
    leaves
}

/// A field that differs, its name and both values. One that no transition has is told by its own name.
fn told(
    name: &str,
    stored: Option<&Value>,
    expected: Option<&Value>,
) -> (&'static str, String, String) {
    let text = |value: Option<&Value>| value.map_or_else(nothing, Value::to_string);
    let known = FIELDS.iter().find(|field| field.strip_prefix("transition.") == Some(name));
    match known {
        Some(field) => (field, text(stored), text(expected)),
        None => ("transition", format!("{name}: {}", text(stored)), text(expected)),
    }
}

#[cfg(test)]
mod tests {
    use ports::TraceFields;
    use testkit::sample;

    use super::*;

    /// A field that is new is compared, or it is said that it is not.
    #[test]
    fn every_field_of_a_transition_is_named() {
        let mut all = sample::transitions(&sample::lifecycle(sample::order_id(1)));
        let mut document = all.remove(1);
        document.trace = Some(TraceFields { id: "a".repeat(32) });
        document.rejection = Some("StaleVersion");
        document.lag_seconds = Some(0.1);
        document.load_test_type = Some("soak".to_owned());
        let document = serde_json::to_value(&document).unwrap();
        let leaves = leaves(&document);
        let compared = FIELDS.iter().filter_map(|field| field.strip_prefix("transition."));
        let mut named: Vec<_> = compared.chain(NOT_COMPARED).collect();
        named.sort_unstable();
        assert_eq!(leaves.keys().map(String::as_str).collect::<Vec<_>>(), named);
    }
}
