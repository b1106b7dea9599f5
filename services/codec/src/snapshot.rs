//! Snapshots, between the stores' bytes and the domain.

use bytes::Bytes;
use events::{
    Digest, EventId, Fingerprint, LineProgress, MinorUnits, Order, OrderDetails, OrderId, Recorded,
    State, Text, TimeSpent, Version,
};
use prost::Message as _;
use proto::v1;
use uuid::Uuid;

use crate::{
    DecodeError, Violations,
    details::{decode_details, encode_details, optional},
    event::{decode_parcel, encode_parcel},
    time,
};

/// A snapshot's bytes; equal orders give equal bytes.
#[must_use]
pub fn encode_snapshot(order: &Order) -> Bytes {
    v1::OrderSnapshot {
        order: Some(order_to_proto(order)),
        recorded: order
            .recorded
            .iter()
            .map(|recorded| v1::RecordedEvent {
                event_id: Bytes::copy_from_slice(recorded.event_id.as_uuid().as_bytes()),
                fingerprint: recorded.fingerprint.get(),
            })
            .collect(),
    }
    .encode_to_vec()
    .into()
}

/// Parses a snapshot's bytes.
///
/// # Errors
/// [`DecodeError`]: the bytes were not written by [`encode_snapshot`].
pub fn decode_snapshot(bytes: &[u8]) -> Result<Order, DecodeError> {
    let snapshot = v1::OrderSnapshot::decode(bytes)?;
    let mut faults = Violations::default();
    let order = faults
        .check("order", snapshot.order.as_ref().ok_or("must be given"))
        .and_then(|order| order_from_proto(order, &mut faults));
    let recorded: Option<Vec<_>> = snapshot.recorded.iter().map(decode_recorded).collect();
    let recorded = faults.check("recorded", recorded.ok_or("must have ids of 16 bytes"));
    if order.as_ref().is_some_and(|order| order.head == Digest::ZERO) {
        // Written before there were chains: it is folded anew from its history.
        faults.add("order.history_hash", "must be given");
    }
    if let (Some(order), Some(recorded)) = (&order, &recorded)
        && u64::try_from(recorded.len()) != Ok(order.version.get())
    {
        // Bytes that were cut off between two entries are a valid message all the same.
        faults.add("recorded", "must be as many as the order's version says");
    }
    match (order, recorded) {
        (Some(order), Some(recorded)) if faults.is_empty() => Ok(Order { recorded, ..order }),
        _ => Err(faults.into()),
    }
}

/// The order in a snapshot's bytes as callers see it, as it was encoded: for whoever passes it on unread.
///
/// # Errors
/// [`DecodeError`]: the bytes were not written by [`encode_snapshot`].
pub fn order_of_snapshot(bytes: &[u8]) -> Result<v1::Order, DecodeError> {
    v1::OrderSnapshot::decode(bytes)?.order.ok_or_else(|| {
        let mut faults = Violations::default();
        faults.add("order", "must be given");
        faults.into()
    })
}

fn decode_recorded(recorded: &v1::RecordedEvent) -> Option<Recorded> {
    Some(Recorded {
        event_id: EventId::new(Uuid::from_slice(&recorded.event_id).ok()?),
        fingerprint: Fingerprint::new(recorded.fingerprint),
    })
}

/// An order as callers see it.
#[must_use]
pub fn order_to_proto(order: &Order) -> v1::Order {
    v1::Order {
        order_id: order.id.to_string(),
        version: order.version.get(),
        state: state_to_proto(order.state).into(),
        details: Some(encode_details(&order.details)),
        total_minor: order.details.total().get(),
        captured_minor: order.captured.get(),
        refunded_minor: order.refunded.get(),
        parcel: order.parcel.as_ref().map(encode_parcel),
        cancel_reason: optional(order.cancel_reason.as_ref()),
        anomalies: order.anomalies,
        placed_at: Some(time::to_proto(order.placed_at)),
        updated_at: Some(time::to_proto(order.updated_at)),
        entered_at: Some(time::to_proto(order.entered_at)),
        progress: order.progress.iter().copied().map(encode_progress).collect(),
        history_hash: Bytes::copy_from_slice(order.head.as_bytes()),
        time_in_states: order.spent.micros().map(encode_spent).collect(),
    }
}

/// Parses an order as callers see it: all but what was recorded.
pub(crate) fn order_from_proto(order: &v1::Order, faults: &mut Violations) -> Option<Order> {
    let id = faults.check("order.order_id", order.order_id.parse::<OrderId>());
    let state = faults.check("order.state", state_from_proto(order.state).ok_or("is not known"));
    let details = match order.details.as_ref().map(decode_details) {
        Some(Ok(details)) => Some(Box::new(details)),
        Some(Err(nested)) => {
            faults.nest("order.details", nested);
            None
        }
        None => {
            faults.add("order.details", "must be given");
            None
        }
    };
    let captured = faults.check("order.captured_minor", MinorUnits::new(order.captured_minor));
    let total = details.as_ref().map(|details| details.total());
    if captured.zip(total).is_some_and(|(captured, total)| captured > total) {
        faults.add("order.captured_minor", "must be at most the total");
    }
    let refunded = faults.check("order.refunded_minor", MinorUnits::new(order.refunded_minor));
    if refunded.zip(captured).is_some_and(|(refunded, captured)| refunded > captured) {
        faults.add("order.refunded_minor", "must be at most what was captured");
    }
    let parcel = match &order.parcel {
        Some(parcel) => decode_parcel("order.parcel", Some(parcel), faults).map(Some),
        None => Some(None),
    };
    let cancel_reason = faults.check("order.cancel_reason", Text::optional(&order.cancel_reason));
    let head = faults.check("order.history_hash", decode_head(&order.history_hash));
    let progress = faults.check("order.progress", decode_progress(order, details.as_deref()));
    let instant = |at| time::from_proto(at).ok_or("must be an instant");
    let placed_at = faults.check("order.placed_at", instant(order.placed_at.as_ref()));
    let entered_at = faults.check("order.entered_at", instant(order.entered_at.as_ref()));
    let updated_at = faults.check("order.updated_at", instant(order.updated_at.as_ref()));
    let spent = faults.check("order.time_in_states", decode_spent(&order.time_in_states));
    Some(Order {
        id: id?,
        version: Version::new(order.version),
        state: state?,
        details: details?,
        captured: captured?,
        refunded: refunded?,
        parcel: parcel?,
        progress: progress?,
        cancel_reason: cancel_reason?,
        anomalies: order.anomalies,
        placed_at: placed_at?,
        entered_at: entered_at?,
        spent: spent?,
        updated_at: updated_at?,
        head: head?,
        recorded: Vec::new(),
    })
}

fn encode_spent((state, micros): (State, u64)) -> v1::TimeInState {
    v1::TimeInState { state: state_to_proto(state).into(), micros }
}

/// None at all is no time: what was written before it was kept is still to be read.
fn decode_spent(spent: &[v1::TimeInState]) -> Result<TimeSpent, &'static str> {
    if !spent.is_sorted_by(|one, next| one.state < next.state) {
        return Err("must have each state once, in their order");
    }
    let state = |spent: &v1::TimeInState| Some((state_from_proto(spent.state)?, spent.micros));
    let states: Option<Vec<_>> = spent.iter().map(state).collect();
    states.map(TimeSpent::new).ok_or("must be of known states")
}

/// None at all is [`Digest::ZERO`]: announcements made before there were chains are still to be read.
fn decode_head(bytes: &[u8]) -> Result<Digest, &'static str> {
    match bytes.try_into() {
        Ok(head) => Ok(Digest::new(head)),
        Err(_) if bytes.is_empty() => Ok(Digest::ZERO),
        Err(_) => Err("must have 32 bytes"),
    }
}

const fn encode_progress(line: LineProgress) -> v1::LineProgress {
    let LineProgress { shipped, return_requested, returned, refunded } = line;
    v1::LineProgress { shipped, return_requested, returned, refunded }
}

fn decode_progress(
    order: &v1::Order,
    details: Option<&OrderDetails>,
) -> Result<Vec<LineProgress>, &'static str> {
    let lines = details.map_or(&[][..], OrderDetails::lines);
    if order.progress.is_empty() || details.is_none() {
        return Ok(Vec::new());
    }
    if order.progress.len() != lines.len() {
        return Err("must be as many as the order has lines");
    }
    let rows = order.progress.iter().zip(lines).map(|(progress, line)| {
        let &v1::LineProgress { shipped, return_requested, returned, refunded } = progress;
        let ordered = line.quantity.get();
        let possible = returned <= return_requested
            && return_requested <= shipped
            && shipped <= ordered
            && refunded <= ordered;
        let progress = LineProgress { shipped, return_requested, returned, refunded };
        possible.then_some(progress).ok_or("must be at most what came before")
    });
    rows.collect()
}

/// The wire's name of a state.
#[must_use]
pub const fn state_to_proto(state: State) -> v1::OrderState {
    match state {
        State::Placed => v1::OrderState::Placed,
        State::Paid => v1::OrderState::Paid,
        State::PaymentFailed => v1::OrderState::PaymentFailed,
        State::Preparing => v1::OrderState::Preparing,
        State::Shipped => v1::OrderState::Shipped,
        State::Delivered => v1::OrderState::Delivered,
        State::DeliveryFailed => v1::OrderState::DeliveryFailed,
        State::Completed => v1::OrderState::Completed,
        State::Cancelled => v1::OrderState::Cancelled,
        State::ReturnRequested => v1::OrderState::ReturnRequested,
        State::Returned => v1::OrderState::Returned,
        State::Refunded => v1::OrderState::Refunded,
    }
}

/// The state of a wire value; `None` for UNSPECIFIED and for what this version does not know.
#[must_use]
pub fn state_from_proto(value: i32) -> Option<State> {
    State::ALL.into_iter().find(|state| i32::from(state_to_proto(*state)) == value)
}
