//! An order from its history rows, which have been compared with the log: one that was let go of, or one whose dead letters
//! are decided on while it is verified.

use events::OrderId;
use ports::{Offset, Position};

use super::{
    VerifyError,
    account::became_otherwise,
    difference::{Difference, snapshot},
    expect,
    held::Held,
    partition::{PAGE, PartitionCheck},
};

/// What an order's rows make of it.
#[derive(Default)]
pub(super) struct Refolded {
    /// `None` if there is no such order.
    pub(super) held: Option<Held>,
    /// Rows that say otherwise what became of their event.
    pub(super) differences: Vec<Difference>,
}

impl PartitionCheck<'_> {
    /// Folds an order from its rows below where the log is read; those after the record at `parked` wait.
    pub(super) async fn refold(
        &self,
        order_id: OrderId,
        parked: Option<Offset>,
    ) -> Result<Refolded, VerifyError> {
        let mut refolded = Refolded::default();
        let (mut order, mut last) = (None, None);
        let mut after = None;
        loop {
            let rows = self.ledger.store.history_page(order_id, after, PAGE).await?;
            let is_last = rows.len() < PAGE;
            after = rows.last().map(|row| row.position.offset);
            for row in rows {
                let Position { partition, offset } = row.position;
                if partition != self.partition
                    || offset >= self.next
                    || self.disbelieved.contains(&offset)
                {
                    continue;
                }
                // A row that is believed has the bytes of a record that could be read.
                let Ok(event) = codec::decode_event(&row.event) else { continue };
                let outcome = if parked.is_some_and(|parked| offset > parked) {
                    expect::waits(order.as_ref())
                } else {
                    let (after, outcome) = expect::outcome(order, &event);
                    order = after;
                    outcome
                };
                if outcome.is_recorded() {
                    last = Some(row.position);
                }
                let version = order.as_ref().map_or(0, |order| order.version.get());
                refolded.differences.extend(became_otherwise(&row, version, outcome));
            }
            if is_last {
                break;
            }
        }
        let held = order.zip(last);
        refolded.held = held.map(|(order, position)| Held { order, position, kept: false });
        Ok(refolded)
    }

    /// Compares an order with dead letters as a whole: its rows and its snapshot change at once when someone decides.
    /// Gives back where it stands if that is not read yet.
    pub(super) async fn settle(
        &mut self,
        order: OrderId,
    ) -> Result<Result<Vec<Difference>, Position>, VerifyError> {
        loop {
            let parked = self.first_letter(order).await?;
            let Refolded { held, mut differences } = self.refold(order, parked).await?;
            let stored = self.stored(&[order]).await?.remove(&order);
            if let Some(stored) = stored.as_ref().filter(|stored| self.is_ahead(stored)) {
                return Ok(Err(stored.position));
            }
            if let Some(held) = &held {
                differences.extend(snapshot(stored.as_ref(), held));
            }
            // One that was decided on meanwhile is compared once more: that happens once for each letter.
            if differences.is_empty() || self.first_letter(order).await? == parked {
                if let Some(held) = held {
                    let touched = held.position.offset;
                    self.orders.take(order);
                    self.orders.put(held, touched);
                }
                return Ok(Ok(differences));
            }
        }
    }

    /// Where the first dead letter stands that parks an order still.
    async fn first_letter(&self, order: OrderId) -> Result<Option<Offset>, VerifyError> {
        for letter in self.letters.get(&order).into_iter().flatten() {
            let (letters, at) = (self.ledger.dead_letters, *letter);
            let stored = letters.unfolded(self.partition, at, at.next(), 1).await?;
            let is_discarded =
                |letter: &ports::DeadLetter| letter.status == ports::LetterStatus::Discarded;
            if !stored.first().is_some_and(is_discarded) {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }
}
