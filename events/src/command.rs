//! Commands: what a caller wants, checked against the order as it stands, before the fold has the last word.

use crate::{
    EventBody, EventKind, Money, Order, Parcel, Pieces, Rejection, State, Text, Version,
    allowed_events, fold::check,
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
    /// The payment provider said no.
    DeclinePayment {
        /// Why.
        reason: Option<Text<500>>,
    },
    /// Picking and packing began.
    StartPreparation,
    /// The carrier took it, or a part of it.
    Ship {
        /// The carrier's parcel.
        parcel: Parcel,
        /// What is in it; empty: all that was not shipped yet.
        pieces: Pieces,
    },
    /// The customer has it.
    Deliver,
    /// The carrier could not hand it over.
    FailDelivery {
        /// Why.
        reason: Option<Text<500>>,
    },
    /// The order is over.
    Complete,
    /// Call it off.
    Cancel {
        /// Why.
        reason: Option<Text<500>>,
    },
    /// Ask for a return.
    RequestReturn {
        /// Why.
        reason: Option<Text<500>>,
        /// What is to come back; empty: all that was shipped and is not asked back yet.
        pieces: Pieces,
    },
    /// It, or a part of it, came back.
    Return {
        /// What came back; empty: all that was to come back.
        pieces: Pieces,
    },
    /// Money went back.
    Refund {
        /// How much; `None` means all that was captured and not refunded.
        amount: Option<Money>,
        /// The provider's own id.
        reference: Option<Text<200>>,
        /// What the money is for; empty: nothing in particular.
        pieces: Pieces,
    },
}

impl Command {
    /// The kind of event that the command leads to.
    #[must_use]
    pub const fn kind(&self) -> EventKind {
        match self {
            Self::CapturePayment { .. } => EventKind::PaymentCaptured,
            Self::DeclinePayment { .. } => EventKind::PaymentDeclined,
            Self::StartPreparation => EventKind::PreparationStarted,
            Self::Ship { .. } => EventKind::OrderShipped,
            Self::Deliver => EventKind::OrderDelivered,
            Self::FailDelivery { .. } => EventKind::DeliveryFailed,
            Self::Complete => EventKind::OrderCompleted,
            Self::Cancel { .. } => EventKind::OrderCancelled,
            Self::RequestReturn { .. } => EventKind::ReturnRequested,
            Self::Return { .. } => EventKind::OrderReturned,
            Self::Refund { .. } => EventKind::PaymentRefunded,
        }
    }

    /// Whether the event's content is taken from the order ("what is still to be paid"), which must then be current.
    #[must_use]
    pub const fn depends_on_order(&self) -> bool {
        matches!(
            self,
            Self::CapturePayment { amount: None, .. } | Self::Refund { amount: None, .. }
        )
    }

    /// The event that this is of `order`.
    #[must_use]
    pub fn into_body(self, order: &Order) -> EventBody {
        let currency = order.details.currency();
        match self {
            Self::CapturePayment { amount, reference } => EventBody::PaymentCaptured {
                amount: amount.unwrap_or_else(|| Money { amount: order.to_capture(), currency }),
                reference,
            },
            Self::DeclinePayment { reason } => EventBody::PaymentDeclined { reason },
            Self::StartPreparation => EventBody::PreparationStarted,
            Self::Ship { parcel, pieces } => EventBody::OrderShipped { parcel, pieces },
            Self::Deliver => EventBody::OrderDelivered,
            Self::FailDelivery { reason } => EventBody::DeliveryFailed { reason },
            Self::Complete => EventBody::OrderCompleted,
            Self::Cancel { reason } => EventBody::OrderCancelled { reason },
            Self::RequestReturn { reason, pieces } => EventBody::ReturnRequested { reason, pieces },
            Self::Return { pieces } => EventBody::OrderReturned { pieces },
            Self::Refund { amount, reference, pieces } => EventBody::PaymentRefunded {
                amount: amount.unwrap_or_else(|| Money { amount: order.to_refund(), currency }),
                reference,
                pieces,
            },
        }
    }

    /// Whether `body` is what this asks for. An amount left open asks for whatever it was then.
    #[must_use]
    pub fn is(&self, body: &EventBody, order: &Order) -> bool {
        let mut asked = self.clone();
        if let Self::CapturePayment { amount, .. } | Self::Refund { amount, .. } = &mut asked
            && let EventBody::PaymentCaptured { amount: then, .. }
            | EventBody::PaymentRefunded { amount: then, .. } = body
        {
            amount.get_or_insert(*then);
        }
        asked.into_body(order) == *body
    }
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
        // The table has an arrow for it, and no cancellation of this order will take it any more.
        let never =
            (self.rejection == Rejection::PartlyShipped).then_some(EventKind::OrderCancelled);
        allowed_events(Some(self.state)).filter(move |event| Some(*event) != never)
    }
}

/// Turns a command into the event to append, or refuses it as the fold would if it came next.
///
/// # Errors
/// [`Refusal`].
pub fn decide(
    order: &Order,
    command: Command,
    expected_version: Option<Version>,
) -> Result<EventBody, Refusal> {
    let body = command.into_body(order);
    match check(order, &body, expected_version) {
        Ok(_) => Ok(body),
        Err(rejection) => Err(Refusal {
            event: body.kind(),
            rejection,
            state: order.state,
            version: order.version,
        }),
    }
}
