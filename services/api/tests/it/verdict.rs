//! Callers who wait for the state machine's verdict, who name a version, and who say the same thing twice.

use proto::v1::{self, WaitFor};
use testkit::sample;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::system::{System, bad_fields, order};

fn applied() -> i32 {
    WaitFor::Applied.into()
}

fn cancel(order_id: &str) -> v1::CancelOrderRequest {
    v1::CancelOrderRequest {
        order_id: order_id.to_owned(),
        wait_for: applied(),
        ..Default::default()
    }
}

fn decline(order_id: &str, request_id: &str, reason: &str) -> v1::RecordPaymentDeclinedRequest {
    v1::RecordPaymentDeclinedRequest {
        order_id: order_id.to_owned(),
        request_id: request_id.to_owned(),
        reason: reason.to_owned(),
        wait_for: applied(),
        ..Default::default()
    }
}

#[tokio::test]
async fn who_waits_gets_the_order_as_it_became() {
    let system = System::start().await;
    let mut ledger = system.ledger();
    let request =
        v1::PlaceOrderRequest { wait_for: applied(), actor: "web".to_owned(), ..order("") };
    let placed = ledger.place_order(request).await.unwrap().into_inner();
    let order = placed.order.unwrap();
    assert_eq!((order.state(), order.version), (v1::OrderState::Placed, 1));

    let cancelled = ledger.cancel_order(cancel(&order.order_id)).await.unwrap().into_inner();
    let order = cancelled.order.unwrap();
    assert_eq!((order.state(), order.version), (v1::OrderState::Cancelled, 2));

    let request =
        v1::GetOrderHistoryRequest { order_id: order.order_id.clone(), ..Default::default() };
    let history = ledger.get_order_history(request).await.unwrap().into_inner().entries;
    let actors: Vec<_> = history.iter().map(|entry| &entry.event.as_ref().unwrap().actor).collect();
    assert_eq!(actors, ["web", "api"]);
    system.stop().await;
}

#[tokio::test]
async fn one_of_two_that_race_hears_that_it_lost() {
    let system = System::start().await;
    let order_id = system.placed().await;
    system.folded(&order_id).await;
    let prepare = v1::RecordPreparationStartedRequest {
        order_id: order_id.clone(),
        wait_for: applied(),
        ..Default::default()
    };
    let racers: Vec<_> = (0..8)
        .map(|_| {
            let (mut ledger, request) = (system.ledger(), prepare.clone());
            tokio::spawn(async move { ledger.record_preparation_started(request).await })
        })
        .collect();
    let mut won = 0;
    for racer in racers {
        match racer.await.unwrap() {
            Ok(response) => {
                won += 1;
                let order = response.into_inner().order.unwrap();
                assert_eq!(order.state(), v1::OrderState::Preparing);
            }
            Err(status) => {
                assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
                let info = status.get_details_error_info().unwrap();
                assert_eq!(info.reason, "ILLEGAL_TRANSITION");
                assert_eq!(info.metadata["state"], "Preparing");
            }
        }
    }
    assert_eq!(won, 1);
    system.stop().await;
}

#[tokio::test]
async fn a_stale_version_is_aborted_even_in_a_race() {
    let system = System::start().await;
    let order_id = system.placed().await;
    let conditional = |reason: &str| v1::RecordPaymentDeclinedRequest {
        expected_version: 1,
        wait_for: WaitFor::Logged.into(),
        ..decline(&order_id, "", reason)
    };
    let racers: Vec<_> = (0..8)
        .map(|n| {
            let (mut ledger, request) = (system.ledger(), conditional(&n.to_string()));
            tokio::spawn(async move { ledger.record_payment_declined(request).await })
        })
        .collect();
    let mut won = 0;
    for racer in racers {
        match racer.await.unwrap() {
            Ok(response) => {
                won += 1;
                assert_eq!(
                    response.into_inner().order.unwrap().state(),
                    v1::OrderState::PaymentFailed
                );
            }
            Err(status) => {
                assert_eq!(status.code(), Code::Aborted, "{status}");
                assert_eq!(status.get_details_error_info().unwrap().reason, "STALE_VERSION");
            }
        }
    }
    assert_eq!(won, 1);
    let order = system.folded(&order_id).await;
    assert_eq!(order.anomalies, 0, "who names a version expects to lose");

    let late = system.ledger().record_payment_declined(conditional("late")).await.unwrap_err();
    assert_eq!(late.code(), Code::Aborted, "{late}");
    let now =
        v1::RecordPaymentDeclinedRequest { expected_version: order.version, ..conditional("") };
    system.ledger().record_payment_declined(now).await.unwrap();
    system.stop().await;
}

#[tokio::test]
async fn the_same_request_id_gets_the_first_result_at_any_api() {
    let mut system = System::start().await;
    let mut there = system.another_api().await;
    let mut here = system.ledger();
    let first = here.place_order(order("cart-7")).await.unwrap().into_inner();
    system.folded(&first.order_id).await;
    let again = there.place_order(order("cart-7")).await.unwrap().into_inner();
    assert_eq!(first, again, "position included");
    assert_eq!(system.logged().await, 1);

    let declined = decline(&first.order_id, "d-1", "no funds");
    let first = here.record_payment_declined(declined.clone()).await.unwrap().into_inner();
    let again = there.record_payment_declined(declined.clone()).await.unwrap().into_inner();
    assert_eq!(first, again);
    assert_eq!(system.logged().await, 2);
    system.stop().await;
}

#[tokio::test]
async fn a_request_id_that_stood_for_something_else_already_exists() {
    let mut system = System::start().await;
    let mut there = system.another_api().await;
    let mut here = system.ledger();
    let mut other = order("cart-7");
    other.details.as_mut().unwrap().region = "Biobío".to_owned();
    let placed = here.place_order(order("cart-7")).await.unwrap().into_inner();
    // At once, where it was placed; elsewhere as soon as it is folded.
    let status = here.place_order(other.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::AlreadyExists, "{status}");
    system.folded(&placed.order_id).await;
    let status = there.place_order(other).await.unwrap_err();
    assert_eq!(status.code(), Code::AlreadyExists, "{status}");
    assert_eq!(status.get_details_error_info().unwrap().reason, "EVENT_ID_REUSED");

    let declined = decline(&placed.order_id, "d-1", "no funds");
    here.record_payment_declined(declined).await.unwrap();
    let status = there.record_payment_declined(decline(&placed.order_id, "d-1", "stolen card"));
    assert_eq!(status.await.unwrap_err().code(), Code::AlreadyExists);
    assert_eq!(system.logged().await, 2, "what is refused is not logged");
    system.stop().await;
}

/// Both apis take the order before either is folded: the fold decides, and tells who waits.
#[tokio::test]
async fn racing_placements_under_one_request_id_make_one_order() {
    let mut system = System::start().await;
    let there = system.another_api().await;
    let here = system.ledger();
    let racers: Vec<_> = (0..8)
        .map(|n: usize| {
            let mut ledger = if n.is_multiple_of(2) { here.clone() } else { there.clone() };
            let mut request = order("cart-7");
            request.wait_for = applied();
            if n >= 4 {
                request.details.as_mut().unwrap().region = "Biobío".to_owned();
            }
            tokio::spawn(async move { (n, ledger.place_order(request).await) })
        })
        .collect();
    let mut regions = Vec::new();
    let mut refused = 0;
    for racer in racers {
        match racer.await.unwrap() {
            (n, Ok(response)) => {
                let details = response.into_inner().order.unwrap().details.unwrap();
                assert_eq!(details.region == "Biobío", n >= 4, "told of another's order");
                regions.push(details.region);
            }
            (_, Err(status)) => {
                assert_eq!(status.code(), Code::AlreadyExists, "{status}");
                refused += 1;
            }
        }
    }
    regions.dedup();
    assert_eq!((regions.len(), refused), (1, 4), "{regions:?}");
    system.stop().await;
}

#[tokio::test]
async fn what_is_not_known_is_named() {
    let system = System::start().await;
    let request = v1::CancelOrderRequest {
        order_id: sample::order_id(1).to_string(),
        wait_for: 9,
        actor: "a".repeat(101),
        ..Default::default()
    };
    let status = system.ledger().cancel_order(request).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["actor", "wait_for"]);
    system.stop().await;
}

#[tokio::test]
async fn a_verdict_that_does_not_come_is_not_waited_for_for_ever() {
    let mut system = System::start().await;
    let order_id = system.placed().await;
    system.folded(&order_id).await;
    system.stop_projector().await;
    let mut request = tonic::Request::new(cancel(&order_id));
    request.set_timeout(std::time::Duration::from_millis(400));
    let status = system.ledger().cancel_order(request).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    assert_eq!(system.logged().await, 2, "the event stays in the log");
    system.stop().await;
}
