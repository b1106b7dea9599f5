//! Placing and reading orders.

use ports::{EventLog as _, Offset, Partition, Topic};
use proto::v1;
use testkit::sample;
use tonic::{Code, Request};
use tonic_types::StatusExt as _;

use crate::{
    faulty::Mood,
    system::{System, bad_fields, order},
};

#[tokio::test]
async fn a_placed_order_can_be_read_at_once() {
    let system = System::start().await;
    let order_id = system.placed().await;
    let request = v1::GetOrderRequest { order_id: order_id.clone(), ..Default::default() };
    let got = system.ledger().get_order(request).await.unwrap().into_inner().order.unwrap();
    assert_eq!(got.order_id, order_id);
    assert_eq!(got.version, 1);
    assert_eq!(got.state(), v1::OrderState::Placed);
    assert_eq!(got.total_minor, sample::details().total().get());
    assert_eq!(got.details, order("").details);
    system.stop().await;
}

#[tokio::test]
async fn the_log_has_the_event_where_the_answer_says_with_its_trace() {
    let system = System::start().await;
    // Not sampled: it is passed on as it came, whoever follows others meanwhile.
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    let mut request = Request::new(order(""));
    request.metadata_mut().insert("traceparent", trace.parse().unwrap());
    let placed = system.ledger().place_order(request).await.unwrap().into_inner();

    let position = placed.position.unwrap();
    let (partition, offset) = (Partition(position.partition), Offset(position.offset));
    let mut reader =
        system.log.read(Topic::Events, partition, offset, offset.next()).await.unwrap();
    let record = reader.next().await.unwrap().remove(0);
    assert_eq!(record.key.unwrap(), placed.order_id);
    assert!(record.headers.contains(&("traceparent".to_owned(), trace.into())));
    let event = codec::decode_event(&record.value.unwrap()).unwrap();
    assert_eq!(event.actor.unwrap().as_str(), "api");
    assert_eq!(event.occurred_at, sample::at(0));
    system.stop().await;
}

#[tokio::test]
async fn every_bad_field_is_named_at_once() {
    let system = System::start().await;
    let mut request = order(&"r".repeat(129));
    let details = request.details.as_mut().unwrap();
    details.currency_code = "PESOS".to_owned();
    details.lines[0].sku = String::new();
    details.lines[0].quantity = 0;
    details.lines[1].unit_price_minor = -1;
    details.customer.as_mut().unwrap().email = "ana".to_owned();
    details.shipping_address = "x".repeat(501);
    details.region = "  ".to_owned();
    details.payment = None;
    details.labels.insert("empty".to_owned(), String::new());
    let status = system.ledger().place_order(request).await.unwrap_err();
    let expected = [
        "details.currency_code",
        "details.customer.email",
        "details.labels[\"empty\"]",
        "details.lines[0].quantity",
        "details.lines[0].sku",
        "details.lines[1].unit_price_minor",
        "details.payment",
        "details.region",
        "details.shipping_address",
        "request_id",
    ];
    assert_eq!(bad_fields(&status), expected);
    assert_eq!(system.logged().await, 0);
    system.stop().await;
}

#[tokio::test]
async fn what_lines_add_up_to_is_checked() {
    let system = System::start().await;
    let line = |quantity, unit_price_minor| v1::OrderLine {
        sku: "A".to_owned(),
        name: "A".to_owned(),
        quantity,
        unit_price_minor,
    };
    for lines in [vec![], vec![line(1, 1); 501], vec![line(2, i64::MAX)]] {
        let mut request = order("");
        request.details.as_mut().unwrap().lines = lines;
        let status = system.ledger().place_order(request).await.unwrap_err();
        assert_eq!(bad_fields(&status), ["details.lines"]);
    }
    let nothing = v1::PlaceOrderRequest::default();
    let status = system.ledger().place_order(nothing).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["details"]);
    system.stop().await;
}

#[tokio::test]
async fn a_repeated_request_places_one_order() {
    let system = System::start().await;
    let first = system.ledger().place_order(order("cart-7")).await.unwrap().into_inner();
    let second = system.ledger().place_order(order("cart-7")).await.unwrap().into_inner();
    assert_eq!(first, second);
    assert_eq!(system.folded(&first.order_id).await.version, 1);
    assert_eq!(system.outcomes(&first.order_id).await, ["OrderPlaced applied"]);
    system.stop().await;
}

#[tokio::test]
async fn a_request_id_stands_for_what_was_logged_not_for_what_was_turned_away() {
    let system = System::start().await;
    let turned_away = order("cart-8");
    let mut placed = turned_away.clone();
    placed.details.as_mut().unwrap().region = "Biobío".to_owned();
    system.log.turns(Mood::Full);
    let status = system.ledger().place_order(turned_away.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    system.log.turns(Mood::Works);
    let first = system.ledger().place_order(placed).await.unwrap().into_inner();
    let status = system.ledger().place_order(turned_away).await.unwrap_err();
    assert_eq!(status.code(), Code::AlreadyExists, "{status}");
    assert_eq!(system.outcomes(&first.order_id).await, ["OrderPlaced applied"]);
    system.stop().await;
}

#[tokio::test]
async fn an_order_that_no_one_placed_is_not_found() {
    let system = System::start().await;
    let order_id = sample::order_id(404).to_string();
    let request = v1::GetOrderRequest { order_id: order_id.clone(), ..Default::default() };
    let status = system.ledger().get_order(request).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound, "{status}");
    assert_eq!(status.get_details_resource_info().unwrap().resource_name, order_id);

    let request = v1::GetOrderRequest { order_id: "7".to_owned(), ..Default::default() };
    let status = system.ledger().get_order(request).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["order_id"]);
    system.stop().await;
}
