//! Events, between the bytes of a log record and the domain.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use events::{
    Digest, Event, EventBody, EventId, Fingerprint, MinorUnits, Money, OrderId, Parcel, Pieces,
    Text, Version,
};
use prost::Message as _;
use proto::v1::{self, order_event::Body};
use uuid::Uuid;

use crate::{
    DecodeError, Violations,
    details::{currency, decode_details, encode_details, optional},
    time,
};

/// Puts an event together from its parts; its fingerprint and its digest are those of its encoding here.
#[must_use]
pub fn new_event(
    id: EventId,
    order_id: OrderId,
    occurred_at: DateTime<Utc>,
    actor: Option<Text<100>>,
    expected_version: Option<Version>,
    body: EventBody,
) -> Event {
    let (fingerprint, digest) = (fingerprint(&body), Digest::ZERO);
    let event =
        Event { id, order_id, occurred_at, actor, expected_version, fingerprint, digest, body };
    Event { digest: Digest::of(&encode_event(&event)), ..event }
}

/// The first 8 bytes of BLAKE3 over the body as encoded here, whoever encoded it first.
#[must_use]
pub fn fingerprint(body: &EventBody) -> Fingerprint {
    let encoded = v1::OrderEvent { body: Some(encode_body(body)), ..Default::default() };
    let hash = blake3::hash(&encoded.encode_to_vec());
    let mut first = [0; 8];
    first.copy_from_slice(hash.as_bytes().first_chunk::<8>().unwrap_or(&[0; 8]));
    Fingerprint::new(u64::from_le_bytes(first))
}

/// The value of a record of `orders.events`.
#[must_use]
pub fn encode_event(event: &Event) -> Bytes {
    v1::OrderEvent {
        event_id: event.id.to_string(),
        order_id: event.order_id.to_string(),
        occurred_at: Some(time::to_proto(event.occurred_at)),
        actor: optional(event.actor.as_ref()),
        expected_version: event.expected_version.map_or(0, Version::get),
        body: Some(encode_body(&event.body)),
    }
    .encode_to_vec()
    .into()
}

/// Parses the value of a record of `orders.events`.
///
/// # Errors
/// [`DecodeError`].
pub fn decode_event(value: &[u8]) -> Result<Event, DecodeError> {
    let message = v1::OrderEvent::decode(value)?;
    let Some(body) = &message.body else {
        return Err(DecodeError::UnknownType);
    };
    let mut faults = Violations::default();
    let id = faults.check("event_id", uuid(&message.event_id));
    let order_id = faults.check("order_id", uuid(&message.order_id));
    let occurred_at = faults.check(
        "occurred_at",
        time::from_proto(message.occurred_at.as_ref()).ok_or("must be an instant"),
    );
    let actor = faults.check("actor", Text::optional(&message.actor));
    let body = decode_body(body, &mut faults);
    match (id, order_id, occurred_at, actor, body) {
        (Some(id), Some(order_id), Some(occurred_at), Some(actor), Some(body))
            if faults.is_empty() =>
        {
            Ok(Event {
                id: EventId::new(id),
                order_id: OrderId::new(order_id),
                occurred_at,
                actor,
                expected_version: decode_version(message.expected_version),
                fingerprint: fingerprint(&body),
                digest: Digest::of(value),
                body,
            })
        }
        _ => Err(faults.into()),
    }
}

/// Parses a version that may be left out, which 0 stands for.
#[must_use]
pub fn decode_version(version: u64) -> Option<Version> {
    (version > 0).then(|| Version::new(version))
}

fn uuid(text: &str) -> Result<Uuid, &'static str> {
    // Only the canonical form: the record's key is compared with it as text.
    let uuid = Uuid::try_parse(text).map_err(|_| "must be a UUID")?;
    let mut buffer = Uuid::encode_buffer();
    if uuid.hyphenated().encode_lower(&mut buffer) == text {
        Ok(uuid)
    } else {
        Err("must be a UUID in lower case with hyphens")
    }
}

fn encode_body(body: &EventBody) -> Body {
    match body {
        EventBody::OrderPlaced(details) => {
            Body::OrderPlaced(v1::OrderPlaced { details: Some(encode_details(details)) })
        }
        EventBody::PaymentCaptured { amount, reference } => {
            Body::PaymentCaptured(v1::PaymentCaptured {
                amount: Some(encode_money(*amount)),
                reference: optional(reference.as_ref()),
            })
        }
        EventBody::PaymentDeclined { reason } => {
            Body::PaymentDeclined(v1::PaymentDeclined { reason: optional(reason.as_ref()) })
        }
        EventBody::PreparationStarted => Body::PreparationStarted(v1::PreparationStarted {}),
        EventBody::OrderShipped { parcel, pieces } => Body::OrderShipped(v1::OrderShipped {
            parcel: Some(encode_parcel(parcel)),
            lines: encode_pieces(pieces),
        }),
        EventBody::OrderDelivered => Body::OrderDelivered(v1::OrderDelivered {}),
        EventBody::DeliveryFailed { reason } => {
            Body::DeliveryFailed(v1::DeliveryFailed { reason: optional(reason.as_ref()) })
        }
        EventBody::OrderCompleted => Body::OrderCompleted(v1::OrderCompleted {}),
        EventBody::OrderCancelled { reason } => {
            Body::OrderCancelled(v1::OrderCancelled { reason: optional(reason.as_ref()) })
        }
        EventBody::ReturnRequested { reason, pieces } => {
            Body::ReturnRequested(v1::ReturnRequested {
                reason: optional(reason.as_ref()),
                lines: encode_pieces(pieces),
            })
        }
        EventBody::OrderReturned { pieces } => {
            Body::OrderReturned(v1::OrderReturned { lines: encode_pieces(pieces) })
        }
        EventBody::PaymentRefunded { amount, reference, pieces } => {
            Body::PaymentRefunded(v1::PaymentRefunded {
                amount: Some(encode_money(*amount)),
                reference: optional(reference.as_ref()),
                lines: encode_pieces(pieces),
            })
        }
    }
}

fn decode_body(body: &Body, faults: &mut Violations) -> Option<EventBody> {
    Some(match body {
        Body::OrderPlaced(placed) => {
            let Some(details) = &placed.details else {
                faults.add("order_placed.details", "must be given");
                return None;
            };
            match decode_details(details) {
                Ok(details) => EventBody::OrderPlaced(Box::new(details)),
                Err(nested) => {
                    faults.nest("order_placed.details", nested);
                    return None;
                }
            }
        }
        Body::PaymentCaptured(captured) => {
            let amount = decode_money("payment_captured.amount", captured.amount.as_ref(), faults);
            let reference =
                faults.check("payment_captured.reference", Text::optional(&captured.reference));
            EventBody::PaymentCaptured { amount: amount?, reference: reference? }
        }
        Body::PaymentDeclined(declined) => EventBody::PaymentDeclined {
            reason: faults.check("payment_declined.reason", Text::optional(&declined.reason))?,
        },
        Body::PreparationStarted(_) => EventBody::PreparationStarted,
        Body::OrderShipped(shipped) => {
            let parcel = decode_parcel("order_shipped.parcel", shipped.parcel.as_ref(), faults);
            let pieces = decode_pieces("order_shipped.lines", &shipped.lines, faults);
            EventBody::OrderShipped { parcel: parcel?, pieces: pieces? }
        }
        Body::OrderDelivered(_) => EventBody::OrderDelivered,
        Body::DeliveryFailed(failed) => EventBody::DeliveryFailed {
            reason: faults.check("delivery_failed.reason", Text::optional(&failed.reason))?,
        },
        Body::OrderCompleted(_) => EventBody::OrderCompleted,
        Body::OrderCancelled(cancelled) => EventBody::OrderCancelled {
            reason: faults.check("order_cancelled.reason", Text::optional(&cancelled.reason))?,
        },
        Body::ReturnRequested(requested) => {
            let reason = faults.check("return_requested.reason", Text::optional(&requested.reason));
            let pieces = decode_pieces("return_requested.lines", &requested.lines, faults);
            EventBody::ReturnRequested { reason: reason?, pieces: pieces? }
        }
        Body::OrderReturned(returned) => EventBody::OrderReturned {
            pieces: decode_pieces("order_returned.lines", &returned.lines, faults)?,
        },
        Body::PaymentRefunded(refunded) => {
            let amount = decode_money("payment_refunded.amount", refunded.amount.as_ref(), faults);
            let reference =
                faults.check("payment_refunded.reference", Text::optional(&refunded.reference));
            let pieces = decode_pieces("payment_refunded.lines", &refunded.lines, faults);
            EventBody::PaymentRefunded { amount: amount?, reference: reference?, pieces: pieces? }
        }
    })
}

fn encode_money(money: Money) -> v1::Money {
    v1::Money { currency_code: money.currency.code().to_owned(), minor_units: money.amount.get() }
}

/// Parses an amount of money that must be there; faults are noted under `field`.
pub fn decode_money(
    field: &str,
    money: Option<&v1::Money>,
    faults: &mut Violations,
) -> Option<Money> {
    let Some(money) = money else {
        faults.add(field, "must be given");
        return None;
    };
    let currency = faults.check(format!("{field}.currency_code"), currency(&money.currency_code));
    let amount = faults.check(format!("{field}.minor_units"), MinorUnits::new(money.minor_units));
    Some(Money { amount: amount?, currency: currency? })
}

fn encode_pieces(pieces: &Pieces) -> Vec<v1::LineQuantity> {
    pieces.iter().map(|(line, quantity)| v1::LineQuantity { line, quantity }).collect()
}

/// Parses lines and quantities, of which there may be none; faults are noted under `field`.
pub fn decode_pieces(
    field: &str,
    lines: &[v1::LineQuantity],
    faults: &mut Violations,
) -> Option<Pieces> {
    faults.check(field, Pieces::new(lines.iter().map(|line| (line.line, line.quantity))))
}

pub(crate) fn encode_parcel(parcel: &Parcel) -> v1::Parcel {
    v1::Parcel {
        carrier: parcel.carrier.to_string(),
        tracking_number: parcel.tracking_number.to_string(),
    }
}

/// Parses a parcel that must be there; faults are noted under `field`.
pub fn decode_parcel(
    field: &str,
    parcel: Option<&v1::Parcel>,
    faults: &mut Violations,
) -> Option<Parcel> {
    let Some(parcel) = parcel else {
        faults.add(field, "must be given");
        return None;
    };
    let carrier = faults.check(format!("{field}.carrier"), Text::new(&parcel.carrier));
    let tracking_number =
        faults.check(format!("{field}.tracking_number"), Text::new(&parcel.tracking_number));
    Some(Parcel { carrier: carrier?, tracking_number: tracking_number? })
}
