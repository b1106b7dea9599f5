//! Commands: what a caller wants, checked against the order as it stands, before the fold has the last word.

use crate::{
    EventBody, EventKind, Money, Order, Parcel, Rejection, State, Text, Version, allowed_events,
    fold::check,
};

/// What a caller reports or asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A payment came in.
    CapturePayment {
        /// How much; `None` means all that is still to be paid.
        amount: Option<Money>,
        /// The provider's own id.
        reference: Option<Text<200>>,
    },
    /// Picking and packing began.
    StartPreparation,
    /// The carrier took it.
    Ship(Parcel),
    /// The customer has it.
    Deliver,
    /// The order is over.
    Complete,
    /// Call it off.
    Cancel {
        /// Why.
        reason: Option<Text<500>>,
    },
}

/// A friendly, early no, with what would be possible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{event} is not possible: {rejection}; the order is {state} at version {version}")]
pub struct Refusal {
    /// What was wanted.
    pub event: EventKind,
    /// Why not.
    pub rejection: Rejection,
    /// Where the order stands.
    pub state: State,
    /// At which version.
    pub version: Version,
}

impl Refusal {
    /// What may happen to the order instead, in the order of the table.
    pub fn allowed(&self) -> impl Iterator<Item = EventKind> {
        allowed_events(Some(self.state))
    }
}

/// Turns a command into the event to append, or refuses it as the fold would if it came next.
///
/// # Errors
/// [`Refusal`].
pub fn decide(order: &Order, command: Command) -> Result<EventBody, Refusal> {
    let body = match command {
        Command::CapturePayment { amount, reference } => EventBody::PaymentCaptured {
            amount: amount.unwrap_or_else(|| Money {
                amount: order.to_capture(),
                currency: order.details.currency(),
            }),
            reference,
        },
        Command::StartPreparation => EventBody::PreparationStarted,
        Command::Ship(parcel) => EventBody::OrderShipped(parcel),
        Command::Deliver => EventBody::OrderDelivered,
        Command::Complete => EventBody::OrderCompleted,
        Command::Cancel { reason } => EventBody::OrderCancelled { reason },
    };
    match check(order, &body) {
        Ok(_) => Ok(body),
        Err(rejection) => Err(Refusal {
            event: body.kind(),
            rejection,
            state: order.state,
            version: order.version,
        }),
    }
}
