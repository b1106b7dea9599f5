//! Watching orders: nothing left out, nothing twice, and no one slowed by anyone.

use std::time::Duration;

use futures::StreamExt as _;
use proto::v1::{self, WaitFor, watch_orders_response::Update};
use testkit::{sample, wait_for};
use tokio::time::timeout;
use tonic::{Code, Request, Status, Streaming};

use crate::{
    faulty::Mood,
    system::{PATIENCE, System, bad_fields, order},
};

fn applied() -> i32 {
    WaitFor::Applied.into()
}

async fn watch_order(
    system: &System,
    order_id: &str,
    resume_token: &str,
) -> Result<Streaming<v1::WatchOrderResponse>, Status> {
    let (order_id, resume_token) = (order_id.to_owned(), resume_token.to_owned());
    let request = v1::WatchOrderRequest { order_id, resume_token };
    Ok(system.ledger().watch_order(request).await?.into_inner())
}

async fn watch_orders(
    system: &System,
    request: v1::WatchOrdersRequest,
) -> Result<Streaming<v1::WatchOrdersResponse>, Status> {
    Ok(system.ledger().watch_orders(request).await?.into_inner())
}

fn changes_only() -> v1::WatchOrdersRequest {
    v1::WatchOrdersRequest { changes_only: true, ..Default::default() }
}

fn resumed(resume_token: &str) -> v1::WatchOrdersRequest {
    v1::WatchOrdersRequest { resume_token: resume_token.to_owned(), ..Default::default() }
}

async fn next<U>(stream: &mut Streaming<U>) -> U {
    try_next(stream).await.unwrap()
}

async fn try_next<U>(stream: &mut Streaming<U>) -> Result<U, Status> {
    timeout(PATIENCE, stream.next()).await.unwrap().unwrap()
}

/// The order id and version of the next change among many.
async fn next_changed(stream: &mut Streaming<v1::WatchOrdersResponse>) -> (String, u64, String) {
    let response = next(stream).await;
    let Some(Update::Changed(changed)) = response.update else { panic!("{response:?}") };
    assert!(changed.change.is_some());
    let order = changed.order.unwrap();
    (order.order_id, order.version, response.resume_token)
}

async fn place(system: &System) -> String {
    let request = v1::PlaceOrderRequest { wait_for: applied(), ..order("") };
    system.ledger().place_order(request).await.unwrap().into_inner().order_id
}

/// Placed, prepared, paid, declined: the order is as good as any to change often.
async fn prepare(system: &System, order_id: &str) {
    let request = v1::RecordPreparationStartedRequest {
        order_id: order_id.to_owned(),
        wait_for: applied(),
        ..Default::default()
    };
    system.ledger().record_preparation_started(request).await.unwrap();
}

async fn cancel(system: &System, order_id: &str) {
    let request = v1::CancelOrderRequest {
        order_id: order_id.to_owned(),
        reason: "changed my mind".to_owned(),
        actor: "ana".to_owned(),
        wait_for: applied(),
        ..Default::default()
    };
    system.ledger().cancel_order(request).await.unwrap();
}

#[tokio::test]
async fn a_watch_begins_with_the_order_as_it_is_and_goes_on_with_every_version() {
    let system = System::start().await;
    let order_id = place(&system).await;
    let mut watch = watch_order(&system, &order_id, "").await.unwrap();
    let first = next(&mut watch).await;
    assert_eq!(first.change, None);
    assert_eq!(first.order.unwrap(), system.folded(&order_id).await);

    place(&system).await;
    prepare(&system, &order_id).await;
    cancel(&system, &order_id).await;
    let prepared = next(&mut watch).await;
    let change = prepared.change.unwrap();
    assert_eq!(
        (change.event_type.as_str(), prepared.order.unwrap().version),
        ("PreparationStarted", 2)
    );
    assert_eq!((change.from(), change.to()), (v1::OrderState::Placed, v1::OrderState::Preparing));
    let cancelled = next(&mut watch).await;
    let change = cancelled.change.unwrap();
    assert_eq!((change.actor.as_str(), change.to()), ("ana", v1::OrderState::Cancelled));
    assert_eq!(cancelled.order.unwrap(), system.folded(&order_id).await);
    system.stop().await;
}

#[tokio::test]
async fn what_happened_while_no_one_watched_comes_first_and_once() {
    let system = System::start().await;
    let order_id = place(&system).await;
    let mut watch = watch_order(&system, &order_id, "").await.unwrap();
    let token = next(&mut watch).await.resume_token;
    prepare(&system, &order_id).await;
    let live = next(&mut watch).await;
    drop(watch);
    cancel(&system, &order_id).await;

    let mut again = watch_order(&system, &order_id, &token).await.unwrap();
    assert_eq!(next(&mut again).await, live, "folded again, a change is the same to the byte");
    let cancelled = next(&mut again).await;
    assert_eq!(cancelled.order.unwrap().version, 3);
    assert_eq!(cancelled.change.unwrap().event_type, "OrderCancelled");
    let mut rest = watch_order(&system, &order_id, &live.resume_token).await.unwrap();
    assert_eq!(next(&mut rest).await.order.unwrap().version, 3);
    system.stop().await;
}

#[tokio::test]
async fn an_order_that_was_just_acknowledged_can_be_watched() {
    let system = System::start().await;
    let order_id = system.placed().await;
    let mut watch = watch_order(&system, &order_id, "").await.unwrap();
    assert_eq!(next(&mut watch).await.order.unwrap().version, 1);
    let unknown = sample::order_id(404).to_string();
    let status = watch_order(&system, &unknown, "").await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound, "{status}");
    system.stop().await;
}

#[tokio::test]
async fn a_token_that_is_none_or_anothers_is_refused() {
    let system = System::start().await;
    let (one, other) = (place(&system).await, place(&system).await);
    let mut watch = watch_order(&system, &one, "").await.unwrap();
    let of_one = next(&mut watch).await.resume_token;
    let mut watch = watch_orders(&system, changes_only()).await.unwrap();
    let of_many = next(&mut watch).await.resume_token;
    for token in ["rubbish", "!", &of_one, &of_many] {
        let status = watch_order(&system, &other, token).await.unwrap_err();
        assert_eq!(bad_fields(&status), ["resume_token"], "{token}");
    }
    for token in ["rubbish", "!", &of_one] {
        let status = watch_orders(&system, resumed(token)).await.unwrap_err();
        assert_eq!(bad_fields(&status), ["resume_token"], "{token}");
    }
    let status = watch_order(&system, "no id", "rubbish").await.unwrap_err();
    assert_eq!(bad_fields(&status), ["order_id"]);

    // Another ledger, whose log is not as far.
    let younger = System::start().await;
    let status = watch_orders(&younger, resumed(&of_many)).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
    younger.stop().await;
    system.stop().await;
}

#[tokio::test]
async fn many_are_shown_as_they_are_and_then_as_they_change() {
    let system = System::start().await;
    let mut placed: Vec<_> = Vec::new();
    for _ in 0..450 {
        placed.push(system.placed().await);
    }
    system.folded(placed.last().unwrap()).await;
    let mut watch = watch_orders(&system, v1::WatchOrdersRequest::default()).await.unwrap();
    let mut listed = Vec::new();
    let caught_up = loop {
        let response = next(&mut watch).await;
        match response.update {
            Some(Update::Order(order)) => listed.push(order.order_id),
            Some(Update::CaughtUp(_)) => break response.resume_token,
            other => panic!("{other:?}"),
        }
    };
    listed.sort();
    placed.sort();
    assert_eq!(listed, placed);
    prepare(&system, &placed[0]).await;
    cancel(&system, &placed[0]).await;
    let mut live = Vec::new();
    while live.len() < 2 {
        let changed = next_changed(&mut watch).await;
        // What was announced while the list was read may come again.
        if changed.1 > 1 {
            live.push(changed);
        }
    }
    assert_eq!([live[0].1, live[1].1], [2, 3]);
    drop(watch);

    let newest = place(&system).await;
    let mut again = watch_orders(&system, resumed(&caught_up)).await.unwrap();
    let (mut missed, mut last) = (Vec::new(), String::new());
    while missed.len() < 3 {
        let (order_id, version, token) = next_changed(&mut again).await;
        if version > 1 || order_id == newest {
            missed.push((order_id, version));
        }
        last = token;
    }
    // Orders may come in any order, the versions of one in theirs.
    missed.sort_by_key(|(order_id, _)| *order_id == newest);
    assert_eq!(missed, [(placed[0].clone(), 2), (placed[0].clone(), 3), (newest, 1)]);
    // After the last there is nothing old.
    let mut rest = watch_orders(&system, resumed(&last)).await.unwrap();
    let after = place(&system).await;
    assert_eq!(next_changed(&mut rest).await.0, after);
    system.stop().await;
}

#[tokio::test]
async fn only_orders_that_match_after_the_change_are_sent() {
    let system = System::start().await;
    let filter = v1::OrderFilter {
        states: vec![v1::OrderState::Cancelled.into()],
        region: "North".to_owned(),
        ..Default::default()
    };
    let request = v1::WatchOrdersRequest { filter: Some(filter), ..changes_only() };
    let mut watch = watch_orders(&system, request).await.unwrap();
    assert!(matches!(next(&mut watch).await.update, Some(Update::CaughtUp(_))));
    let elsewhere = place(&system).await;
    cancel(&system, &elsewhere).await;
    let mut north = v1::PlaceOrderRequest { wait_for: applied(), ..order("") };
    north.details.as_mut().unwrap().region = "North".to_owned();
    let north = system.ledger().place_order(north).await.unwrap().into_inner().order_id;
    cancel(&system, &north).await;
    let (order_id, version, _) = next_changed(&mut watch).await;
    assert_eq!((order_id, version), (north, 2));
    let filter = v1::OrderFilter { states: vec![99], ..Default::default() };
    let request = v1::WatchOrdersRequest { filter: Some(filter), ..Default::default() };
    let status = watch_orders(&system, request).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["filter.states"]);
    system.stop().await;
}

#[tokio::test]
async fn who_reads_too_slowly_is_dropped_and_can_go_on_while_no_one_else_is_slowed() {
    const ORDERS: usize = 4_000;
    const AT_A_TIME: usize = 400;
    let system = System::start_with(|settings| settings.watch_queue_max = 1_000).await;
    let mut elsewhere = system.client_of_little_room().await;
    let mut slow = elsewhere.watch_orders(changes_only()).await.unwrap().into_inner();
    let mut fast = watch_orders(&system, changes_only()).await.unwrap();
    next(&mut fast).await;
    let mut token = next(&mut slow).await.resume_token;
    for _ in 0..ORDERS / AT_A_TIME {
        let requests = (0..AT_A_TIME).map(|_| order(""));
        let placing = system.ledger().place_orders(futures::stream::iter(requests)).await.unwrap();
        let reading = async {
            for _ in 0..AT_A_TIME {
                next_changed(&mut fast).await;
            }
        };
        let (results, ()) = tokio::join!(placing.into_inner().count(), reading);
        assert_eq!(results, AT_A_TIME);
    }

    let mut seen = Vec::new();
    let status = loop {
        match try_next(&mut slow).await {
            Ok(response) => {
                token.clone_from(&response.resume_token);
                let Some(Update::Changed(changed)) = response.update else { panic!() };
                seen.push(changed.order.unwrap().order_id);
            }
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(seen.len() < ORDERS);
    let mut again = watch_orders(&system, resumed(&token)).await.unwrap();
    while seen.len() < ORDERS {
        seen.push(next_changed(&mut again).await.0);
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), ORDERS, "all of them, none twice");
    system.stop().await;
}

#[tokio::test]
async fn a_thousand_watch_and_each_sees_its_own() {
    let system = System::start().await;
    let mut watches = Vec::new();
    for _ in 0..1_000 {
        let order_id = system.placed().await;
        watches.push((order_id.clone(), watch_order(&system, &order_id, "").await.unwrap()));
    }
    for (order_id, watch) in &mut watches {
        assert_eq!(next(watch).await.order.unwrap().order_id, *order_id);
    }
    for (order_id, _) in watches.iter().step_by(100) {
        prepare(&system, order_id).await;
    }
    for (order_id, watch) in watches.iter_mut().step_by(100) {
        let change = next(watch).await;
        assert_eq!((&change.order.unwrap().order_id, change.change.is_some()), (&*order_id, true));
    }
    system.stop().await;
}

#[tokio::test]
async fn more_watches_than_allowed_are_refused_until_one_ends() {
    let system = System::start_with(|settings| settings.watches_max = 2).await;
    let one = watch_orders(&system, changes_only()).await.unwrap();
    let _two = watch_orders(&system, changes_only()).await.unwrap();
    let status = watch_orders(&system, changes_only()).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    drop(one);
    wait_for("a place among the watches", PATIENCE, async || {
        watch_orders(&system, changes_only()).await.ok()
    })
    .await;
    system.stop().await;
}

#[tokio::test]
async fn a_watch_ends_with_its_deadline_and_with_the_api() {
    let mut system = System::start().await;
    let mut request = Request::new(changes_only());
    request.set_timeout(Duration::from_millis(500));
    let mut brief = system.ledger().watch_orders(request).await.unwrap().into_inner();
    next(&mut brief).await;
    assert_eq!(try_next(&mut brief).await.unwrap_err().code(), Code::DeadlineExceeded);

    let order_id = place(&system).await;
    let mut watch = watch_order(&system, &order_id, "").await.unwrap();
    next(&mut watch).await;
    system.stop_api.cancel();
    assert_eq!(try_next(&mut watch).await.unwrap_err().code(), Code::Unavailable);
    system.api_ended().await;
    system.stop().await;
}

#[tokio::test]
async fn a_log_that_is_away_is_waited_for() {
    let system = System::start().await;
    let order_id = place(&system).await;
    system.log.turns(Mood::Away);
    let begun = watch_order(&system, &order_id, "");
    let back = async {
        wait_for("the api says so", PATIENCE, async || {
            system.health.roles().iter().any(|(_, why)| why.is_some()).then_some(())
        })
        .await;
        system.log.turns(Mood::Works);
    };
    let (watch, ()) = tokio::join!(begun, back);
    assert_eq!(next(&mut watch.unwrap()).await.order.unwrap().version, 1);
    system.stop().await;
}
