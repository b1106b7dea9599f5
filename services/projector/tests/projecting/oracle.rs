//! What the log folds to, by the test's own reckoning.

use std::collections::{BTreeMap, BTreeSet};

use codec::{StateChange, StateChangeOutcome};
use events::{Event, Order, OrderId, Outcome, fold};
use ports::{HistoryOutcome, HistoryRow, LogRecord, NewRecord, Position, partition_for_key};

/// Everything that must be stored and announced of a log.
#[derive(Default)]
pub(crate) struct Expected {
    pub(crate) orders: BTreeMap<OrderId, (Order, Position)>,
    pub(crate) history: BTreeMap<OrderId, Vec<HistoryRow>>,
    /// Per order, the announcement of each version from 1.
    pub(crate) announcements: BTreeMap<OrderId, Vec<NewRecord>>,
    pub(crate) dead_letters: u64,
    /// Orders that wait.
    pub(crate) parked: BTreeSet<OrderId>,
}

impl Expected {
    /// Folds records, which come partition by partition, some of which someone discarded.
    pub(crate) fn of(
        records: &[LogRecord],
        partitions: u32,
        discarded: &BTreeSet<Position>,
    ) -> Self {
        let mut expected = Self::default();
        for record in records {
            match event_of(record, partitions) {
                Some(event) => expected.add(record, &event),
                None => {
                    expected.dead_letters += 1;
                    if !discarded.contains(&record.position) {
                        expected.parked.extend(filed_under(record, partitions));
                    }
                }
            }
        }
        expected
    }

    fn add(&mut self, record: &LogRecord, event: &Event) {
        let before = self.orders.get(&event.order_id).map(|(order, _)| order.clone());
        let version_before = before.as_ref().map(|order| order.version);
        if self.parked.contains(&event.order_id) {
            let state = before.as_ref().map(|order| order.state);
            self.row(record, event, before.as_ref(), HistoryOutcome::Parked { state });
            return;
        }
        let from_entered_at = before.as_ref().map(|order| order.entered_at);
        let folded = fold(before, event);
        let version = folded.order.as_ref().map(|order| order.version);
        let recorded = version != version_before;
        let state = folded.order.as_ref().map(|order| order.state);
        let outcome = match folded.outcome {
            Outcome::Applied { from, to } => HistoryOutcome::Applied { from, to },
            Outcome::Rejected(reason) => HistoryOutcome::Rejected { reason, state, recorded },
            Outcome::Duplicate => HistoryOutcome::Duplicate { state: state.unwrap() },
        };
        self.row(record, event, folded.order.as_ref(), outcome);
        let Some(order) = folded.order.filter(|_| recorded) else { return };
        let outcome = match folded.outcome {
            Outcome::Rejected(reason) => StateChangeOutcome::Rejected(reason),
            Outcome::Applied { from, .. } => StateChangeOutcome::Applied { from },
            Outcome::Duplicate => unreachable!("a duplicate is not recorded"),
        };
        let change = StateChange {
            event_id: event.id,
            kind: event.body.kind(),
            outcome,
            actor: event.actor.as_ref().map(ToString::to_string).unwrap_or_default(),
            from_entered_at,
            occurred_at: event.occurred_at,
            position: record.position,
            order: order.clone(),
        };
        let announcement = codec::state_change_record(&change);
        self.announcements.entry(order.id).or_default().push(announcement);
        self.orders.insert(order.id, (order, record.position));
    }

    fn row(
        &mut self,
        record: &LogRecord,
        event: &Event,
        order: Option<&Order>,
        outcome: HistoryOutcome,
    ) {
        self.history.entry(event.order_id).or_default().push(HistoryRow {
            order_id: event.order_id,
            position: record.position,
            version: order.map_or(0, |order| order.version.get()),
            event_id: event.id,
            kind: event.body.kind(),
            outcome,
            occurred_at: event.occurred_at,
            actor: event.actor.as_ref().map(ToString::to_string),
            event: record.value.clone().unwrap(),
        });
    }
}

/// The order that a record which can't be folded makes wait.
fn filed_under(record: &LogRecord, partitions: u32) -> Option<OrderId> {
    let key = std::str::from_utf8(record.key.as_deref()?).ok()?;
    let order: OrderId = key.parse().ok()?;
    let at_home = partition_for_key(key.as_bytes(), partitions) == record.position.partition;
    (at_home && order.to_string() == key).then_some(order)
}

/// The event, if the record holds one of an order that lives there.
fn event_of(record: &LogRecord, partitions: u32) -> Option<Event> {
    let event = codec::decode_event(record.value.as_deref()?).ok()?;
    let key = record.key.as_deref()?;
    let at_home = partition_for_key(key, partitions) == record.position.partition;
    (key == event.order_id.to_string().as_bytes() && at_home).then_some(event)
}

/// Fails unless each order's announcements are complete and in order: a version is told for the first time only after
/// all before it.
///
/// With `gaps`, an append failed in the middle: a later version may have been told before it. Then what is told last of
/// every version is in order, for all were told again.
pub(crate) fn check_announcements(told: &[LogRecord], expected: &Expected, gaps: bool) {
    let mut orders: BTreeMap<OrderId, Vec<usize>> = BTreeMap::new();
    for record in told {
        let change = codec::decode_state_change(record.value.as_deref().unwrap()).unwrap();
        let all = &expected.announcements[&change.order.id];
        let version = usize::try_from(change.order.version.get()).unwrap();
        let NewRecord { key, value, headers } = &all[version - 1];
        assert_eq!(record.key.as_ref(), Some(key));
        assert_eq!(record.value.as_ref(), Some(value), "version {version} was told otherwise");
        assert_eq!(&record.headers, headers);
        orders.entry(change.order.id).or_default().push(version);
    }
    for (order, all) in &expected.announcements {
        let versions = orders.remove(order).unwrap_or_default();
        let each = 1..=all.len();
        let heard = if gaps { last_of_each(&versions) } else { first_of_each(&versions) };
        assert_eq!(heard, each.collect::<Vec<_>>(), "order {order}: {versions:?}, gaps: {gaps}");
    }
}

fn first_of_each(versions: &[usize]) -> Vec<usize> {
    let mut first = Vec::new();
    for version in versions {
        if !first.contains(version) {
            first.push(*version);
        }
    }
    first
}

fn last_of_each(versions: &[usize]) -> Vec<usize> {
    let reversed: Vec<_> = versions.iter().rev().copied().collect();
    let mut last = first_of_each(&reversed);
    last.reverse();
    last
}
