//! What the api says about itself: health and reflection.

use futures::{StreamExt as _, stream};
use testkit::wait_for;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::{v1, v1alpha};

use crate::{
    faulty::Mood,
    system::{PATIENCE, System},
};

const SERVICES: [&str; 3] = ["", "orderledger.v1.OrderLedger", "OrderService"];

async fn statuses_become(system: &System, expected: [ServingStatus; 3]) {
    wait_for(&format!("health is {expected:?}"), PATIENCE, async || {
        let mut client = HealthClient::new(system.channel.clone());
        let mut found = Vec::new();
        for service in SERVICES {
            let request = HealthCheckRequest { service: service.to_owned() };
            found.push(client.check(request).await.unwrap().into_inner().status());
        }
        (found == expected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn health_says_what_can_be_served() {
    use ServingStatus::{NotServing, Serving};
    let system = System::start().await;
    statuses_become(&system, [Serving, Serving, Serving]).await;
    system.store.is_away(true);
    // The older contract only places orders, which needs no store.
    statuses_become(&system, [NotServing, NotServing, Serving]).await;
    let api = system.health.roles().into_iter().find(|(role, _)| *role == "api").unwrap();
    assert_eq!(api.1.unwrap(), "order store: the store is not available: told to be away");
    system.store.is_away(false);
    statuses_become(&system, [Serving, Serving, Serving]).await;
    system.log.turns(Mood::Away);
    statuses_become(&system, [NotServing, NotServing, NotServing]).await;
    // Orders of the other partitions need not wait for the first one's leader.
    system.log.turns(Mood::Leaderless);
    statuses_become(&system, [Serving, Serving, Serving]).await;
    system.log.turns(Mood::Away);
    statuses_become(&system, [NotServing, NotServing, NotServing]).await;
    system.log.turns(Mood::Works);
    statuses_become(&system, [Serving, Serving, Serving]).await;
    system.stop().await;
}

#[tokio::test]
async fn reflection_lists_every_service_and_knows_its_messages() {
    use v1::{
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let system = System::start().await;
    let mut client =
        v1::server_reflection_client::ServerReflectionClient::new(system.channel.clone());
    let ask = [
        MessageRequest::ListServices(String::new()),
        MessageRequest::FileContainingSymbol("OrderService".to_owned()),
        MessageRequest::FileContainingSymbol("orderledger.v1.PlaceOrderRequest".to_owned()),
    ];
    let ask = ask.map(|message| v1::ServerReflectionRequest {
        message_request: Some(message),
        ..Default::default()
    });
    let answers = client.server_reflection_info(stream::iter(ask)).await.unwrap().into_inner();
    let answers: Vec<_> = answers.map(|a| a.unwrap().message_response.unwrap()).collect().await;
    let MessageResponse::ListServicesResponse(list) = &answers[0] else { panic!("{answers:?}") };
    let names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
    for service in ["orderledger.v1.OrderLedger", "OrderService", "grpc.health.v1.Health"] {
        assert!(names.contains(&service), "{names:?}");
    }
    for answer in &answers[1..] {
        assert!(matches!(answer, MessageResponse::FileDescriptorResponse(_)), "{answer:?}");
    }
    system.stop().await;
}

#[tokio::test]
async fn older_clients_have_their_reflection_too() {
    use v1alpha::{
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let system = System::start().await;
    let mut client =
        v1alpha::server_reflection_client::ServerReflectionClient::new(system.channel.clone());
    let ask = v1alpha::ServerReflectionRequest {
        message_request: Some(MessageRequest::ListServices(String::new())),
        ..Default::default()
    };
    let mut answers =
        client.server_reflection_info(stream::iter([ask])).await.unwrap().into_inner();
    let answer = answers.next().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(list) = answer else { panic!("{answer:?}") };
    assert!(list.service.iter().any(|service| service.name == "orderledger.v1.OrderLedger"));
    system.stop().await;
}
