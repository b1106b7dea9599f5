//! Dead letters that someone wants to be read once more: each is decoded again and given to the reaction, as if it had
//! just come. Whoever decides only writes down what is wanted; the role carries it out.
//!
//! Several processes of a role may do it at once, which changes nothing: reactions are idempotent.

use ports::{DeadLetter, DeadLetterReason, LetterFilter, LetterStatus, Position, Traceparent};
use tracing::field::display;

use crate::{
    Changed, Error, Reaction, Refusal, Retry, Source,
    batch::{Unreadable, read},
};

/// Letters looked at in one go; the rest are for the next time.
const PAGE: usize = 100;

impl Source {
    /// Carries out what is wanted of this consumer's dead letters. `None` if the process stops and something was away to
    /// the last: the wishes stand.
    pub(crate) async fn read_again(
        &self,
        reaction: &dyn Reaction,
        retry: &Retry,
    ) -> Result<Option<()>, Error> {
        let wanted = LetterFilter {
            consumer: Some(self.consumer),
            statuses: vec![LetterStatus::Retry],
            order: None,
        };
        let list = || self.dead_letters.letters(&wanted, None, PAGE);
        let what = "look for dead letters to be read again";
        let Some(letters) = retry.until_ok(what, list).await? else { return Ok(None) };
        for letter in letters {
            if self.once_more(letter, reaction, retry).await?.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(()))
    }

    async fn once_more(
        &self,
        letter: DeadLetter,
        reaction: &dyn Reaction,
        retry: &Retry,
    ) -> Result<Option<()>, Error> {
        let key = letter.key();
        let consumer = key.consumer.name();
        let Position { partition, offset } = key.position;
        let trace_id =
            Traceparent::of(&letter.record.headers).map(|trace| display(trace.trace_id()));
        let mut order_id = None;
        let tried = match read(&letter.record) {
            Ok(change) => {
                order_id = Some(display(change.order.id));
                let changed = [Changed::of(letter.record, change)];
                let work = || reaction.react(&changed);
                let Some(refusals) = retry.until_ok(reaction.name(), work).await? else {
                    return Ok(None);
                };
                let refused = refusals.into_iter().next();
                refused.map_or(Ok(()), |Refusal { detail, .. }| {
                    Err(Unreadable { reason: DeadLetterReason::Refused, detail })
                })
            }
            Err(unreadable) => Err(unreadable),
        };
        match tried {
            Ok(()) => {
                let settle = || self.dead_letters.settled(key);
                let settled = retry.until_ok("forget a dead letter", settle).await?;
                tracing::info!(consumer, order_id, trace_id, %partition, %offset, "a dead letter was read once more and is done");
                Ok(settled)
            }
            Err(Unreadable { reason, detail }) => {
                let reopen = || self.dead_letters.unreadable(key, reason, &detail);
                let reopened = retry.until_ok("open a dead letter again", reopen).await?;
                let reason = reason.name();
                tracing::warn!(consumer, order_id, trace_id, %partition, %offset, reason, detail, "a dead letter stays one");
                Ok(reopened)
            }
        }
    }
}
