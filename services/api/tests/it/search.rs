//! Finding orders by text; the search role itself is not here, its documents are.

use ports::{OrderDocument, SearchIndex as _};
use proto::v1;

use crate::system::{System, bad_fields, order};

/// Places an order of this region and indexes it as it is.
async fn placed(system: &System, region: &str) -> v1::PlaceOrderResponse {
    let mut request = order("");
    request.details.as_mut().unwrap().region = region.to_owned();
    let placed = system.ledger().place_order(request).await.unwrap().into_inner();
    system.clock.advance(1);
    placed
}

async fn index(system: &System, placed: &v1::PlaceOrderResponse) {
    system.folded(&placed.order_id).await;
    let snapshots =
        ports::OrderStore::load(&*system.store, &[placed.order_id.parse().unwrap()]).await.unwrap();
    let order = codec::decode_snapshot(&snapshots[0].bytes).unwrap();
    system.index.upsert(&[OrderDocument::from(&order)]).await.unwrap();
}

#[tokio::test]
async fn orders_are_found_by_words_and_filters_page_by_page() {
    let system = System::start().await;
    for n in 0..5 {
        let placed = placed(&system, if n % 2 == 0 { "North" } else { "South" }).await;
        index(&system, &placed).await;
    }
    let mut request = v1::SearchOrdersRequest {
        text: "north tea-7".to_owned(),
        page_size: 2,
        ..Default::default()
    };
    let first = system.ledger().search_orders(request.clone()).await.unwrap().into_inner();
    assert_eq!((first.orders.len(), first.total), (2, 3));
    let placed_state = v1::OrderState::Placed.into();
    assert_eq!(first.totals, [v1::StateTotal { state: placed_state, orders: 3 }]);
    request.page_token = first.next_page_token;
    let second = system.ledger().search_orders(request.clone()).await.unwrap().into_inner();
    assert_eq!((second.orders.len(), second.next_page_token.as_str()), (1, ""));
    for found in first.orders.iter().chain(&second.orders) {
        assert_eq!((found.region.as_str(), found.version), ("North", 1));
    }

    request.text = "south".to_owned();
    let status = system.ledger().search_orders(request).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["page_token"], "the token is another question's");
    let cancelled =
        v1::OrderFilter { states: vec![v1::OrderState::Cancelled.into()], ..Default::default() };
    let request = v1::SearchOrdersRequest { filter: Some(cancelled), ..Default::default() };
    let none = system.ledger().search_orders(request).await.unwrap().into_inner();
    assert_eq!((none.orders.len(), none.total), (0, 0));
    system.stop().await;
}

#[tokio::test]
async fn who_brings_a_position_finds_its_own_writes() {
    let system = System::start().await;
    let placed = placed(&system, "East").await;
    let request = v1::SearchOrdersRequest {
        text: "east".to_owned(),
        not_before: placed.position,
        ..Default::default()
    };
    let mut ledger = system.ledger();
    let (found, ()) = tokio::join!(ledger.search_orders(request), index(&system, &placed));
    assert_eq!(found.unwrap().into_inner().orders[0].order_id, placed.order_id);
    system.stop().await;
}
