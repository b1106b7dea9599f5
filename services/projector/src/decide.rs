//! Decisions on dead letters: an order that is parked is folded again from its whole history, with the record that can be
//! read by now or without the one that is discarded, and goes on (promise 10).
//!
//! Whoever decides only writes down what is wanted; the owner of the partition carries it out, so that an order has one
//! writer as ever, and the same transaction that lets it go on takes back how far its changes are announced.

use std::sync::Arc;

use events::OrderId;
use ports::{
    Consumer, DeadLetter, LetterFilter, LetterKey, LetterStatus, Offset, PartitionCommit, Position,
    StoreError,
};
use projection::{Decided, Refolded};

use crate::worker::Worker;

/// Decisions looked at at once, and carried out before anything else has its turn; the rest are for the next time.
const PAGE: usize = 100;

impl Worker {
    /// Carries out what was decided on dead letters of the partitions that are held. `None` if one of them is another
    /// projector's by now, or if the process stops.
    pub(crate) async fn carry_out_decisions(&mut self) -> Option<()> {
        if self.held.is_empty() {
            return Some(());
        }
        let wanted = LetterFilter {
            consumer: Some(Consumer::Projector),
            statuses: vec![LetterStatus::Retry, LetterStatus::Discard],
            order: None,
        };
        let letters = Arc::clone(&self.parts.dead_letters);
        let (mut after, mut carried_out) = (None, 0);
        while carried_out < PAGE {
            let list = || letters.letters(&wanted, after, PAGE);
            let page = self.patience.until_ok("look for decisions on dead letters", list).await?;
            let is_last = page.len() < PAGE;
            after = page.last().map(|letter| self.look_on_after(letter.key()));
            for letter in page {
                if self.held.contains_key(&letter.record.position.partition) {
                    self.carry_out(letter).await?;
                    carried_out += 1;
                }
            }
            if is_last {
                break;
            }
        }
        Some(())
    }

    /// However many wait in a partition that someone else owns, or no one, they hide none of the others.
    fn look_on_after(&self, mut seen: LetterKey) -> LetterKey {
        if !self.held.contains_key(&seen.position.partition) {
            seen.position.offset = Offset(i64::MAX);
        }
        seen
    }

    async fn carry_out(&mut self, letter: DeadLetter) -> Option<()> {
        let key = letter.key();
        let letters = Arc::clone(&self.parts.dead_letters);
        let (order, event) = if letter.status == LetterStatus::Retry {
            let now = self.parts.clock.now();
            match projection::decode(letter.record, self.partitions, now) {
                Ok((record, event)) => (event.order_id, Some((record, event))),
                Err(still) => {
                    let reopen = || letters.unreadable(key, still.reason, &still.detail);
                    return self.patience.until_ok("open a dead letter again", reopen).await;
                }
            }
        } else if let Some(order) = letter.parks {
            (order, None)
        } else {
            // It parks no one: there is nothing to fold.
            let discard = || letters.decide(key, LetterStatus::Discarded);
            return self.patience.until_ok("discard a dead letter", discard).await.map(drop);
        };
        let parked_again = self.parks_still(order, key.position).await?;
        let store = Arc::clone(&self.parts.store);
        let history = self.patience.until_ok("load a history", || store.history(order)).await?;
        let decided = Decided { letter: key.position, event, parked_again };
        match projection::decided(history, decided) {
            Ok(refolded) => self.go_on(order, key.position, refolded).await,
            Err(error) => self.leave_parked(order, letter.status, key, &error).await,
        }
    }

    /// The first of the other dead letters that park an order.
    async fn parks_still(&mut self, order: OrderId, decided: Position) -> Option<Option<Position>> {
        let letters = Arc::clone(&self.parts.dead_letters);
        let parking = LetterFilter::undecided(Some(order));
        // By position: of two, one is another.
        let parking = self
            .patience
            .until_ok("look for dead letters of an order", || letters.letters(&parking, None, 2));
        let mut others = parking.await?.into_iter().map(|letter| letter.record.position);
        Some(others.find(|position| *position != decided))
    }

    async fn go_on(
        &mut self,
        order: OrderId,
        letter: Position,
        mut refolded: Refolded,
    ) -> Option<()> {
        // What is announced by now must be known: it is about to be taken back.
        self.settle().await;
        let progress = *self.held.get(&letter.partition)?;
        refolded.commit.partitions = vec![PartitionCommit {
            partition: letter.partition,
            expected: progress.place(),
            next: progress.next,
            announced: progress.announced,
            digest: progress.digest,
        }];
        self.commit(&refolded.commit).await?;
        if let Some(progress) = self.held.get_mut(&letter.partition) {
            progress.epoch = progress.epoch.next();
            progress.announced = progress.announced.min(letter.offset);
        }
        tracing::info!(
            order_id = %order, partition = %letter.partition, offset = %letter.offset,
            "a dead letter is decided on: its order is folded again and goes on"
        );
        metrics::counter!("order_ledger_dead_letters_decided_total").increment(1);
        let sent = self.announcer.send(refolded.announcements()).await;
        if sent.is_err() || self.announcer.is_settled() {
            self.settled(sent).await;
        }
        Some(())
    }

    /// The line goes on; this order does not before someone has looked at its history.
    async fn leave_parked(
        &mut self,
        order: OrderId,
        status: LetterStatus,
        key: LetterKey,
        error: &StoreError,
    ) -> Option<()> {
        let Position { partition, offset } = key.position;
        tracing::error!(
            order_id = %order, %partition, %offset, decision = status.name(), %error,
            "the order's history can't be folded again: it stays parked"
        );
        let letters = Arc::clone(&self.parts.dead_letters);
        let reopen = || letters.decide(key, LetterStatus::Open);
        self.patience.until_ok("open a dead letter again", reopen).await.map(drop)
    }
}
