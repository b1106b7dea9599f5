//! What is true of every order, whatever happened to it, and of every step.

use events::{
    Digest, Event, EventKind, Folded, LineProgress, MAX_RECORDED_EVENTS, MinorUnits, Order,
    Outcome, Rejection, State,
};

/// Fails unless the order is one that can be.
pub(crate) fn check_order(order: &Order) {
    let total = order.details.total();
    assert!(MinorUnits::ZERO <= order.refunded, "{order:?}");
    assert!(order.refunded <= order.captured, "more refunded than captured: {order:?}");
    assert!(order.captured <= total, "more captured than ordered: {order:?}");
    assert_eq!(order.to_capture().get(), total.get() - order.captured.get());
    assert_eq!(order.to_refund().get(), order.captured.get() - order.refunded.get());
    assert_eq!(order.version.get(), u64::try_from(order.recorded.len()).unwrap());
    assert!(order.recorded.len() <= MAX_RECORDED_EVENTS);
    assert!(usize::try_from(order.anomalies).unwrap() < order.recorded.len());
    check_progress(order);
    if order.state == State::Refunded {
        assert_eq!(order.refunded, order.captured, "refunded, but not all: {order:?}");
    }
    if order.state == State::Paid {
        assert_eq!(order.captured, total, "paid, but not all: {order:?}");
    }
    if matches!(order.state, State::Shipped | State::Delivered) {
        assert!(order.parcel.is_some(), "shipped without a parcel: {order:?}");
    }
}

fn check_progress(order: &Order) {
    let lines = order.details.lines();
    assert!(order.progress.is_empty() || order.progress.len() == lines.len(), "{order:?}");
    for (line, progress) in lines.iter().zip(&order.progress) {
        let LineProgress { shipped, return_requested, returned, refunded } = *progress;
        assert!(returned <= return_requested && return_requested <= shipped, "{order:?}");
        assert!(shipped <= line.quantity.get() && refunded <= line.quantity.get(), "{order:?}");
    }
    let in_progress = |state| order.state == state && !order.progress.is_empty();
    let all = |what: fn(&LineProgress) -> bool| order.progress.iter().all(what);
    let shipped = || lines.iter().zip(&order.progress).all(|(l, p)| p.shipped == l.quantity.get());
    if matches!(order.state, State::Shipped | State::Delivered | State::DeliveryFailed) {
        assert!(in_progress(order.state) && shipped(), "shipped, but not all: {order:?}");
    }
    if in_progress(State::Preparing) {
        assert!(!shipped(), "all is shipped: {order:?}");
    }
    if order.state == State::Cancelled {
        assert!(all(|line| line.shipped == 0), "cancelled on its way: {order:?}");
    }
    if order.state == State::ReturnRequested {
        assert!(!all(|line| line.returned == line.return_requested), "all is back: {order:?}");
    }
    if order.state == State::Returned {
        assert!(all(|line| line.returned == line.return_requested), "not all is back: {order:?}");
    }
}

/// Fails unless the step from `before` is one that can be.
pub(crate) fn check_step(before: Option<&Order>, event: &Event, folded: &Folded) {
    if let Some(order) = &folded.order {
        check_order(order);
    }
    match (before, folded.outcome, &folded.order) {
        (before, Outcome::Applied { from, to }, Some(after)) => {
            assert_eq!(before.map(|order| order.state), from);
            assert_eq!(after.state, to);
            assert_eq!(after.updated_at, event.occurred_at);
            let stayed = before.filter(|order| order.state == to).map(|order| order.entered_at);
            assert_eq!(after.entered_at, stayed.unwrap_or(event.occurred_at));
            check_spent(before, after, event);
            assert!(was_recorded(before, event, after), "{event:?}");
        }
        (None, Outcome::Rejected(reason), None) => {
            let placed = event.body.kind() == EventKind::OrderPlaced;
            let stale = placed && event.expected_version.is_some();
            let expected = if stale { Rejection::StaleVersion } else { Rejection::UnknownOrder };
            assert_eq!(reason, expected);
        }
        (Some(before), Outcome::Duplicate, Some(after)) => {
            assert_eq!(before, after, "a duplicate changed something");
        }
        (Some(before), Outcome::Rejected(_), Some(after)) if was_full(before) => {
            assert_eq!(before, after, "an event beyond the bound changed something");
        }
        (Some(before), Outcome::Rejected(_), Some(after)) => {
            assert!(was_recorded(Some(before), event, after), "{event:?}");
            let mut unmoved = after.clone();
            unmoved.version = before.version;
            unmoved.recorded.clone_from(&before.recorded);
            unmoved.head = before.head;
            unmoved.anomalies = before.anomalies;
            assert_eq!(&unmoved, before, "a rejected event moved the order");
            assert!(after.anomalies - before.anomalies <= 1);
        }
        (before, outcome, after) => panic!("from {before:?} by {outcome:?} to {after:?}"),
    }
}

/// Time is added where the order was, and only once it leaves.
fn check_spent(before: Option<&Order>, after: &Order, event: &Event) {
    let spent = |order: &Order, state| order.spent.micros().find(|(s, _)| *s == state);
    for state in State::ALL {
        let left = before.filter(|order| order.state == state && order.state != after.state);
        let was = before.and_then(|order| spent(order, state)).map(|(_, micros)| micros);
        let expected = match left {
            Some(left) => {
                let stay = event.occurred_at.signed_duration_since(left.entered_at);
                let stay = u64::try_from(stay.num_microseconds().unwrap()).unwrap_or(0);
                Some(was.unwrap_or(0) + stay)
            }
            None => was,
        };
        assert_eq!(spent(after, state).map(|(_, micros)| micros), expected, "in {state:?}");
    }
}

fn was_full(order: &Order) -> bool {
    order.recorded.len() == MAX_RECORDED_EVENTS
}

/// Whether `after` remembers all that `before` did, and the event, and counts it.
fn was_recorded(before: Option<&Order>, event: &Event, after: &Order) -> bool {
    let remembered = before.map_or(&[][..], |order| &order.recorded);
    let Some((last, earlier)) = after.recorded.split_last() else { return false };
    earlier == remembered
        && last.event_id == event.id
        && last.fingerprint == event.fingerprint
        && after.head == before.map_or(Digest::ZERO, |order| order.head).chain(event.digest)
        && after.version.get() == before.map_or(0, |order| order.version.get()) + 1
}
