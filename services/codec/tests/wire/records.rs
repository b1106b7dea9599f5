//! Records as other Kafka clients see them, and records as other clients write them.

use codec::{DecodeError, ce_type, decode_event, event_record, state_change_record};
use events::{Digest, Event, EventKind};
use ports::NewRecord;
use testkit::sample::{changes, lifecycle, order_id, placed};

fn headers(record: &NewRecord) -> Vec<(&str, &str)> {
    let text = |bytes| std::str::from_utf8(bytes).unwrap();
    record.headers.iter().map(|(name, value)| (name.as_str(), text(value))).collect()
}

#[test]
fn an_events_record_is_a_cloud_event() {
    let event = placed(order_id(1));
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let record = event_record(&event, Some(traceparent.parse().unwrap()));
    assert_eq!(record.key, event.order_id.to_string());
    let id = event.id.to_string();
    assert_eq!(
        headers(&record),
        [
            ("ce_specversion", "1.0"),
            ("ce_id", &id),
            ("ce_type", "orderledger.v1.OrderPlaced"),
            ("ce_source", "/order-ledger/events"),
            ("ce_time", "2026-01-02T03:04:05.678901Z"),
            ("content-type", "application/protobuf"),
            ("traceparent", traceparent),
        ]
    );
    assert_eq!(event_record(&event, None).headers.len(), 6);
}

/// Other processes derive it again after a crash: it follows from order id and version, nothing else.
#[test]
fn a_state_changes_record_has_an_id_that_can_be_derived_again() {
    let changes = changes(&lifecycle(order_id(1)));
    let record = state_change_record(&changes[2]);
    assert_eq!(record.key, order_id(1).to_string());
    let of = |record: &NewRecord, name: &str| {
        headers(record).iter().find(|(header, _)| *header == name).unwrap().1.to_owned()
    };
    assert_eq!(of(&record, "ce_type"), "orderledger.v1.OrderStateChanged");
    assert_eq!(of(&record, "ce_id"), "32522f32-3d28-5e04-8cae-7272a8095f64");
    assert_eq!(state_change_record(&changes[2]), record);
    assert_ne!(of(&state_change_record(&changes[3]), "ce_id"), of(&record, "ce_id"));
}

#[test]
fn types_are_named_after_events() {
    for kind in EventKind::ALL {
        assert_eq!(ce_type(kind), format!("orderledger.v1.{}", kind.name()));
    }
}

/// The value alone says what happened: headers may be missing or foreign.
#[test]
fn a_value_is_read_without_its_headers() {
    let event = placed(order_id(1));
    let NewRecord { value, .. } = event_record(&event, None);
    assert_eq!(decode_event(&value).unwrap(), event);
}

/// A later version's fields are passed over, with the same fingerprint; its new events are told from garbage.
#[test]
fn a_later_versions_message_is_understood_as_far_as_possible() {
    let event = placed(order_id(1));
    let mut longer = event_record(&event, None).value.to_vec();
    // Field 99, a string.
    longer.extend([0x9a, 0x06, 0x03, b'n', b'e', b'w']);
    let digest = Digest::of(&longer);
    assert_ne!(digest, event.digest);
    assert_eq!(decode_event(&longer).unwrap(), Event { digest, ..event });

    // Field 40, a message, where this version looks for what happened.
    let unknown = [0xc2, 0x02, 0x00];
    assert!(matches!(decode_event(&unknown), Err(DecodeError::UnknownType)));
    assert!(matches!(decode_event(&[]), Err(DecodeError::UnknownType)));
    assert!(matches!(decode_event(b"\xffnot protobuf"), Err(DecodeError::Malformed(_))));
}
