//! Every bound, reached.

use std::time::Duration;

use testkit::wait_for;
use tonic::{Code, Request};

use crate::{
    faulty::Mood,
    system::{PATIENCE, System, assert_retryable, order},
};

#[tokio::test]
async fn more_calls_than_the_bound_are_told_to_come_back() {
    let system = System::start_with(|settings| settings.calls_max = 1).await;
    system.log.turns(Mood::Silent);
    let mut ledger = system.ledger();
    let first = tokio::spawn(async move { ledger.place_order(order("")).await });
    wait_for("the first order is logged", PATIENCE, async || {
        (system.logged().await == 1).then_some(())
    })
    .await;
    let status = system.ledger().place_order(order("")).await.unwrap_err();
    assert_retryable(&status, Code::ResourceExhausted);
    system.log.turns(Mood::Works);
    first.await.unwrap().unwrap();
    system.placed().await;
    system.stop().await;
}

#[tokio::test]
async fn a_full_queue_tells_to_come_back() {
    let system = System::start().await;
    system.log.turns(Mood::Full);
    let status = system.ledger().place_order(order("")).await.unwrap_err();
    assert_retryable(&status, Code::ResourceExhausted);
    system.log.turns(Mood::Works);
    system.placed().await;
    system.stop().await;
}

#[tokio::test]
async fn servers_that_are_away_tell_to_come_back() {
    let system = System::start().await;
    let order_id = system.placed().await;
    system.log.turns(Mood::Away);
    let status = system.ledger().place_order(order("")).await.unwrap_err();
    assert_retryable(&status, Code::Unavailable);
    system.log.turns(Mood::Works);
    system.store.is_away(true);
    let request = proto::v1::GetOrderRequest { order_id, ..Default::default() };
    let status = system.ledger().get_order(request).await.unwrap_err();
    assert_retryable(&status, Code::Unavailable);
    // Placing needs no store.
    system.placed().await;
    system.stop().await;
}

#[tokio::test]
async fn nothing_waits_for_a_log_that_is_known_to_be_away() {
    let system = System::start().await;
    system.log.turns(Mood::Hangs);
    wait_for("the api knows", PATIENCE, async || {
        system.health.roles().iter().any(|(_, why)| why.is_some()).then_some(())
    })
    .await;
    let status = system.ledger().place_order(order("")).await.unwrap_err();
    assert_retryable(&status, Code::Unavailable);
    system.log.turns(Mood::Works);
    wait_for("orders are placed again", PATIENCE, async || {
        system.ledger().place_order(order("")).await.ok()
    })
    .await;
    system.stop().await;
}

#[tokio::test]
async fn the_callers_deadline_is_kept() {
    let system = System::start().await;
    system.log.turns(Mood::Silent);
    let mut request = Request::new(order(""));
    request.set_timeout(Duration::from_millis(200));
    let status = system.ledger().place_order(request).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    system.log.turns(Mood::Works);
    system.stop().await;
}

#[tokio::test]
async fn a_request_beyond_the_size_limit_is_refused() {
    let system = System::start_with(|settings| settings.request_bytes_max = 1_000).await;
    let mut request = order("");
    request.details.as_mut().unwrap().shipping_address = "x".repeat(2_000);
    let status = system.ledger().place_order(request).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
    system.stop().await;
}
