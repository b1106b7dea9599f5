//! What happens to orders after they are placed.

use std::time::Duration;

use proto::v1;
use testkit::sample;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::system::{System, assert_retryable, bad_fields};

fn parcel() -> Option<v1::Parcel> {
    Some(v1::Parcel { carrier: "Chilexpress".to_owned(), tracking_number: "CX-1".to_owned() })
}

fn ship(order_id: &str, request_id: &str) -> v1::RecordShippedRequest {
    let (order_id, request_id) = (order_id.to_owned(), request_id.to_owned());
    v1::RecordShippedRequest { order_id, request_id, parcel: parcel(), ..Default::default() }
}

fn prepare(order_id: &str) -> v1::RecordPreparationStartedRequest {
    v1::RecordPreparationStartedRequest {
        order_id: order_id.to_owned(),
        request_id: String::new(),
        ..Default::default()
    }
}

fn pay(order_id: &str, request_id: &str, amount: Option<i64>) -> v1::RecordPaymentCapturedRequest {
    v1::RecordPaymentCapturedRequest {
        order_id: order_id.to_owned(),
        request_id: request_id.to_owned(),
        amount: amount
            .map(|minor_units| v1::Money { currency_code: "CLP".to_owned(), minor_units }),
        reference: "tx-1".to_owned(),
        ..Default::default()
    }
}

fn cancel(order_id: &str, request_id: &str) -> v1::CancelOrderRequest {
    v1::CancelOrderRequest {
        order_id: order_id.to_owned(),
        request_id: request_id.to_owned(),
        reason: "changed my mind".to_owned(),
        ..Default::default()
    }
}

/// The refusal's reason and what would be possible.
fn refusal(status: &Status) -> (String, String) {
    assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
    let mut info = status.get_details_error_info().unwrap();
    assert_eq!(info.domain, "order-ledger");
    let violations = status.get_details_precondition_failure().unwrap().violations;
    assert_eq!(violations[0].r#type, info.reason);
    (info.reason, info.metadata.remove("allowed_events").unwrap())
}

#[tokio::test]
async fn an_order_goes_through_its_life_one_call_after_the_other() {
    let system = System::start().await;
    let mut ledger = system.ledger();
    let order_id = system.placed().await;
    let request_id = String::new();
    // No waiting in between: each call sees what the one before was acknowledged for.
    ledger.record_payment_captured(pay(&order_id, "", None)).await.unwrap();
    ledger.record_preparation_started(prepare(&order_id)).await.unwrap();
    ledger.record_shipped(ship(&order_id, "")).await.unwrap();
    let delivered = v1::RecordDeliveredRequest {
        order_id: order_id.clone(),
        request_id: request_id.clone(),
        ..Default::default()
    };
    ledger.record_delivered(delivered).await.unwrap();
    let completed =
        v1::RecordCompletedRequest { order_id: order_id.clone(), request_id, ..Default::default() };
    let recorded = ledger.record_completed(completed).await.unwrap().into_inner();
    assert_eq!(recorded.order_id, order_id);
    assert!(recorded.position.is_some());

    let order = system.folded(&order_id).await;
    assert_eq!(order.state(), v1::OrderState::Completed);
    assert_eq!((order.version, order.anomalies), (6, 0));
    assert_eq!(order.captured_minor, order.total_minor);
    assert_eq!(order.parcel, parcel());
    system.stop().await;
}

#[tokio::test]
async fn an_order_can_be_cancelled_until_it_is_shipped() {
    let system = System::start().await;
    let mut ledger = system.ledger();
    let (early, late) = (system.placed().await, system.placed().await);
    ledger.cancel_order(cancel(&early, "")).await.unwrap();
    let order = system.folded(&early).await;
    assert_eq!(order.state(), v1::OrderState::Cancelled);
    assert_eq!(order.cancel_reason, "changed my mind");

    ledger.record_preparation_started(prepare(&late)).await.unwrap();
    ledger.record_shipped(ship(&late, "")).await.unwrap();
    // On an older snapshot the answer would be a yes, and the fold's a no.
    system.folded(&late).await;
    let status = ledger.cancel_order(cancel(&late, "")).await.unwrap_err();
    assert_eq!(refusal(&status).0, "ILLEGAL_TRANSITION");
    system.stop().await;
}

#[tokio::test]
async fn a_refusal_says_where_the_order_stands_and_what_is_possible() {
    let system = System::start().await;
    let order_id = system.placed().await;
    let status = system.ledger().record_shipped(ship(&order_id, "")).await.unwrap_err();
    let (reason, allowed) = refusal(&status);
    assert_eq!(reason, "ILLEGAL_TRANSITION");
    assert_eq!(allowed, "PaymentCaptured, PaymentDeclined, PreparationStarted, OrderCancelled");
    let info = status.get_details_error_info().unwrap();
    assert_eq!(info.metadata["state"], "Placed");
    assert_eq!(info.metadata["version"], "1");
    assert_eq!(info.metadata["event"], "OrderShipped");

    let too_much = pay(&order_id, "", Some(1 << 40));
    let status = system.ledger().record_payment_captured(too_much).await.unwrap_err();
    assert_eq!(refusal(&status).0, "CAPTURE_EXCEEDS_TOTAL");
    assert_eq!(system.logged().await, 1, "a refused command is not logged");
    system.stop().await;
}

#[tokio::test]
async fn a_repeat_gets_the_first_result() {
    let system = System::start().await;
    let mut ledger = system.ledger();
    let order_id = system.placed().await;
    let first = ledger.record_payment_captured(pay(&order_id, "pay-1", None)).await.unwrap();
    system.folded(&order_id).await;
    // Nothing is left to pay by now; the repeat is about what it was then.
    let second = ledger.record_payment_captured(pay(&order_id, "pay-1", None)).await.unwrap();
    assert_eq!(first.into_inner(), second.into_inner());
    assert_eq!(system.logged().await, 2);

    let other = ledger.cancel_order(cancel(&order_id, "pay-1")).await.unwrap_err();
    assert_eq!(other.code(), Code::AlreadyExists, "{other}");
    assert_eq!(other.get_details_error_info().unwrap().reason, "EVENT_ID_REUSED");
    assert_eq!(system.folded(&order_id).await.version, 2);
    system.stop().await;
}

#[tokio::test]
async fn a_repeat_that_overtakes_the_projection_is_dropped_by_the_fold() {
    let system = System::start().await;
    let mut ledger = system.ledger();
    let order_id = system.placed().await;
    system.folded(&order_id).await;
    let mut again = system.ledger();
    let (first, second) = tokio::join!(
        ledger.cancel_order(cancel(&order_id, "c-1")),
        again.cancel_order(cancel(&order_id, "c-1")),
    );
    assert_eq!(first.unwrap().into_inner().event_id, second.unwrap().into_inner().event_id);
    let order = system.folded(&order_id).await;
    assert_eq!((order.state(), order.version), (v1::OrderState::Cancelled, 2));
    system.stop().await;
}

#[tokio::test]
async fn an_order_that_no_one_placed_is_not_found() {
    let system = System::start().await;
    let order_id = sample::order_id(404).to_string();
    let status = system.ledger().cancel_order(cancel(&order_id, "")).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound, "{status}");
    let resource = status.get_details_resource_info().unwrap();
    assert_eq!(resource.resource_type, "orderledger.v1.Order");
    assert_eq!(resource.resource_name, order_id);
    system.stop().await;
}

#[tokio::test]
async fn every_bad_field_is_named_at_once() {
    let system = System::start().await;
    let request = v1::RecordShippedRequest {
        order_id: "7".to_owned(),
        request_id: "r".repeat(129),
        parcel: Some(v1::Parcel::default()),
        ..Default::default()
    };
    let status = system.ledger().record_shipped(request).await.unwrap_err();
    let expected = ["order_id", "parcel.carrier", "parcel.tracking_number", "request_id"];
    assert_eq!(bad_fields(&status), expected);

    let request = v1::RecordPaymentCapturedRequest {
        order_id: sample::order_id(1).to_string(),
        amount: Some(v1::Money { currency_code: "X".to_owned(), minor_units: -1 }),
        reference: "r".repeat(201),
        ..Default::default()
    };
    let status = system.ledger().record_payment_captured(request).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["amount.currency_code", "amount.minor_units", "reference"]);
    system.stop().await;
}

#[tokio::test]
async fn nothing_is_denied_on_the_strength_of_an_old_snapshot() {
    let mut system =
        System::start_with(|settings| settings.catch_up_max = Duration::from_millis(50)).await;
    let known = system.placed().await;
    system.folded(&known).await;
    system.stop_projector().await;
    let unknown = system.placed().await;
    system.ledger().record_preparation_started(prepare(&known)).await.unwrap();

    let status = system.ledger().cancel_order(cancel(&unknown, "")).await.unwrap_err();
    assert_retryable(&status, Code::Unavailable);
    let status = system.ledger().record_shipped(ship(&known, "")).await.unwrap_err();
    assert_retryable(&status, Code::Unavailable);
    system.stop().await;
}
