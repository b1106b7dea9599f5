//! Stopping: what is under way is answered, then the api ends.

use futures::StreamExt as _;
use testkit::wait_for;
use tokio::net::TcpStream;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::{
    faulty::Mood,
    system::{PATIENCE, System, order},
};

#[tokio::test]
async fn calls_under_way_are_answered_and_new_ones_go_elsewhere() {
    let mut system = System::start().await;
    let mut health = HealthClient::new(system.channel.clone());
    let request = HealthCheckRequest { service: String::new() };
    let mut watched = health.watch(request).await.unwrap().into_inner();
    let mut status = async || watched.next().await.map(|answer| answer.unwrap().status());
    assert_eq!(status().await, Some(ServingStatus::Serving));

    system.log.turns(Mood::Silent);
    let mut ledger = system.ledger();
    let call = tokio::spawn(async move { ledger.place_order(order("")).await });
    wait_for("the order is logged", PATIENCE, async || (system.logged().await == 1).then_some(()))
        .await;
    system.stop_api.cancel();
    assert_eq!(status().await, Some(ServingStatus::NotServing));
    assert_eq!(status().await, None, "the watch ends, or it would hold the api up");
    wait_for("no one listens any more", PATIENCE, async || {
        TcpStream::connect(system.address).await.err()
    })
    .await;
    assert!(!call.is_finished());
    system.log.turns(Mood::Works);
    let placed = call.await.unwrap().unwrap().into_inner();
    system.api_ended().await;
    assert!(!placed.order_id.is_empty());
    system.stop().await;
}

#[tokio::test]
async fn a_call_that_never_ends_does_not_hold_the_api_up() {
    let drain_max = std::time::Duration::from_millis(100);
    let mut system = System::start_with(|settings| settings.drain_max = drain_max).await;
    system.log.turns(Mood::Silent);
    let mut ledger = system.ledger();
    let call = tokio::spawn(async move { ledger.place_order(order("")).await });
    wait_for("the order is logged", PATIENCE, async || (system.logged().await == 1).then_some(()))
        .await;
    system.stop_api.cancel();
    system.api_ended().await;
    call.abort();
    system.stop().await;
}
