//! The state machine: one table. The diagram, the database's CHECK and the answers about allowed moves come from it.

use std::fmt::{self, Write as _};

use crate::EventKind;

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Accepted, not paid.
    Placed,
    /// Paid in full.
    Paid,
    /// The payment was declined; a later one recovers it.
    PaymentFailed,
    /// Being picked and packed.
    Preparing,
    /// With the carrier.
    Shipped,
    /// With the customer.
    Delivered,
    /// The carrier could not hand it over.
    DeliveryFailed,
    /// Over and done.
    Completed,
    /// Called off before shipping.
    Cancelled,
    /// The customer wants to send it back.
    ReturnRequested,
    /// Back in the warehouse.
    Returned,
    /// All that was captured was paid back.
    Refunded,
}

impl State {
    /// Every state, in the order of the table.
    pub const ALL: [Self; 12] = [
        Self::Placed,
        Self::Paid,
        Self::PaymentFailed,
        Self::Preparing,
        Self::Shipped,
        Self::Delivered,
        Self::DeliveryFailed,
        Self::Completed,
        Self::Cancelled,
        Self::ReturnRequested,
        Self::Returned,
        Self::Refunded,
    ];

    /// The name, the same in every store, topic and document.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Placed => "Placed",
            Self::Paid => "Paid",
            Self::PaymentFailed => "PaymentFailed",
            Self::Preparing => "Preparing",
            Self::Shipped => "Shipped",
            Self::Delivered => "Delivered",
            Self::DeliveryFailed => "DeliveryFailed",
            Self::Completed => "Completed",
            Self::Cancelled => "Cancelled",
            Self::ReturnRequested => "ReturnRequested",
            Self::Returned => "Returned",
            Self::Refunded => "Refunded",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One row of the table: in `from`, `event` leads to `to`. `from` is `None` before the order exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The state before.
    pub from: Option<State>,
    /// What happens.
    pub event: EventKind,
    /// The state after.
    pub to: State,
}

const fn row(from: State, event: EventKind, to: State) -> Transition {
    Transition { from: Some(from), event, to }
}

/// The whole state machine. What is not here is rejected.
///
/// Four events can say a part, and lead to `to` only once the whole is there; until then the order stays:
/// `PaymentCaptured` out of `Placed` and `PaymentFailed` (when all is paid), `PaymentRefunded` (when all that was
/// captured is paid back), `OrderShipped` out of `Preparing` (when every line is shipped), `OrderReturned` (when all
/// is back that was to come back).
pub const TRANSITIONS: &[Transition] = {
    use EventKind as E;
    use State as S;
    &[
        Transition { from: None, event: E::OrderPlaced, to: S::Placed },
        row(S::Placed, E::PaymentCaptured, S::Paid),
        row(S::Placed, E::PaymentDeclined, S::PaymentFailed),
        // Payment on delivery, or captured elsewhere.
        row(S::Placed, E::PreparationStarted, S::Preparing),
        row(S::Placed, E::OrderCancelled, S::Cancelled),
        row(S::PaymentFailed, E::PaymentCaptured, S::Paid),
        row(S::PaymentFailed, E::PaymentDeclined, S::PaymentFailed),
        row(S::PaymentFailed, E::OrderCancelled, S::Cancelled),
        row(S::Paid, E::PreparationStarted, S::Preparing),
        row(S::Paid, E::OrderCancelled, S::Cancelled),
        row(S::Paid, E::PaymentRefunded, S::Refunded),
        row(S::Preparing, E::PaymentCaptured, S::Preparing),
        row(S::Preparing, E::OrderShipped, S::Shipped),
        row(S::Preparing, E::OrderCancelled, S::Cancelled),
        row(S::Preparing, E::PaymentRefunded, S::Refunded),
        row(S::Shipped, E::PaymentCaptured, S::Shipped),
        row(S::Shipped, E::OrderDelivered, S::Delivered),
        row(S::Shipped, E::DeliveryFailed, S::DeliveryFailed),
        row(S::Shipped, E::PaymentRefunded, S::Refunded),
        row(S::Delivered, E::PaymentCaptured, S::Delivered),
        row(S::Delivered, E::OrderCompleted, S::Completed),
        row(S::Delivered, E::ReturnRequested, S::ReturnRequested),
        row(S::Delivered, E::PaymentRefunded, S::Refunded),
        row(S::DeliveryFailed, E::OrderShipped, S::Shipped),
        row(S::DeliveryFailed, E::OrderReturned, S::Returned),
        row(S::DeliveryFailed, E::PaymentRefunded, S::Refunded),
        row(S::Completed, E::PaymentRefunded, S::Refunded),
        row(S::Cancelled, E::PaymentRefunded, S::Refunded),
        row(S::ReturnRequested, E::OrderReturned, S::Returned),
        row(S::ReturnRequested, E::OrderCompleted, S::Completed),
        row(S::ReturnRequested, E::PaymentRefunded, S::Refunded),
        // A part came back before: the rest may follow, or stay for good.
        row(S::Returned, E::ReturnRequested, S::ReturnRequested),
        row(S::Returned, E::OrderCompleted, S::Completed),
        row(S::Returned, E::PaymentRefunded, S::Refunded),
    ]
};

/// Looks a move up in the table.
#[must_use]
pub fn transition(from: Option<State>, event: EventKind) -> Option<State> {
    TRANSITIONS.iter().find(|t| t.from == from && t.event == event).map(|t| t.to)
}

/// What may happen next to an order in `from`, in the order of the table.
pub fn allowed_events(from: Option<State>) -> impl Iterator<Item = EventKind> {
    TRANSITIONS.iter().filter(move |t| t.from == from).map(|t| t.event)
}

/// The table as a Mermaid state diagram; the docs hold exactly this text.
#[must_use]
pub fn mermaid() -> String {
    let mut text = String::from("stateDiagram-v2\n");
    for Transition { from, event, to } in TRANSITIONS {
        let from = from.map_or("[*]", State::name);
        // Writing to a String cannot fail.
        _ = writeln!(text, "    {from} --> {to}: {event}");
    }
    text
}
