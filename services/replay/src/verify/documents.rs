//! The documents of the search index.

use std::collections::{BTreeMap, BTreeSet};

use events::OrderId;
use ports::OrderDocument;
use serde_json::Value;

use super::{
    Share, VerifyError,
    difference::{Difference, nothing},
    findings::Findings,
    partition::{PAGE, PartitionCheck},
};

/// One in so many, beside the first.
const ONE_IN: u128 = 100;

impl PartitionCheck<'_> {
    /// As many orders of the log's beginning are part of every sample.
    pub(super) const FIRST: usize = 1_000;

    /// Whether the document of an order is compared.
    pub(super) fn is_wanted(&self, order: OrderId) -> bool {
        self.ledger.search.is_some_and(|(_, share)| self.is_of(share, order))
    }

    /// Whether an order is one of those.
    pub(super) fn is_of(&self, share: Share, order: OrderId) -> bool {
        match share {
            Share::All => true,
            Share::Sample => {
                self.first.contains(&order) || order.as_uuid().as_u128().is_multiple_of(ONE_IN)
            }
        }
    }

    /// Of these orders, those whose documents are wanted and are not as they must be; where, as stored and expected.
    pub(super) async fn differing_documents(
        &self,
        orders: &[OrderId],
    ) -> Result<BTreeMap<OrderId, Vec<(String, String)>>, VerifyError> {
        let Some((index, _)) = self.ledger.search else { return Ok(BTreeMap::new()) };
        let wanted: Vec<_> = orders.iter().copied().filter(|id| self.is_wanted(*id)).collect();
        let mut all = BTreeMap::new();
        for page in wanted.chunks(PAGE) {
            let documents = index.documents(page).await?;
            for id in page {
                let Some(held) = self.orders.get(*id) else { continue };
                let expected =
                    serde_json::to_value(index.as_kept(OrderDocument::from(&held.order)));
                let expected = expected.unwrap_or(Value::Null);
                let differing = differing(documents.get(id), &expected);
                if !differing.is_empty() {
                    all.insert(*id, differing);
                }
            }
        }
        Ok(all)
    }

    /// Compares the documents of the orders that are left.
    pub(super) async fn documents(
        &mut self,
        found: &mut Findings<'_, '_>,
    ) -> Result<(), VerifyError> {
        let orders: BTreeSet<_> =
            self.orders.remaining().into_iter().filter(|id| self.is_wanted(*id)).collect();
        for page in orders.into_iter().collect::<Vec<_>>().chunks(PAGE) {
            let recalled = self.recall(page.iter().copied()).await?;
            for (order, differing) in self.differing_documents(page).await? {
                let position = self.orders.get(order).map(|held| held.position);
                for (stored, expected) in differing {
                    let (order_id, field) = (Some(order), "document");
                    found.differs(Difference { order_id, position, field, stored, expected });
                }
            }
            for order in recalled {
                self.orders.set_aside(order);
            }
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
