//! One partition: read again, folded again, compared.

use std::collections::BTreeMap;

use events::OrderId;
use ports::{HistoryOutcome, Offset, OrderDocument, Partition, Position, StoredSnapshot, Topic};
use serde_json::Value;

use super::{
    Findings, Ledger, PAGE, Share, VerifyError,
    account::{Accounts, Orders, expected},
    difference::{Difference, nothing, snapshot},
};

/// A partition on its way through the log.
pub(super) struct PartitionCheck<'a> {
    ledger: Ledger<'a>,
    partition: Partition,
    /// How many the topic has.
    partitions: u32,
    /// Every record below is read.
    next: Offset,
    orders: Orders,
}

impl<'a> PartitionCheck<'a> {
    pub(super) const fn new(ledger: Ledger<'a>, partition: Partition, partitions: u32) -> Self {
        Self { ledger, partition, partitions, next: Offset::START, orders: Orders::new() }
    }

    /// Every record below is verified.
    pub(super) const fn next(&self) -> Offset {
        self.next
    }

    /// The orders that the log has here.
    pub(super) fn into_orders(self) -> impl Iterator<Item = OrderId> {
        self.orders.into_keys()
    }

    /// Reads on, and compares what is stored of each record.
    pub(super) async fn advance(
        &mut self,
        until: Offset,
        found: &mut Findings<'_>,
    ) -> Result<(), VerifyError> {
        let log = self.ledger.log;
        let mut reader = log.read(Topic::Events, self.partition, self.next, until).await?;
        loop {
            let records = reader.next().await?;
            let end = records.last().map_or(until, |last| last.position.offset.next());
            let mut accounts = Accounts::load(self.ledger, self.partition, self.next, end).await?;
            for record in &records {
                let row = expected(record, self.partitions, &mut self.orders);
                found.counted.records += 1;
                *match row.as_ref().map(|row| row.outcome) {
                    Some(HistoryOutcome::Applied { .. }) => &mut found.counted.applied,
                    Some(HistoryOutcome::Rejected { .. }) => &mut found.counted.rejected,
                    Some(HistoryOutcome::Duplicate { .. }) => &mut found.counted.duplicates,
                    Some(HistoryOutcome::Parked { .. }) => &mut found.counted.parked,
                    None => &mut found.counted.dead_letters,
                } += 1;
                accounts.compare(record, row.as_ref(), found);
            }
            accounts.rest(found);
            self.next = end;
            if records.is_empty() {
                return Ok(());
            }
        }
    }

    /// Compares every order with its snapshot.
    pub(super) async fn orders(&mut self, found: &mut Findings<'_>) -> Result<(), VerifyError> {
        let mut orders: Vec<_> = self.orders.keys().copied().collect();
        found.counted.orders += u64::try_from(orders.len()).unwrap_or(u64::MAX);
        // An order that moved meanwhile is looked at again; each moves a bounded number of times.
        while !orders.is_empty() {
            let moved = self.compare(&orders, found).await?;
            if moved.is_empty() {
                break;
            }
            // Whoever stored these had moved on by then.
            let folded = self.folded().await?;
            orders.clear();
            for (order_id, position) in moved {
                if position.offset < folded {
                    orders.push(order_id);
                } else {
                    let field = "snapshot.position";
                    let (stored, expected) =
                        (position.offset.to_string(), format!("below {folded}"));
                    let position = Some(position);
                    let order_id = Some(order_id);
                    found.differs(Difference { order_id, position, field, stored, expected });
                }
            }
            self.advance(folded, found).await?;
        }
        Ok(())
    }

    /// Compares; those whose snapshot is of a record that is not read yet are given back.
    async fn compare(
        &self,
        orders: &[OrderId],
        found: &mut Findings<'_>,
    ) -> Result<Vec<(OrderId, Position)>, VerifyError> {
        let mut moved = Vec::new();
        for page in orders.chunks(PAGE) {
            let stored = self.ledger.store.load(page).await?;
            let stored: BTreeMap<OrderId, StoredSnapshot> =
                stored.into_iter().map(|snapshot| (snapshot.order_id, snapshot)).collect();
            for order_id in page {
                let Some((order, position)) = self.orders.get(order_id) else { continue };
                let differs = |field, stored, expected| Difference {
                    order_id: Some(*order_id),
                    position: Some(*position),
                    field,
                    stored,
                    expected,
                };
                let Some(stored) = stored.get(order_id) else {
                    let expected = format!("an order at version {}", order.version);
                    found.differs(differs("snapshot", nothing(), expected));
                    continue;
                };
                if stored.position.partition == self.partition
                    && stored.position.offset >= self.next
                {
                    moved.push((*order_id, stored.position));
                    continue;
                }
                for (field, stored, expected) in snapshot(&stored.bytes, order) {
                    found.differs(differs(field, stored, expected));
                }
                if stored.position != *position {
                    let told = |at: &Position| format!("{}/{}", at.partition, at.offset);
                    let (stored, expected) = (told(&stored.position), told(position));
                    found.differs(differs("snapshot.position", stored, expected));
                }
            }
        }
        Ok(moved)
    }

    /// How far the store says it is.
    async fn folded(&self) -> Result<Offset, VerifyError> {
        let progress = self.ledger.store.progress(&[self.partition]).await?;
        Ok(progress.first().map_or(self.next, |progress| progress.next).max(self.next))
    }

    /// Compares the documents of the search index.
    pub(super) async fn documents(&self, found: &mut Findings<'_>) -> Result<(), VerifyError> {
        const FIRST: usize = 1_000;
        const ONE_IN: usize = 100;
        let Some((index, share)) = self.ledger.search else { return Ok(()) };
        let wanted = |n: usize| match share {
            Share::All => true,
            Share::Sample => n < FIRST || n.is_multiple_of(ONE_IN),
        };
        let orders: Vec<_> = self.orders.values().enumerate().filter(|(n, _)| wanted(*n)).collect();
        for page in orders.chunks(PAGE) {
            let ids: Vec<_> = page.iter().map(|(_, (order, _))| order.id).collect();
            let documents = index.documents(&ids).await?;
            for (_, (order, position)) in page {
                found.counted.documents += 1;
                let expected = serde_json::to_value(OrderDocument::from(order));
                let expected = expected.unwrap_or(Value::Null);
                for (stored, expected) in differing(documents.get(&order.id), &expected) {
                    let (order_id, position) = (Some(order.id), Some(*position));
                    let field = "document";
                    found.differs(Difference { order_id, position, field, stored, expected });
                }
            }
        }
        Ok(())
    }

    /// Nothing may be stored of records above what is folded.
    pub(super) async fn beyond(&self, found: &mut Findings<'_>) -> Result<(), VerifyError> {
        let next = self.folded().await?;
        let end = Offset(i64::MAX);
        let first = self.ledger.store.rows(self.partition, next, end, 1).await?;
        let Some(row) = first.first() else { return Ok(()) };
        // After the row: whoever stored it had moved on by then.
        let folded = self.folded().await?;
        if row.position.offset >= folded {
            found.differs(Difference {
                order_id: Some(row.order_id),
                position: Some(row.position),
                field: "row",
                stored: row.outcome.name().to_owned(),
                expected: format!("nothing, for records below {folded} alone are folded"),
            });
        }
        Ok(())
    }
}

/// The top-level fields of a document that are not as they must be, as `name: value`.
fn differing(stored: Option<&Value>, expected: &Value) -> Vec<(String, String)> {
    let Some(stored) = stored else {
        return vec![(nothing(), format!("version {}", expected["version"]))];
    };
    let (stored_fields, expected_fields) = (stored.as_object(), expected.as_object());
    let names = stored_fields.into_iter().chain(expected_fields).flat_map(|fields| fields.keys());
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names.dedup();
    let field = |value: &Value, name: &str| {
        value.get(name).map_or_else(|| format!("no {name}"), |value| format!("{name}: {value}"))
    };
    names
        .into_iter()
        .filter(|name| stored.get(name) != expected.get(name))
        .map(|name| (field(stored, name), field(expected, name)))
        .collect()
}
