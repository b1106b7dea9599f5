//! Orders that this run placed and knows: those whose life can go on, and those that can be read.
//!
//! An order whose life is gone on with is taken out until that is answered, so no two calls of a run race for one; one
//! whose call failed is not put back, for nobody knows where it stands.

use std::collections::{BTreeMap, VecDeque};

use super::{dice::Dice, mix::CallKind};

/// Orders of each stage that are held; beyond that the oldest go on without this run.
const OF_STAGE_MAX: usize = 100_000;
/// Orders that are read in turn, the latest.
const READ_MAX: usize = 10_000;

/// How far an order has come, as far as this run brought it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Placed,
    Paid,
    Preparing,
    Shipped,
}

#[derive(Debug, Default)]
pub(super) struct Pool {
    by_stage: BTreeMap<Stage, VecDeque<String>>,
    known: VecDeque<String>,
}

impl Pool {
    /// An order that the server acknowledged.
    pub(super) fn placed(&mut self, order_id: String) {
        if self.known.len() == READ_MAX {
            self.known.pop_front();
        }
        self.known.push_back(order_id.clone());
        self.put(Stage::Placed, order_id);
    }

    /// An order that stands there now.
    pub(super) fn put(&mut self, stage: Stage, order_id: String) {
        let orders = self.by_stage.entry(stage).or_default();
        if orders.len() == OF_STAGE_MAX {
            orders.pop_front();
        }
        orders.push_back(order_id);
    }

    /// Takes the order that has stood longest where this call is possible.
    pub(super) fn take(&mut self, kind: CallKind) -> Option<String> {
        from(kind).iter().find_map(|stage| self.by_stage.get_mut(stage)?.pop_front())
    }

    /// One of those known, if there are so many.
    pub(super) fn any(&self, dice: &mut Dice, at_least: usize) -> Option<String> {
        if self.known.len() < at_least {
            return None;
        }
        let index = dice.below(u64::try_from(self.known.len()).ok()?);
        self.known.get(usize::try_from(index).ok()?).cloned()
    }
}

/// Where an order may stand for this call; the first is preferred.
const fn from(kind: CallKind) -> &'static [Stage] {
    match kind {
        CallKind::Pay => &[Stage::Placed],
        // Legal without a payment too: it is made on delivery, or was captured elsewhere.
        CallKind::Prepare => &[Stage::Paid, Stage::Placed],
        CallKind::Ship => &[Stage::Preparing],
        CallKind::Deliver => &[Stage::Shipped],
        CallKind::Cancel => &[Stage::Placed, Stage::Paid, Stage::Preparing],
        CallKind::Place | CallKind::Get | CallKind::History | CallKind::List | CallKind::Search => {
            &[]
        }
    }
}

/// Where an order stands once this call succeeded, if its life can go on from there.
pub(super) const fn after(kind: CallKind) -> Option<Stage> {
    match kind {
        CallKind::Place => Some(Stage::Placed),
        CallKind::Pay => Some(Stage::Paid),
        CallKind::Prepare => Some(Stage::Preparing),
        CallKind::Ship => Some(Stage::Shipped),
        CallKind::Deliver
        | CallKind::Cancel
        | CallKind::Get
        | CallKind::History
        | CallKind::List
        | CallKind::Search => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_in_one_hand_at_a_time_and_moves_on() {
        let mut pool = Pool::default();
        assert_eq!(pool.take(CallKind::Pay), None);
        pool.placed("a".to_owned());
        pool.placed("b".to_owned());
        assert_eq!(pool.take(CallKind::Pay).as_deref(), Some("a"), "the one that stood longest");
        pool.put(after(CallKind::Pay).unwrap(), "a".to_owned());
        assert_eq!(pool.take(CallKind::Prepare).as_deref(), Some("a"), "a paid one first");
        assert_eq!(pool.take(CallKind::Prepare).as_deref(), Some("b"), "else one that is not");
        assert_eq!(pool.take(CallKind::Cancel), None);
        assert_eq!(pool.any(&mut Dice::new(1, 1), 3), None);
        assert!(pool.any(&mut Dice::new(1, 1), 2).is_some(), "it can be read all the same");
    }
}
