//! What is compared once the log of a partition is read: the orders that are left, and that there is nothing beyond.

use events::OrderId;
use ports::{Offset, Position, StoredSnapshot};

use super::{
    VerifyError,
    difference::{Difference, snapshot},
    findings::Findings,
    partition::{PAGE, PartitionCheck},
};

impl PartitionCheck<'_> {
    /// Compares every order that is left with its snapshot.
    pub(super) async fn orders(&mut self, found: &mut Findings<'_, '_>) -> Result<(), VerifyError> {
        let mut orders = self.orders.remaining();
        orders.extend(&self.undecided);
        // An order that moved meanwhile is looked at again; each moves a bounded number of times.
        while !orders.is_empty() {
            let mut moved = Vec::new();
            for page in orders.iter().copied().collect::<Vec<_>>().chunks(PAGE) {
                moved.extend(self.compare(page, found).await?);
            }
            if moved.is_empty() {
                break;
            }
            // Whoever stored these had moved on by then.
            let folded = self.folded().await?;
            orders.clear();
            for (order, position) in moved {
                if position.offset < folded {
                    orders.insert(order);
                } else {
                    let stored = position.offset.to_string();
                    let expected = format!("below {folded}");
                    let (order_id, position) = (Some(order), Some(position));
                    let field = "snapshot.position";
                    found.differs(Difference { order_id, position, field, stored, expected });
                }
            }
            self.advance(folded, found).await?;
        }
        Ok(())
    }

    /// Compares; those whose snapshot is of a record that is not read yet are given back.
    async fn compare(
        &mut self,
        page: &[OrderId],
        found: &mut Findings<'_, '_>,
    ) -> Result<Vec<(OrderId, Position)>, VerifyError> {
        let recalled = self.recall(page.iter().copied()).await?;
        let stored = self.stored(page).await?;
        let mut moved = Vec::new();
        for order in page {
            match self.compare_one(*order, stored.get(order)).await? {
                Ok(differences) => {
                    let is_missing =
                        self.orders.get(*order).is_some() && !stored.contains_key(order);
                    self.missing += u64::from(is_missing);
                    for difference in differences {
                        found.differs(difference);
                    }
                }
                Err(position) => moved.push((*order, position)),
            }
        }
        for order in recalled {
            self.orders.set_aside(order);
        }
        Ok(moved)
    }

    async fn compare_one(
        &mut self,
        order: OrderId,
        stored: Option<&StoredSnapshot>,
    ) -> Result<Result<Vec<Difference>, Position>, VerifyError> {
        let differences = match (self.orders.get(order), stored) {
            (_, Some(stored)) if self.is_ahead(stored) => return Ok(Err(stored.position)),
            (Some(held), stored) => snapshot(stored, held),
            (None, _) => Vec::new(),
        };
        if self.undecided.contains(&order)
            || !differences.is_empty() && self.letters.contains_key(&order)
        {
            return self.settle(order).await;
        }
        Ok(Ok(differences))
    }

    /// Nothing may be stored of records above what is folded.
    pub(super) async fn beyond(&self, found: &mut Findings<'_, '_>) -> Result<(), VerifyError> {
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
