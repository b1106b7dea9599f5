//! Orders that this process placed under request ids a moment ago, and that the projection may not know yet.
//!
//! The store is asked about every request id before an order is placed; this covers the time until it can answer.
//! Another process's last moments are not seen here: there the fold has the last word.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    sync::{Mutex, MutexGuard, PoisonError},
};

use events::{Fingerprint, OrderId};
use ports::Position;

/// Orders remembered, the latest: several times as many as a projection that keeps up is behind.
const ORDERS_MAX: usize = 65_536;

/// What is known of a request id.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// Nothing; from now on that it stands for this.
    New,
    /// It stands for the same, and is logged there if it is already.
    Same(Option<Position>),
    /// It stands for something else.
    Other,
}

#[derive(Default)]
pub(crate) struct Recent(Mutex<Orders>);

#[derive(Default)]
struct Orders {
    by_id: HashMap<OrderId, (Fingerprint, Option<Position>)>,
    oldest_first: VecDeque<OrderId>,
}

impl Recent {
    /// What the order's id stands for; if for nothing, then for this from now on.
    pub(crate) fn begin(&self, order_id: OrderId, fingerprint: Fingerprint) -> Known {
        let mut orders = self.orders();
        match orders.by_id.entry(order_id) {
            Entry::Occupied(entry) => match *entry.get() {
                (known, position) if known == fingerprint => return Known::Same(position),
                _ => return Known::Other,
            },
            Entry::Vacant(entry) => entry.insert((fingerprint, None)),
        };
        orders.oldest_first.push_back(order_id);
        if orders.oldest_first.len() > ORDERS_MAX
            && let Some(oldest) = orders.oldest_first.pop_front()
        {
            orders.by_id.remove(&oldest);
        }
        Known::New
    }

    /// Notes where an order of that content is logged. Of two contents, the id stands for the one that the log has first:
    /// the one that began may have been turned away.
    pub(crate) fn logged(&self, order_id: OrderId, fingerprint: Fingerprint, position: Position) {
        if let Some(known) = self.orders().by_id.get_mut(&order_id)
            && known.1.is_none_or(|at| position < at)
        {
            *known = (fingerprint, Some(position));
        }
    }

    /// A poisoned lock is as good: no step leaves the two collections apart for longer than a call.
    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use ports::{Offset, Partition};

    use super::*;

    #[test]
    fn remembers_the_latest_and_where_they_are() {
        let recent = Recent::default();
        let order = |n: usize| OrderId::for_request(&n.to_string());
        let (one, two) = (Fingerprint::new(1), Fingerprint::new(2));
        let position = Position { partition: Partition(0), offset: Offset(7) };
        assert_eq!(recent.begin(order(0), one), Known::New);
        assert_eq!(recent.begin(order(0), one), Known::Same(None));
        recent.logged(order(0), one, position);
        assert_eq!(recent.begin(order(0), one), Known::Same(Some(position)));
        assert_eq!(recent.begin(order(0), two), Known::Other);
        for n in 1..=ORDERS_MAX {
            assert_eq!(recent.begin(order(n), one), Known::New);
        }
        assert_eq!(recent.orders().by_id.len(), ORDERS_MAX);
        assert_eq!(recent.begin(order(0), two), Known::New, "the oldest is forgotten");
    }

    #[test]
    fn an_id_stands_for_what_the_log_has_first() {
        let recent = Recent::default();
        let order = OrderId::for_request("r");
        let [turned_away, late, first] = [1, 2, 3].map(Fingerprint::new);
        let at = |offset| Position { partition: Partition(0), offset: Offset(offset) };
        assert_eq!(recent.begin(order, turned_away), Known::New);
        recent.logged(order, late, at(8));
        assert_eq!(recent.begin(order, turned_away), Known::Other);
        recent.logged(order, first, at(7));
        recent.logged(order, late, at(9));
        assert_eq!(recent.begin(order, first), Known::Same(Some(at(7))));
        assert_eq!(recent.begin(order, late), Known::Other);
    }
}
