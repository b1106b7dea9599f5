//! Every fault is named, with the path of its field, in the order of the fields.

use codec::{
    DecodeError, Violations, decode_details, decode_event, decode_snapshot, decode_state_change,
    encode_details, encode_event, encode_snapshot, encode_state_change,
};
use events::{MAX_LABELS, MAX_LINES};
use prost::Message as _;
use proto::v1::{self, order_event::Body};
use testkit::sample::{changes, details, folded, lifecycle, order_id, placed};

/// Each fault as `field: description`.
fn faults(violations: &Violations) -> Vec<String> {
    let all = violations.as_slice().iter();
    all.map(|fault| format!("{}: {}", fault.field, fault.description)).collect()
}

fn faults_of_details(change: impl FnOnce(&mut v1::OrderDetails)) -> Vec<String> {
    let mut message = encode_details(&details());
    change(&mut message);
    faults(&decode_details(&message).unwrap_err())
}

fn faults_of_event(body: Body) -> Vec<String> {
    let mut message = v1::OrderEvent::decode(encode_event(&placed(order_id(1)))).unwrap();
    message.body = Some(body);
    match decode_event(&message.encode_to_vec()) {
        Err(DecodeError::Invalid(violations)) => faults(&violations),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_empty_order_lacks_everything() {
    let empty = decode_details(&v1::OrderDetails::default()).unwrap_err();
    assert_eq!(
        faults(&empty),
        [
            "currency_code: must be an ISO 4217 currency code such as CLP, EUR or USD",
            "lines: must have at least one line",
            "customer: must be given",
            "shipping_address: must not be empty",
            "region: must not be empty",
            "payment: must be given",
        ]
    );
}

#[test]
fn every_bad_field_of_an_order_is_named_at_once() {
    let long = |length| "x".repeat(length);
    let found = faults_of_details(|details| {
        details.currency_code = "clp".to_owned();
        details.lines[0].quantity = 0;
        details.lines[1].sku = long(65);
        details.lines[1].name = "\u{7}".to_owned();
        details.lines[1].unit_price_minor = -1;
        let customer = details.customer.as_mut().unwrap();
        customer.email = "ana".to_owned();
        customer.name = long(201);
        customer.locale = "es CL".to_owned();
        details.shipping_address = long(501);
        details.region = " ".to_owned();
        let payment = details.payment.as_mut().unwrap();
        payment.gateway = String::new();
        payment.card_brand = long(65);
        payment.bank = long(101);
        details.labels = [(long(64), long(256)), ("good".to_owned(), String::new())].into();
    });
    assert_eq!(
        found,
        [
            "currency_code: must be an ISO 4217 currency code such as CLP, EUR or USD",
            "lines[0].quantity: must be 1 or more",
            "lines[1].sku: must have at most 64 characters, has 65",
            "lines[1].name: must not contain control characters",
            "lines[1].unit_price_minor: must not be negative",
            "customer.email: must be a mail address such as ana@example.com",
            "customer.name: must have at most 200 characters, has 201",
            "customer.locale: must be a language tag such as es-CL",
            "shipping_address: must have at most 500 characters, has 501",
            "region: must not be empty",
            "payment.gateway: must not be empty",
            "payment.card_brand: must have at most 64 characters, has 65",
            "payment.bank: must have at most 100 characters, has 101",
            "labels[\"good\"]: must not be empty",
            &format!("labels[\"{}\"] key: must have at most 63 characters, has 64", long(64)),
            &format!("labels[\"{}\"]: must have at most 255 characters, has 256", long(64)),
        ]
    );
}

#[test]
fn too_much_is_told_once() {
    let found = faults_of_details(|details| {
        details.lines = vec![details.lines[0].clone(); MAX_LINES + 1];
        details.labels = (0..=MAX_LABELS).map(|n| (format!("label {n}"), "x".to_owned())).collect();
    });
    assert_eq!(
        found,
        [
            "lines: must have at most 500 lines, has 501",
            "labels: must have at most 32 labels, has 33"
        ]
    );
}

#[test]
fn more_money_than_can_be_counted_is_a_fault_of_the_lines() {
    let found = faults_of_details(|details| details.lines[0].unit_price_minor = i64::MAX);
    assert_eq!(found, ["lines: add up to more money than can be counted"]);
}

#[test]
fn every_bad_field_around_an_event_is_named_at_once() {
    let message = v1::OrderEvent {
        event_id: "1".to_owned(),
        order_id: order_id(1).to_string().to_uppercase(),
        occurred_at: Some(prost_types::Timestamp { seconds: 0, nanos: -1 }),
        actor: "\0".to_owned(),
        expected_version: 0,
        body: Some(Body::OrderPlaced(v1::OrderPlaced { details: None })),
    };
    let Err(DecodeError::Invalid(violations)) = decode_event(&message.encode_to_vec()) else {
        panic!("it decodes")
    };
    assert_eq!(
        faults(&violations),
        [
            "event_id: must be a UUID",
            "order_id: must be a UUID in lower case with hyphens",
            "occurred_at: must be an instant",
            "actor: must not contain control characters",
            "order_placed.details: must be given",
        ]
    );
    assert_eq!(violations.to_string(), faults(&violations).join("; ").replace(": ", " "));
}

#[test]
fn every_bad_field_of_what_happened_is_named_at_once() {
    let long = |length| "x".repeat(length);
    let bad_money = Some(v1::Money { currency_code: "XXXX".to_owned(), minor_units: -1 });
    let money_faults = |event: &str| {
        vec![
            format!(
                "{event}.amount.currency_code: must be an ISO 4217 currency code such as CLP, EUR or USD"
            ),
            format!("{event}.amount.minor_units: must not be negative"),
            format!("{event}.reference: must have at most 200 characters, has 201"),
        ]
    };
    let captured = v1::PaymentCaptured { amount: bad_money.clone(), reference: long(201) };
    assert_eq!(faults_of_event(Body::PaymentCaptured(captured)), money_faults("payment_captured"));
    let refunded = v1::PaymentRefunded { amount: bad_money, reference: long(201), lines: vec![] };
    assert_eq!(faults_of_event(Body::PaymentRefunded(refunded)), money_faults("payment_refunded"));
    let nothing = v1::PaymentCaptured { amount: None, reference: String::new() };
    assert_eq!(
        faults_of_event(Body::PaymentCaptured(nothing)),
        ["payment_captured.amount: must be given"]
    );

    let reason = long(501);
    let too_long = "must have at most 500 characters, has 501";
    for (body, field) in [
        (Body::PaymentDeclined(v1::PaymentDeclined { reason: reason.clone() }), "payment_declined"),
        (Body::DeliveryFailed(v1::DeliveryFailed { reason: reason.clone() }), "delivery_failed"),
        (Body::OrderCancelled(v1::OrderCancelled { reason: reason.clone() }), "order_cancelled"),
        (Body::ReturnRequested(v1::ReturnRequested { reason, lines: vec![] }), "return_requested"),
    ] {
        assert_eq!(faults_of_event(body), [format!("{field}.reason: {too_long}")]);
    }

    let parcel = v1::Parcel { carrier: String::new(), tracking_number: long(101) };
    assert_eq!(
        faults_of_event(Body::OrderShipped(v1::OrderShipped {
            parcel: Some(parcel),
            lines: vec![]
        })),
        [
            "order_shipped.parcel.carrier: must not be empty",
            "order_shipped.parcel.tracking_number: must have at most 100 characters, has 101",
        ]
    );
    let lost =
        faults_of_event(Body::OrderShipped(v1::OrderShipped { parcel: None, lines: vec![] }));
    assert_eq!(lost, ["order_shipped.parcel: must be given"]);

    let lines = |lines: &[(u32, u32)]| -> Vec<_> {
        lines.iter().map(|&(line, quantity)| v1::LineQuantity { line, quantity }).collect()
    };
    for (bad, fault) in [
        (lines(&[(0, 1)]), "must name lines from 1"),
        (lines(&[(1, 0)]), "must have quantities of at least 1"),
        (lines(&[(2, 1), (2, 1)]), "must name line 2 only once"),
    ] {
        let returned = Body::OrderReturned(v1::OrderReturned { lines: bad });
        assert_eq!(faults_of_event(returned), [format!("order_returned.lines: {fault}")]);
    }

    let mut bad = encode_details(&details());
    bad.region = String::new();
    let placed = Body::OrderPlaced(v1::OrderPlaced { details: Some(bad) });
    assert_eq!(faults_of_event(placed), ["order_placed.details.region: must not be empty"]);
}

/// Only instants that every store keeps: from the year 1 to 9999, to the microsecond.
#[test]
fn instants_have_bounds() {
    let good = v1::OrderEvent::decode(encode_event(&lifecycle(order_id(1))[2])).unwrap();
    for (seconds, nanos, fits) in [
        (-62_135_596_800, 0, true),
        (-62_135_596_801, 999_999_999, false),
        (253_402_300_799, 999_999_999, true),
        (253_402_300_800, 0, false),
        (i64::MAX, 0, false),
        (i64::MIN, 0, false),
        (0, 1_000_000_000, false),
        (0, i32::MIN, false),
    ] {
        let at = prost_types::Timestamp { seconds, nanos };
        let message = v1::OrderEvent { occurred_at: Some(at), ..good.clone() };
        let decoded = decode_event(&message.encode_to_vec());
        assert_eq!(decoded.is_ok(), fits, "{at:?}");
        if let Ok(event) = decoded {
            assert_eq!(event.occurred_at.timestamp_subsec_nanos() % 1_000, 0, "{at:?}");
        }
    }
    let never = v1::OrderEvent { occurred_at: None, ..good };
    assert!(decode_event(&never.encode_to_vec()).is_err());
}

/// A snapshot or a state change that breaks what is true of every order was not written by this program.
#[test]
fn an_order_that_can_not_be_is_told() {
    let order = folded(&lifecycle(order_id(1)));
    let good = v1::OrderSnapshot::decode(encode_snapshot(&order)).unwrap();
    let faults_of_snapshot = |change: &dyn Fn(&mut v1::Order)| {
        let mut message = good.clone();
        change(message.order.as_mut().unwrap());
        match decode_snapshot(&message.encode_to_vec()) {
            Err(DecodeError::Invalid(violations)) => faults(&violations),
            other => panic!("{other:?}"),
        }
    };
    let total = order.details.total().get();
    for (found, expected) in [
        (faults_of_snapshot(&|order| order.state = 99), "order.state: is not known"),
        (
            faults_of_snapshot(&|order| order.version = 7),
            "recorded: must be as many as the order's version says",
        ),
        (
            faults_of_snapshot(&|order| order.captured_minor = total + 1),
            "order.captured_minor: must be at most the total",
        ),
        (
            faults_of_snapshot(&|order| order.refunded_minor = total + 1),
            "order.refunded_minor: must be at most what was captured",
        ),
        (
            faults_of_snapshot(&|order| order.captured_minor = -1),
            "order.captured_minor: must not be negative",
        ),
        (
            faults_of_snapshot(&|order| order.progress.truncate(1)),
            "order.progress: must be as many as the order has lines",
        ),
        (
            faults_of_snapshot(&|order| order.progress[0].shipped += 1),
            "order.progress: must be at most what came before",
        ),
        (
            faults_of_snapshot(&|order| order.progress[1].returned = 1),
            "order.progress: must be at most what came before",
        ),
    ] {
        assert_eq!(found, [expected]);
    }
}

/// Not taken for the first one, which comes from no state at all.
#[test]
fn a_change_from_a_state_of_a_later_version_is_told() {
    let changes = changes(&lifecycle(order_id(1)));
    let mut message = v1::OrderStateChanged::decode(encode_state_change(&changes[1])).unwrap();
    message.from = 99;
    match decode_state_change(&message.encode_to_vec()) {
        Err(DecodeError::Invalid(violations)) => {
            assert_eq!(faults(&violations), ["from: is not known"]);
        }
        other => panic!("{other:?}"),
    }
}
