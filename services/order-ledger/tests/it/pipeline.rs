//! Orders in over gRPC; rows, documents and mails out, each as the log says.

use events::{OrderId, State};
use futures::StreamExt as _;
use proto::{seed, v1};

use crate::{
    client::{connect, order},
    compare::{Mails, settle_and_compare},
    installation::{Installation, ROLES},
};

const STREAMED: usize = 120;
const UNARY: usize = 20;

#[tokio::test]
async fn orders_go_through_separate_processes_on_real_servers() {
    let installation = Installation::new("pipeline").await;
    let mut processes: Vec<_> = ROLES.map(|role| installation.start(role)).into();
    for process in &mut processes {
        process.ready().await;
    }
    let address = processes[0].grpc().await;

    let mut placed = place_streamed(&installation, &address).await;
    placed.extend(place_unary_and_cancel_some(&installation, &address).await);
    placed.push(place_by_seed_contract(&installation, &address).await);

    let oracle = settle_and_compare(&installation, &placed, Mails::Once).await;
    assert_eq!(oracle.orders.len(), placed.len());
    assert_eq!(oracle.foreign, 0);
    let cancelled = oracle.orders.values().filter(|e| e.order.state == State::Cancelled).count();
    assert!(cancelled > 0 && cancelled <= UNARY / 2, "{cancelled} cancelled");

    let mut client = connect(&address).await;
    for id in placed {
        let request = v1::GetOrderRequest { order_id: id.to_string(), ..Default::default() };
        let got = client.get_order(request).await.unwrap().into_inner().order.unwrap();
        assert_eq!(got.version, oracle.orders[&id].order.version.get());
        assert_eq!(got.state, i32::from(codec::state_to_proto(oracle.orders[&id].order.state)));
    }
    for process in processes {
        process.stop().await;
    }
    installation.remove().await;
}

async fn place_streamed(installation: &Installation, address: &str) -> Vec<OrderId> {
    let orders: Vec<_> = (0..STREAMED).map(|n| order(installation, n)).collect();
    let stream = futures::stream::iter(orders);
    let mut results = connect(address).await.place_orders(stream).await.unwrap().into_inner();
    let mut placed = Vec::new();
    while let Some(result) = results.next().await {
        let result = result.unwrap();
        assert_eq!(usize::try_from(result.index).unwrap(), placed.len(), "in order");
        let Some(v1::place_orders_response::Result::Placed(one)) = result.result else {
            panic!("{result:?}");
        };
        placed.push(one.order_id.parse().unwrap());
    }
    assert_eq!(placed.len(), STREAMED);
    placed
}

async fn place_unary_and_cancel_some(installation: &Installation, address: &str) -> Vec<OrderId> {
    let mut client = connect(address).await;
    let mut placed = Vec::new();
    for n in STREAMED..STREAMED + UNARY {
        let response = client.place_order(order(installation, n)).await.unwrap().into_inner();
        if n % 4 == 0 {
            let cancel = v1::CancelOrderRequest {
                order_id: response.order_id.clone(),
                reason: "changed my mind".to_owned(),
                request_id: format!("cancel-{n}"),
                ..Default::default()
            };
            // The fulfilment may have shipped it by then: that is for the fold to say.
            _ = client.cancel_order(cancel).await;
        }
        placed.push(response.order_id.parse().unwrap());
    }
    placed
}

async fn place_by_seed_contract(installation: &Installation, address: &str) -> OrderId {
    let mut client =
        seed::order_service_client::OrderServiceClient::connect(address.to_owned()).await.unwrap();
    let request = seed::OrderRequest {
        product_name: "Teclado".to_owned(),
        price: 45_990.0,
        payment_gateway: "PayPal".to_owned(),
        card_brand: "Visa".to_owned(),
        bank: "Santander".to_owned(),
        shipping_address: "Av. Providencia 1".to_owned(),
        region: "Metropolitana".to_owned(),
        email: installation.address(9_999),
    };
    let response = client.place_order(request).await.unwrap().into_inner();
    assert_eq!(response.status, "Procesando");
    response.order_id.parse().unwrap()
}
