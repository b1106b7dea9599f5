//! Log records: key, value and headers as other Kafka clients read them.
//!
//! Headers follow the Kafka protocol binding of CloudEvents 1.0, binary content mode, and W3C Trace Context.

use bytes::Bytes;
use chrono::SecondsFormat;
use events::{Event, EventId, EventKind};
use ports::{Header, NewRecord, Traceparent};

use crate::{StateChange, encode_event, encode_state_change};

/// The CloudEvents type of an event kind.
#[must_use]
pub fn ce_type(kind: EventKind) -> String {
    format!("orderledger.v1.{kind}")
}

/// The record of an event, which is part of that trace.
#[must_use]
pub fn event_record(event: &Event, traceparent: Option<Traceparent>) -> NewRecord {
    let mut headers = cloud_event(
        event.id,
        &ce_type(event.body.kind()),
        "/order-ledger/events",
        event.occurred_at,
    );
    if let Some(traceparent) = traceparent {
        headers.push(header(Traceparent::HEADER, traceparent.to_string()));
    }
    NewRecord { key: event.order_id.to_string().into(), value: encode_event(event), headers }
}

/// The record of a state change; its id follows from order id and version (promise 5).
#[must_use]
pub fn state_change_record(change: &StateChange) -> NewRecord {
    let id = EventId::derived(change.order.id, &format!("state-changed/{}", change.order.version));
    NewRecord {
        key: change.order.id.to_string().into(),
        value: encode_state_change(change),
        headers: cloud_event(
            id,
            "orderledger.v1.OrderStateChanged",
            "/order-ledger/projector",
            change.occurred_at,
        ),
    }
}

fn cloud_event(
    id: EventId,
    ce_type: &str,
    source: &'static str,
    time: chrono::DateTime<chrono::Utc>,
) -> Vec<Header> {
    vec![
        header("ce_specversion", "1.0"),
        header("ce_id", id.to_string()),
        header("ce_type", ce_type.to_owned()),
        header("ce_source", source),
        header("ce_time", time.to_rfc3339_opts(SecondsFormat::Micros, true)),
        header("content-type", "application/protobuf"),
    ]
}

fn header(name: &str, value: impl Into<Bytes>) -> Header {
    (name.to_owned(), value.into())
}
