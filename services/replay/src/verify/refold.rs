//! An order from its history rows, which have been compared with the log: one that was let go of, or one whose dead letters
//! are decided on while it is verified.

use std::collections::{BTreeSet, HashMap};

use events::OrderId;
use ports::{HistoryRow, Offset, Position};

use super::{
    VerifyError,
    account::became_otherwise,
    difference::{Difference, snapshot},
    expect,
    held::Held,
    partition::{PAGE, PartitionCheck},
    transitions::{Expected, Folded},
};

/// What an order's rows make of it.
#[derive(Default)]
pub(super) struct Refolded {
    /// `None` if there is no such order.
    pub(super) held: Option<Held>,
    /// Rows that say otherwise what became of their event.
    pub(super) differences: Vec<Difference>,
    /// What its events must have left in the stream of transitions, if that was asked for.
    pub(super) transitions: Vec<Expected>,
}

/// Orders that are folded from their rows at once.
const ORDERS: usize = 500;
/// Rows that are read of each at first: few have more.
pub(super) const ROWS: usize = 32;

impl PartitionCheck<'_> {
    /// Takes orders back that were let go of, if these are; says which.
    pub(super) async fn recall(
        &mut self,
        orders: impl Iterator<Item = OrderId> + Send,
    ) -> Result<BTreeSet<OrderId>, VerifyError> {
        let let_go: BTreeSet<_> = orders.filter(|id| self.orders.may_be_let_go(*id)).collect();
        let mut recalled = BTreeSet::new();
        for page in let_go.into_iter().collect::<Vec<_>>().chunks(ORDERS) {
            let mut beginnings: HashMap<OrderId, Vec<HistoryRow>> = HashMap::new();
            for row in self.ledger.store.histories(page, ROWS).await? {
                beginnings.entry(row.order_id).or_default().push(row);
            }
            for (order, beginning) in beginnings {
                let parked = self.parked.get(&order).copied();
                if let Some(held) = self.refold(order, beginning, parked, false).await?.held {
                    let touched = held.position.offset;
                    self.orders.put(held, touched);
                    recalled.insert(order);
                }
            }
        }
        Ok(recalled)
    }

    /// Folds an order from its rows below where the log is read, the first [`ROWS`] of which are its `beginning`; those
    /// after the record at `parked` wait.
    pub(super) async fn refold(
        &self,
        order_id: OrderId,
        beginning: Vec<HistoryRow>,
        parked: Option<Offset>,
        transitions: bool,
    ) -> Result<Refolded, VerifyError> {
        let mut refolded = Refolded::default();
        let (mut order, mut last) = (None, None);
        let (mut rows, mut limit) = (beginning, ROWS);
        loop {
            let is_last = rows.len() < limit;
            let after = rows.last().map(|row| row.position.offset);
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
                    let entered_at_before = order.as_ref().map(|order| order.entered_at);
                    let (after, outcome) = expect::outcome(order, &event);
                    let (event, position) = (&event, row.position);
                    let folded =
                        Folded { event, outcome, entered_at_before, position, record: None };
                    order = match after {
                        Some(after) if transitions => {
                            let (after, expected) = folded.expected(after);
                            refolded.transitions.extend(expected);
                            Some(after)
                        }
                        after => after,
                    };
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
            limit = PAGE;
            rows = self.ledger.store.history_page(order_id, after, limit).await?;
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
            let beginning = self.ledger.store.history_page(order, None, ROWS).await?;
            let refolded = self.refold(order, beginning, parked, false).await?;
            let Refolded { held, mut differences, transitions: _ } = refolded;
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
    pub(super) async fn first_letter(&self, order: OrderId) -> Result<Option<Offset>, VerifyError> {
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
