//! `PlaceOrders`: many orders on one stream.

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt as _, stream};
use ports::{Clock as _, MetricOf, Told};
use proto::v1::{self, place_orders_response::Result as Placed};
use testkit::wait_for;
use tokio::sync::mpsc;
use tonic::{Code, Request, Streaming};
use tonic_types::RpcStatusExt as _;

use crate::{
    faulty::Mood,
    system::{PATIENCE, System, order},
};

/// A stream that stays open until the sender is dropped.
async fn open(
    system: &System,
) -> (mpsc::Sender<v1::PlaceOrderRequest>, Streaming<v1::PlaceOrdersResponse>) {
    let (orders, mut rest) = mpsc::channel(100);
    let requests = stream::poll_fn(move |cx| rest.poll_recv(cx));
    let results = system.ledger().place_orders(requests).await.unwrap().into_inner();
    (orders, results)
}

fn placed(result: v1::PlaceOrdersResponse) -> v1::PlaceOrderResponse {
    match result.result {
        Some(Placed::Placed(placed)) => placed,
        other => panic!("not placed: {other:?}"),
    }
}

#[tokio::test]
async fn results_come_in_order_and_a_bad_order_fails_alone() {
    let system = System::start_with(|settings| settings.stream_orders_max = 16).await;
    let requests = (0..500).map(|n| {
        let mut request = order(&format!("bulk-{n}"));
        if n % 7 == 3 {
            request.details.as_mut().unwrap().region.clear();
        }
        request
    });
    let answer = system.ledger().place_orders(stream::iter(requests)).await.unwrap();
    let results: Vec<_> = answer.into_inner().map(Result::unwrap).collect().await;
    assert_eq!(results.len(), 500);
    let mut last = None;
    for (index, result) in (0..).zip(results) {
        assert_eq!(result.index, index);
        match result.result.unwrap() {
            Placed::Placed(placed) => {
                assert_ne!(index % 7, 3);
                let expected = events::OrderId::for_request(&format!("bulk-{index}"));
                assert_eq!(placed.order_id, expected.to_string());
                last = Some(placed.order_id);
            }
            Placed::Refused(status) => {
                assert_eq!(index % 7, 3);
                assert_eq!(status.code, i32::from(Code::InvalidArgument));
                let bad = status.get_details_bad_request().unwrap();
                assert_eq!(bad.field_violations[0].field, "details.region");
            }
        }
    }
    assert_eq!(system.folded(&last.unwrap()).await.version, 1);
    system.stop().await;
}

#[tokio::test]
async fn a_full_queue_makes_the_stream_wait() {
    let system = System::start().await;
    let (orders, mut results) = open(&system).await;
    system.log.turns(Mood::Full);
    for _ in 0..10 {
        orders.send(order("")).await.unwrap();
    }
    let refused = system.ledger().place_order(order("")).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    system.log.turns(Mood::Works);
    drop(orders);
    let mut count = 0;
    while let Some(result) = results.next().await {
        placed(result.unwrap());
        count += 1;
    }
    assert_eq!(count, 10);
    system.stop().await;
}

#[tokio::test]
async fn no_more_is_read_than_the_bound_allows() {
    let system = System::start_with(|settings| settings.stream_orders_max = 3).await;
    system.log.turns(Mood::Silent);
    let (orders, mut results) = open(&system).await;
    for _ in 0..10 {
        orders.send(order("")).await.unwrap();
    }
    wait_for("three orders are logged", PATIENCE, async || {
        (system.logged().await == 3).then_some(())
    })
    .await;
    system.log.turns(Mood::Works);
    drop(orders);
    for _ in 0..10 {
        placed(results.next().await.unwrap().unwrap());
    }
    assert!(results.next().await.is_none());
    assert_eq!(system.logged().await, 10);
    system.stop().await;
}

#[tokio::test]
async fn a_log_that_is_away_fails_the_orders_not_the_stream() {
    let system = System::start().await;
    let (orders, mut results) = open(&system).await;
    system.log.turns(Mood::Away);
    orders.send(order("")).await.unwrap();
    let Some(Placed::Refused(status)) = results.next().await.unwrap().unwrap().result else {
        panic!("placed in a log that is away");
    };
    assert_eq!(status.code, i32::from(Code::Unavailable));
    assert!(status.get_details_retry_info().is_some());
    system.log.turns(Mood::Works);
    wait_for("an order is placed again on the same stream", PATIENCE, async || {
        orders.send(order("")).await.unwrap();
        let result = results.next().await.unwrap().unwrap().result;
        matches!(result, Some(Placed::Placed(_))).then_some(())
    })
    .await;
    drop(orders);
    assert!(results.next().await.is_none());
    system.stop().await;
}

#[tokio::test]
async fn stopping_answers_what_was_read_and_then_says_so() {
    let mut system = System::start().await;
    let (orders, mut results) = open(&system).await;
    system.log.turns(Mood::Silent);
    for _ in 0..5 {
        orders.send(order("")).await.unwrap();
    }
    wait_for("the orders are logged", PATIENCE, async || {
        (system.logged().await == 5).then_some(())
    })
    .await;
    system.stop_api.cancel();
    wait_for("the api says that it stops", PATIENCE, async || {
        system.health.roles().iter().any(|(_, why)| why.is_some()).then_some(())
    })
    .await;
    system.log.turns(Mood::Works);
    for _ in 0..5 {
        placed(results.next().await.unwrap().unwrap());
    }
    let status = results.next().await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert_eq!(status.message(), "shutting down");
    drop(orders);
    system.api_ended().await;
    system.stop().await;
}

#[tokio::test]
async fn the_callers_deadline_ends_the_stream() {
    let system = System::start().await;
    let mut request = Request::new(stream::pending());
    request.set_timeout(Duration::from_millis(200));
    let mut results = system.ledger().place_orders(request).await.unwrap().into_inner();
    let status = results.next().await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    system.stop().await;
}

#[tokio::test]
async fn a_file_sent_again_places_what_was_missing_and_nothing_twice() {
    let mut system = System::start().await;
    let orders = |from: usize| (from..from + 300).map(|n| order(&format!("file-{n}")));
    let first = system.ledger().place_orders(stream::iter(orders(0))).await.unwrap();
    let first: Vec<_> = first.into_inner().map(|result| placed(result.unwrap())).collect().await;
    system.folded(&first[299].order_id).await;

    // At a server that never saw them, and of the last hundred it never will have.
    let again = system.another_api().await.place_orders(stream::iter(orders(100))).await.unwrap();
    let again: Vec<_> = again.into_inner().map(|result| placed(result.unwrap())).collect().await;
    assert_eq!(again[..200], first[100..], "the first result, position included");
    assert_eq!(system.logged().await, 400);

    // Without a look at the store, where it was just placed.
    system.store.is_away(true);
    let once_more = system.ledger().place_orders(stream::iter(orders(0))).await.unwrap();
    let once_more: Vec<_> =
        once_more.into_inner().map(|result| placed(result.unwrap())).collect().await;
    assert_eq!(once_more, first);
    system.store.is_away(false);

    let mut other = order("file-7");
    other.details.as_mut().unwrap().region = "Biobío".to_owned();
    other.wait_for = v1::WaitFor::Applied.into();
    let mut waits = other.clone();
    waits.request_id = String::new();
    other.wait_for = v1::WaitFor::Logged.into();
    let refused = system.ledger().place_orders(stream::iter([other, waits])).await.unwrap();
    let codes: Vec<_> = refused
        .into_inner()
        .map(|result| match result.unwrap().result.unwrap() {
            Placed::Refused(status) => status.code,
            Placed::Placed(placed) => panic!("{placed:?}"),
        })
        .collect()
        .await;
    assert_eq!(codes, [i32::from(Code::AlreadyExists), i32::from(Code::InvalidArgument)]);
    system.stop().await;
}

/// Counts by metric, outcome and load test of what was measured since the last time.
fn measured(system: &System) -> BTreeMap<(&'static str, &'static str, Option<String>), u64> {
    let (until, lasted) = (system.clock.now(), Duration::from_secs(1));
    let told = Told { node: "here", version: "1", until, lasted };
    let documents = system.measures.take().documents(told).into_iter();
    documents
        .map(|document| match document.of {
            MetricOf::Latency { count, load_test_type, .. } => {
                ((document.metric, document.event.outcome.unwrap(), load_test_type), count)
            }
            other => panic!("{other:?}"),
        })
        .collect()
}

#[tokio::test]
async fn each_order_is_measured_from_its_reading_to_its_result() {
    let system = System::start().await;
    let (orders, mut results) = open(&system).await;
    for n in 0..6 {
        let mut request = order("");
        let details = request.details.as_mut().unwrap();
        if n < 2 {
            details.labels.insert("load_test_type".to_owned(), "soak".to_owned());
        }
        if n == 5 {
            details.lines.clear();
        }
        orders.send(request).await.unwrap();
    }
    for _ in 0..6 {
        results.next().await.unwrap().unwrap();
    }
    // The stream goes on, and has told of them because it rests.
    let soak = Some("soak".to_owned());
    let expected = [
        (("PlaceOrders", "success", soak), 2),
        (("PlaceOrders", "success", None), 3),
        (("PlaceOrders", "failure", None), 1),
    ];
    let mut told = BTreeMap::new();
    wait_for("the orders are measured", PATIENCE, async || {
        for (series, count) in measured(&system) {
            *told.entry(series).or_default() += count;
        }
        (told.values().sum::<u64>() == 6).then_some(())
    })
    .await;
    assert_eq!(told, expected.into());

    // Whoever hangs up waits for no result.
    system.log.turns(Mood::Silent);
    for _ in 0..3 {
        orders.send(order("")).await.unwrap();
    }
    wait_for("three more are logged", PATIENCE, async || {
        (system.logged().await == 5 + 3).then_some(())
    })
    .await;
    assert_eq!(measured(&system), BTreeMap::new());
    drop((orders, results));
    let given_up = wait_for("they are given up", PATIENCE, async || {
        Some(measured(&system)).filter(|measured| !measured.is_empty())
    })
    .await;
    assert_eq!(given_up, [(("PlaceOrders", "failure", None), 3)].into());
    system.log.turns(Mood::Works);
    system.stop().await;
}
