//! The verb that watches: a line a change, an end that says where to go on.

use proto::v1::{self, watch_orders_response::Update};
use serde_json::{Value, json};
use tonic::Status;

use crate::{
    by_hand::{Desk, start},
    fake_watch::{Script, serve},
};

const TOKEN: &str = "the-token";

fn paid() -> v1::WatchOrderResponse {
    v1::WatchOrderResponse {
        order: Some(v1::Order {
            order_id: "an-order".to_owned(),
            version: 2,
            state: v1::OrderState::Paid.into(),
            ..Default::default()
        }),
        change: Some(v1::OrderChange {
            event_type: "PaymentCaptured".to_owned(),
            from: v1::OrderState::Placed.into(),
            to: v1::OrderState::Paid.into(),
            actor: "ana".to_owned(),
            ..Default::default()
        }),
        resume_token: TOKEN.to_owned(),
    }
}

fn updates() -> Vec<v1::WatchOrdersResponse> {
    let update = |update, token: &str| v1::WatchOrdersResponse {
        update: Some(update),
        resume_token: token.to_owned(),
    };
    vec![
        update(Update::Order(paid().order.unwrap()), ""),
        update(Update::CaughtUp(v1::CaughtUp {}), "earlier"),
        update(Update::Changed(paid()), TOKEN),
    ]
}

#[tokio::test]
async fn people_get_a_line_a_change_and_are_told_where_to_go_on() {
    let server = serve(Script { orders: updates(), ..Default::default() }).await;
    let mut watch = start(&server, &["watch", "--state", "Paid"]);
    assert!(watch.line().await.ends_with("an-order  version 2  Paid"));
    assert_eq!(watch.line().await, "-- changes from here on");
    let change = watch.line().await;
    assert!(change.ends_with("version 2  PaymentCaptured by ana  Placed -> Paid"), "{change}");
    let said = watch.stop().await;
    assert_eq!((said.code, said.stderr.as_str()), (0, "go on with --resume the-token\n"));
}

#[tokio::test]
async fn programs_get_an_object_a_line() {
    let server = serve(Script { orders: updates(), ..Default::default() }).await;
    let mut watch = start(&server, &["watch", "--output", "json"]);
    assert_eq!(watch.json().await["order"]["state"], "ORDER_STATE_PAID");
    assert_eq!(watch.json().await, json!({ "caught_up": {}, "resume_token": "earlier" }));
    let changed = watch.json().await;
    assert_eq!(changed["changed"]["change"]["event_type"], "PaymentCaptured");
    assert_eq!(changed["resume_token"], TOKEN);
    let said = watch.stop().await;
    assert_eq!((said.code, said.stderr.as_str()), (0, ""));
}

#[tokio::test]
async fn a_watch_that_is_dropped_can_go_on() {
    let end = Some(Status::resource_exhausted("read faster"));
    let server = serve(Script { order: vec![paid()], end, ..Default::default() }).await;
    let mut watch = start(&server, &["watch", "an-order", "--output", "json"]);
    assert_eq!(watch.json().await["change"]["actor"], "ana");
    let said = watch.end().await;
    let failure: Value = serde_json::from_str(&said.stderr).unwrap();
    assert_eq!((said.code, &failure["code"]), (6, &json!("RESOURCE_EXHAUSTED")));
    assert_eq!(failure["metadata"]["resume_token"], TOKEN);
}

#[tokio::test]
async fn a_token_that_is_of_no_use_is_not_offered_again() {
    let end = Some(Status::out_of_range("watch anew without a token"));
    let server = serve(Script { end, ..Default::default() }).await;
    let said = start(&server, &["watch", "--resume", "old"]).end().await;
    assert_eq!(said.code, 5);
    assert_eq!(said.stderr, "order-ledger: OUT_OF_RANGE: watch anew without a token\n");
}

#[tokio::test]
async fn against_a_server_changes_come_as_they_happen_and_after_the_token() {
    let desk = Desk::open("watch").await;
    let id = desk.place().await;
    let mut watch = desk.start(&["watch", &id]);
    let first = watch.line().await;
    assert!(first.ends_with(&format!("{id}  version 1  Placed")), "{first}");
    desk.order(&["pay", &id, "--wait"]).await.done();
    let paid = watch.line().await;
    assert!(paid.ends_with("PaymentCaptured by api  Placed -> Paid"), "{paid}");
    let said = watch.stop().await;
    assert_eq!(said.code, 0, "{}", said.stderr);
    let token = said.stderr.trim().strip_prefix("go on with --resume ").unwrap().to_owned();

    desk.order(&["prepare", &id, "--wait"]).await.done();
    let mut watch = desk.start(&["watch", &id, "--resume", &token]);
    let prepared = watch.line().await;
    assert!(prepared.ends_with("PreparationStarted by api  Paid -> Preparing"), "{prepared}");
    watch.stop().await;
    desk.close().await;
}
