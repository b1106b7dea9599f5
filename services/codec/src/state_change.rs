//! State changes: the values of `orders.state-changed`.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use events::{EventId, EventKind, Order, Rejection, State, micros_between};
use ports::{Offset, Partition, Position};
use prost::Message as _;
use proto::v1;

use crate::{
    DecodeError, Violations,
    snapshot::{order_from_proto, order_to_proto, state_from_proto, state_to_proto},
    time,
};

/// What one recorded event did to its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateChange {
    /// Which event.
    pub event_id: EventId,
    /// Of which kind.
    pub kind: EventKind,
    /// What it did.
    pub outcome: StateChangeOutcome,
    /// Who reported it; empty if no one said.
    pub actor: String,
    /// When the order came into the state that it was in before; `None` for the first, and in announcements that were made
    /// before they told it.
    pub from_entered_at: Option<DateTime<Utc>>,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// Where it stands in `orders.events`.
    pub position: Position,
    /// The order afterwards, its version the change's. Once decoded, without the list of what was recorded.
    pub order: Order,
}

/// What a recorded event did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateChangeOutcome {
    /// It moved the order from there (`None` for the first) to where it is.
    Applied {
        /// The state before.
        from: Option<State>,
    },
    /// It was rejected; the order is where it was.
    Rejected(Rejection),
}

impl StateChange {
    /// The state that the order left, and the microseconds that it was there this time; `None` if it stayed, was placed, or
    /// no one told when it came there.
    #[must_use]
    pub fn left(&self) -> Option<(State, u64)> {
        self.entered()?;
        let StateChangeOutcome::Applied { from: Some(from) } = self.outcome else { return None };
        Some((from, micros_between(self.from_entered_at?, self.occurred_at)))
    }

    /// The state that the order newly came into: `None` if it stayed where it was.
    #[must_use]
    pub fn entered(&self) -> Option<State> {
        match self.outcome {
            StateChangeOutcome::Applied { from } if from != Some(self.order.state) => {
                Some(self.order.state)
            }
            StateChangeOutcome::Applied { .. } | StateChangeOutcome::Rejected(_) => None,
        }
    }
}

/// No state: the order did not exist.
const UNSPECIFIED: i32 = v1::OrderState::Unspecified as i32;

/// The value of a record of `orders.state-changed`.
#[must_use]
pub fn encode_state_change(change: &StateChange) -> Bytes {
    let (from, rejection) = match change.outcome {
        StateChangeOutcome::Applied { from } => (from, String::new()),
        StateChangeOutcome::Rejected(reason) => {
            (Some(change.order.state), reason.name().to_owned())
        }
    };
    v1::OrderStateChanged {
        from: from.map_or(UNSPECIFIED, |state| state_to_proto(state).into()),
        to: state_to_proto(change.order.state).into(),
        event_type: change.kind.name().to_owned(),
        event_id: change.event_id.to_string(),
        rejection,
        actor: change.actor.clone(),
        occurred_at: Some(time::to_proto(change.occurred_at)),
        position: Some(v1::LogPosition {
            partition: change.position.partition.0,
            offset: change.position.offset.0,
        }),
        order: Some(order_to_proto(&change.order)),
        from_entered_at: change.from_entered_at.map(time::to_proto),
    }
    .encode_to_vec()
    .into()
}

/// Parses the value of a record of `orders.state-changed`.
///
/// # Errors
/// [`DecodeError`].
pub fn decode_state_change(value: &[u8]) -> Result<StateChange, DecodeError> {
    let message = v1::OrderStateChanged::decode(value)?;
    let mut faults = Violations::default();
    let order = faults
        .check("order", message.order.as_ref().ok_or("must be given"))
        .and_then(|order| order_from_proto(order, &mut faults));
    let event_id = faults.check("event_id", message.event_id.parse::<EventId>());
    let kind =
        faults.check("event_type", EventKind::from_name(&message.event_type).ok_or("is not known"));
    let occurred_at = faults.check(
        "occurred_at",
        time::from_proto(message.occurred_at.as_ref()).ok_or("must be an instant"),
    );
    let from_entered_at = faults.check("from_entered_at", optional_instant(&message));
    let position = faults.check("position", message.position.as_ref().ok_or("must be given"));
    let outcome = if message.rejection.is_empty() {
        let from = match message.from {
            UNSPECIFIED => Some(None),
            from => faults.check("from", state_from_proto(from).ok_or("is not known")).map(Some),
        };
        from.map(|from| StateChangeOutcome::Applied { from })
    } else {
        faults
            .check("rejection", Rejection::from_name(&message.rejection).ok_or("is not known"))
            .map(StateChangeOutcome::Rejected)
    };
    match (order, event_id, kind, from_entered_at.zip(occurred_at), position, outcome) {
        (
            Some(order),
            Some(event_id),
            Some(kind),
            Some((from_entered_at, occurred_at)),
            Some(position),
            Some(outcome),
        ) if faults.is_empty() => Ok(StateChange {
            event_id,
            kind,
            outcome,
            actor: message.actor,
            from_entered_at,
            occurred_at,
            position: Position {
                partition: Partition(position.partition),
                offset: Offset(position.offset),
            },
            order,
        }),
        _ => Err(faults.into()),
    }
}

fn optional_instant(
    message: &v1::OrderStateChanged,
) -> Result<Option<DateTime<Utc>>, &'static str> {
    match &message.from_entered_at {
        None => Ok(None),
        Some(at) => time::from_proto(Some(at)).map(Some).ok_or("must be an instant"),
    }
}
