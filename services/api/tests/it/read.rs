//! Reading orders: as they were, what happened to them, which there are.

use proto::v1::{self, WaitFor, get_order_request::At};
use testkit::sample;
use tonic::Code;

use crate::system::{System, bad_fields, order};

fn applied() -> i32 {
    WaitFor::Applied.into()
}

/// An order that was placed, prepared and cancelled, a second apart each.
async fn cancelled(system: &System) -> String {
    let mut ledger = system.ledger();
    let order_id = system.placed().await;
    system.clock.advance(1);
    let prepare = v1::RecordPreparationStartedRequest {
        order_id: order_id.clone(),
        wait_for: applied(),
        ..Default::default()
    };
    ledger.record_preparation_started(prepare).await.unwrap();
    system.clock.advance(1);
    let cancel = v1::CancelOrderRequest {
        order_id: order_id.clone(),
        reason: "changed my mind".to_owned(),
        wait_for: applied(),
        ..Default::default()
    };
    ledger.cancel_order(cancel).await.unwrap();
    order_id
}

fn get(order_id: &str, at: Option<At>) -> v1::GetOrderRequest {
    v1::GetOrderRequest { order_id: order_id.to_owned(), at, ..Default::default() }
}

#[tokio::test]
async fn an_order_is_shown_as_it_was() {
    let system = System::start().await;
    let order_id = cancelled(&system).await;
    let mut ledger = system.ledger();
    let now = ledger.get_order(get(&order_id, None)).await.unwrap().into_inner().order.unwrap();
    let states = [v1::OrderState::Placed, v1::OrderState::Preparing, v1::OrderState::Cancelled];
    for (version, state) in (1..).zip(states) {
        let request = get(&order_id, Some(At::Version(version)));
        let then = ledger.get_order(request).await.unwrap().into_inner().order.unwrap();
        assert_eq!((then.version, then.state()), (version, state));
        // An event counts at its own instant, and not a moment before.
        let at = then.updated_at.unwrap();
        let request = get(&order_id, Some(At::Time(at)));
        let same = ledger.get_order(request).await.unwrap().into_inner().order.unwrap();
        assert_eq!(same, then);
        let before = prost_types::Timestamp { nanos: at.nanos - 1_000, ..at };
        let before = ledger.get_order(get(&order_id, Some(At::Time(before)))).await;
        match before {
            Ok(before) => assert_eq!(before.into_inner().order.unwrap().version, version - 1),
            Err(status) => assert_eq!((status.code(), version), (Code::NotFound, 1)),
        }
        if version == 3 {
            assert_eq!(then, now);
        }
    }
    let status = ledger.get_order(get(&order_id, Some(At::Version(4)))).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
    let status = ledger.get_order(get(&order_id, Some(At::Version(0)))).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["version"]);
    let unknown = get(&sample::order_id(404).to_string(), Some(At::Version(1)));
    assert_eq!(ledger.get_order(unknown).await.unwrap_err().code(), Code::NotFound);
    system.stop().await;
}

#[tokio::test]
async fn the_history_has_every_event_with_its_outcome_page_by_page() {
    let system = System::start().await;
    let order_id = cancelled(&system).await;
    let mut ledger = system.ledger();
    let mut request = v1::GetOrderHistoryRequest {
        order_id: order_id.clone(),
        page_size: 2,
        ..Default::default()
    };
    let mut seen = Vec::new();
    loop {
        let page = ledger.get_order_history(request.clone()).await.unwrap().into_inner();
        assert!(page.entries.len() <= 2);
        seen.extend(page.entries.iter().map(|entry| {
            (entry.version, entry.outcome(), entry.from(), entry.to(), entry.rejection.clone())
        }));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    use v1::{EventOutcome::Applied, OrderState as S};
    let none = String::new;
    let expected = [
        (1, Applied, S::Unspecified, S::Placed, none()),
        (2, Applied, S::Placed, S::Preparing, none()),
        (3, Applied, S::Preparing, S::Cancelled, none()),
    ];
    assert_eq!(seen, expected);

    let other = v1::GetOrderHistoryRequest {
        order_id: sample::order_id(404).to_string(),
        ..request.clone()
    };
    let status = ledger.get_order_history(other.clone()).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["page_token"], "the token is another order's");
    let unknown = v1::GetOrderHistoryRequest { page_token: String::new(), ..other };
    assert_eq!(ledger.get_order_history(unknown).await.unwrap_err().code(), Code::NotFound);
    system.stop().await;
}

#[tokio::test]
async fn orders_are_listed_newest_first_page_by_page() {
    let system = System::start().await;
    let mut ledger = system.ledger();
    let mut placed = Vec::new();
    for n in 0..7 {
        let mut request = order("");
        let details = request.details.as_mut().unwrap();
        details.region = if n % 2 == 0 { "North" } else { "South" }.to_owned();
        request.wait_for = applied();
        placed.push(ledger.place_order(request).await.unwrap().into_inner().order_id);
        system.clock.advance(1);
    }
    placed.reverse();
    let filter = v1::OrderFilter { region: "North".to_owned(), ..Default::default() };
    let mut request =
        v1::ListOrdersRequest { filter: Some(filter), page_size: 3, ..Default::default() };
    let first = ledger.list_orders(request.clone()).await.unwrap().into_inner();
    request.page_token = first.next_page_token;
    let second = ledger.list_orders(request.clone()).await.unwrap().into_inner();
    assert_eq!(second.next_page_token, "");
    let listed: Vec<_> =
        first.orders.iter().chain(&second.orders).map(|order| order.order_id.clone()).collect();
    let north: Vec<_> = placed.iter().step_by(2).cloned().collect();
    assert_eq!(listed, north);

    let all = ledger.list_orders(v1::ListOrdersRequest::default()).await.unwrap().into_inner();
    let listed: Vec<_> = all.orders.into_iter().map(|order| order.order_id).collect();
    assert_eq!(listed, placed);

    request.filter = None;
    let status = ledger.list_orders(request).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["page_token"], "the token is another filter's");
    let filter = v1::OrderFilter {
        states: vec![99],
        region: "x".repeat(401),
        placed_from: Some(prost_types::Timestamp { seconds: 0, nanos: -1 }),
        ..Default::default()
    };
    let request =
        v1::ListOrdersRequest { filter: Some(filter), page_size: 1_001, ..Default::default() };
    let status = ledger.list_orders(request).await.unwrap_err();
    let bad = ["filter.placed_from", "filter.region", "filter.states", "page_size"];
    assert_eq!(bad_fields(&status), bad);
    system.stop().await;
}

#[tokio::test]
async fn who_brings_a_position_reads_its_own_writes() {
    let system = System::start().await;
    let mut ledger = system.ledger();
    for n in 0..20 {
        let placed = ledger.place_order(order("")).await.unwrap().into_inner();
        let request = v1::ListOrdersRequest { not_before: placed.position, ..Default::default() };
        let listed = ledger.list_orders(request).await.unwrap().into_inner().orders;
        assert!(listed.iter().any(|order| order.order_id == placed.order_id), "order {n}");
    }
    let beyond = v1::LogPosition { partition: 0, offset: 1 << 40 };
    let mut request = tonic::Request::new(v1::ListOrdersRequest {
        not_before: Some(beyond),
        ..Default::default()
    });
    request.set_timeout(std::time::Duration::from_millis(300));
    let status = ledger.list_orders(request).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    let nowhere = v1::LogPosition { partition: 99, offset: 0 };
    let request = v1::ListOrdersRequest { not_before: Some(nowhere), ..Default::default() };
    let status = ledger.list_orders(request).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["not_before.partition"]);
    // The past of an order has a place in the log, too.
    let placed = ledger.place_order(order("")).await.unwrap().into_inner();
    let (order_id, position) = (placed.order_id, placed.position.unwrap());
    let at = |position| v1::GetOrderRequest {
        order_id: order_id.clone(),
        at: Some(v1::get_order_request::At::Position(position)),
        ..Default::default()
    };
    assert!(ledger.get_order(at(position)).await.is_ok(), "as soon as it is folded");
    let status = ledger.get_order(at(nowhere)).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["position.partition"]);
    let negative = v1::LogPosition { offset: -1, ..position };
    let status = ledger.get_order(at(negative)).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["position.offset"]);
    let beyond = v1::LogPosition { offset: position.offset + 1, ..position };
    let status = ledger.get_order(at(beyond)).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
    assert!(status.message().ends_with(&format!("ends at {}", beyond.offset)), "{status}");
    let before = v1::GetOrderRequest {
        at: Some(v1::get_order_request::At::Time(prost_types::Timestamp::default())),
        ..at(position)
    };
    let status = ledger.get_order(before).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert_eq!(status.message(), format!("order {order_id} was not placed yet then"));
    system.stop().await;
}
