//! The fold: what one more event makes of an order. Pure and total; the final judge of every event (promise 3).

use std::fmt;

use crate::{
    Digest, Event, EventBody, EventKind, LineProgress, MinorUnits, Money, Order, Recorded, State,
    TimeSpent, Version, pieces::Lines, transition,
};

/// The most events of one order that are recorded; later ones are rejected. It bounds a snapshot's size.
pub const MAX_RECORDED_EVENTS: usize = 1_000;

/// Which fold this is. It goes up whenever the same events would make another order than before, in any field: what the
/// version before has stored is then to be folded anew.
///
/// 2: orders have the head of their hash chain. 3: they know how long they were in each state that they left.
pub const FOLD_VERSION: u32 = 3;

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It moved the order.
    Applied {
        /// The state before; `None` for the first event.
        from: Option<State>,
        /// The state after; may be the same.
        to: State,
    },
    /// It did not fit; the order stands where it stood.
    Rejected(Rejection),
    /// It was recorded before; nothing changed.
    Duplicate,
}

/// Why the state machine rejected an event. Where several apply, the first in this order is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rejection {
    /// The order's first event must be `OrderPlaced`.
    UnknownOrder,
    /// An event of the same id said something else.
    EventIdReused,
    /// The order has [`MAX_RECORDED_EVENTS`] already.
    HistoryFull,
    /// The order is not at the version that the event was meant for.
    StaleVersion,
    /// The table has no such move.
    IllegalTransition,
    /// A part is with the carrier: what is shipped can't be cancelled.
    PartlyShipped,
    /// The order has no such line.
    UnknownLine,
    /// More of a line would be shipped than ordered.
    ShipmentExceedsOrdered,
    /// More of a line would come back than was shipped, or nothing.
    ReturnExceedsShipped,
    /// More of a line would be refunded than ordered.
    RefundExceedsOrdered,
    /// The amount is not in the order's currency.
    CurrencyMismatch,
    /// More would be captured than the order's total.
    CaptureExceedsTotal,
    /// More would be refunded than was captured, or nothing.
    RefundExceedsCaptured,
}

impl Rejection {
    /// Every reason, in precedence.
    pub const ALL: [Self; 13] = [
        Self::UnknownOrder,
        Self::EventIdReused,
        Self::HistoryFull,
        Self::StaleVersion,
        Self::IllegalTransition,
        Self::PartlyShipped,
        Self::UnknownLine,
        Self::ShipmentExceedsOrdered,
        Self::ReturnExceedsShipped,
        Self::RefundExceedsOrdered,
        Self::CurrencyMismatch,
        Self::CaptureExceedsTotal,
        Self::RefundExceedsCaptured,
    ];

    /// The name, the same in every store, topic and document.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnknownOrder => "UnknownOrder",
            Self::EventIdReused => "EventIdReused",
            Self::HistoryFull => "HistoryFull",
            Self::StaleVersion => "StaleVersion",
            Self::IllegalTransition => "IllegalTransition",
            Self::PartlyShipped => "PartlyShipped",
            Self::UnknownLine => "UnknownLine",
            Self::ShipmentExceedsOrdered => "ShipmentExceedsOrdered",
            Self::ReturnExceedsShipped => "ReturnExceedsShipped",
            Self::RefundExceedsOrdered => "RefundExceedsOrdered",
            Self::CurrencyMismatch => "CurrencyMismatch",
            Self::CaptureExceedsTotal => "CaptureExceedsTotal",
            Self::RefundExceedsCaptured => "RefundExceedsCaptured",
        }
    }

    /// The reason of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rejection| rejection.name() == name)
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// An order after one more event, and what became of the event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folded {
    /// The order after; `None` only if it was unknown and stays so.
    pub order: Option<Order>,
    /// What became of the event.
    pub outcome: Outcome,
}

/// Folds one event into an order.
///
/// The event must be of that order (the caller keys by order id). A rejected event counts in the version and is
/// remembered, so that its repeat is a duplicate and never applied later; an event of an unknown order leaves nothing
/// to remember it by, nor does one beyond [`MAX_RECORDED_EVENTS`].
#[must_use]
pub fn fold(order: Option<Order>, event: &Event) -> Folded {
    let Some(mut order) = order else {
        return begin(event);
    };
    let mut same_id = order.recorded.iter().filter(|recorded| recorded.event_id == event.id);
    if let Some(first) = same_id.next() {
        let repeat = first.fingerprint == event.fingerprint
            || same_id.any(|recorded| recorded.fingerprint == event.fingerprint);
        if repeat {
            return Folded { order: Some(order), outcome: Outcome::Duplicate };
        }
        return reject(order, event, Rejection::EventIdReused);
    }
    match check(&order, &event.body, event.expected_version) {
        Ok(step) => {
            let (from, to) = (order.state, step.to);
            apply(&mut order, event, step);
            record(&mut order, event);
            Folded { order: Some(order), outcome: Outcome::Applied { from: Some(from), to } }
        }
        Err(rejection) => reject(order, event, rejection),
    }
}

/// What an event would change.
pub(crate) struct Step {
    to: State,
    /// The lines' progress, if it moves.
    progress: Option<Vec<LineProgress>>,
}

/// What an event would change, or why it does not fit; repeats are not looked at.
pub(crate) fn check(
    order: &Order,
    body: &EventBody,
    expected_version: Option<Version>,
) -> Result<Step, Rejection> {
    if order.recorded.len() >= MAX_RECORDED_EVENTS {
        return Err(Rejection::HistoryFull);
    }
    if expected_version.is_some_and(|expected| expected != order.version) {
        return Err(Rejection::StaleVersion);
    }
    let from = order.state;
    let to = transition(Some(from), body.kind()).ok_or(Rejection::IllegalTransition)?;
    let unless_in_part = |whole: bool| if whole { to } else { from };
    match body {
        EventBody::PaymentCaptured { amount, .. } => {
            let left = within(order, *amount, order.to_capture(), Rejection::CaptureExceedsTotal)?;
            Ok(Step { to: unless_in_part(left == MinorUnits::ZERO), progress: None })
        }
        EventBody::PaymentRefunded { amount, pieces, .. } => {
            let progress = match pieces.is_empty() {
                true => None,
                false => Some(Lines::of(order).refund(pieces)?),
            };
            let left = within(order, *amount, order.to_refund(), Rejection::RefundExceedsCaptured)?;
            if amount.amount == MinorUnits::ZERO {
                return Err(Rejection::RefundExceedsCaptured);
            }
            Ok(Step { to: unless_in_part(left == MinorUnits::ZERO), progress })
        }
        EventBody::OrderShipped { pieces, .. } => {
            let (progress, whole) = Lines::of(order).ship(pieces, from)?;
            Ok(Step { to: unless_in_part(whole), progress: Some(progress) })
        }
        EventBody::ReturnRequested { pieces, .. } => {
            Ok(Step { to, progress: Some(Lines::of(order).request_return(pieces)?) })
        }
        EventBody::OrderReturned { pieces } => {
            let (progress, whole) = Lines::of(order).take_back(pieces, from)?;
            Ok(Step { to: unless_in_part(whole), progress: Some(progress) })
        }
        EventBody::OrderCancelled { .. } if order.progress.iter().any(|line| line.shipped > 0) => {
            Err(Rejection::PartlyShipped)
        }
        EventBody::OrderPlaced(_)
        | EventBody::PaymentDeclined { .. }
        | EventBody::PreparationStarted
        | EventBody::OrderDelivered
        | EventBody::DeliveryFailed { .. }
        | EventBody::OrderCompleted
        | EventBody::OrderCancelled { .. } => Ok(Step { to, progress: None }),
    }
}

fn within(
    order: &Order,
    money: Money,
    limit: MinorUnits,
    beyond: Rejection,
) -> Result<MinorUnits, Rejection> {
    if money.currency != order.details.currency() {
        return Err(Rejection::CurrencyMismatch);
    }
    limit.checked_sub(money.amount).ok_or(beyond)
}

fn begin(event: &Event) -> Folded {
    let rejected = |rejection| Folded { order: None, outcome: Outcome::Rejected(rejection) };
    let EventBody::OrderPlaced(details) = &event.body else {
        return rejected(Rejection::UnknownOrder);
    };
    if event.expected_version.is_some() {
        return rejected(Rejection::StaleVersion);
    }
    let order = Order {
        id: event.order_id,
        version: Version::FIRST,
        state: State::Placed,
        details: details.clone(),
        captured: MinorUnits::ZERO,
        refunded: MinorUnits::ZERO,
        parcel: None,
        progress: Vec::new(),
        cancel_reason: None,
        anomalies: 0,
        placed_at: event.occurred_at,
        entered_at: event.occurred_at,
        spent: TimeSpent::default(),
        updated_at: event.occurred_at,
        head: Digest::ZERO.chain(event.digest),
        recorded: vec![Recorded { event_id: event.id, fingerprint: event.fingerprint }],
    };
    Folded { order: Some(order), outcome: Outcome::Applied { from: None, to: State::Placed } }
}

/// Carries out what [`check`] allowed.
fn apply(order: &mut Order, event: &Event, step: Step) {
    if order.state != step.to {
        order.spent.add(order.state, order.entered_at, event.occurred_at);
        order.entered_at = event.occurred_at;
    }
    order.state = step.to;
    order.progress = step.progress.unwrap_or_else(|| std::mem::take(&mut order.progress));
    order.updated_at = event.occurred_at;
    match &event.body {
        EventBody::PaymentCaptured { amount, .. } => {
            order.captured = order.captured.checked_add(amount.amount).unwrap_or(order.captured);
        }
        EventBody::PaymentRefunded { amount, .. } => {
            order.refunded = order.refunded.checked_add(amount.amount).unwrap_or(order.refunded);
        }
        EventBody::OrderShipped { parcel, .. } => order.parcel = Some(parcel.clone()),
        EventBody::OrderCancelled { reason } => order.cancel_reason.clone_from(reason),
        EventBody::OrderPlaced(_)
        | EventBody::PaymentDeclined { .. }
        | EventBody::PreparationStarted
        | EventBody::OrderDelivered
        | EventBody::DeliveryFailed { .. }
        | EventBody::OrderCompleted
        | EventBody::ReturnRequested { .. }
        | EventBody::OrderReturned { .. } => {}
    }
}

/// Records that an event did not fit. Beyond the bound the snapshot stays as it is, so it does not grow.
fn reject(mut order: Order, event: &Event, rejection: Rejection) -> Folded {
    if order.recorded.len() < MAX_RECORDED_EVENTS {
        if is_anomaly(event.body.kind(), rejection) {
            order.anomalies = order.anomalies.saturating_add(1);
        }
        record(&mut order, event);
    }
    Folded { order: Some(order), outcome: Outcome::Rejected(rejection) }
}

/// Whether a person must look: a fact happened that the ledger can't place, or an id stands for two things. Who said
/// which version the event is meant for has foreseen that it may not count.
const fn is_anomaly(kind: EventKind, rejection: Rejection) -> bool {
    matches!(rejection, Rejection::EventIdReused)
        || (kind.is_fact() && !matches!(rejection, Rejection::StaleVersion))
}

fn record(order: &mut Order, event: &Event) {
    order.version = order.version.next();
    order.head = order.head.chain(event.digest);
    order.recorded.push(Recorded { event_id: event.id, fingerprint: event.fingerprint });
}
