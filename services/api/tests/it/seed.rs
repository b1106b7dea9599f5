//! The contract of the system that came before, as its clients use it.

use events::Currency;
use proto::seed::OrderRequest;
use tonic::Code;

use crate::system::{System, bad_fields};

fn order(price: f32) -> OrderRequest {
    OrderRequest {
        product_name: "Taza de greda".to_owned(),
        price,
        payment_gateway: "Webpay".to_owned(),
        card_brand: "Visa".to_owned(),
        bank: "Banco de Chile".to_owned(),
        shipping_address: "Calle Prat 55".to_owned(),
        region: "Valparaíso".to_owned(),
        email: "ana@example.com".to_owned(),
    }
}

#[tokio::test]
async fn an_order_of_the_older_contract_is_an_order_like_any_other() {
    let system = System::start().await;
    let answer = system.seed().place_order(order(12_990.0)).await.unwrap().into_inner();
    assert_eq!(answer.status, "Procesando");
    let order = system.folded(&answer.order_id).await;
    assert_eq!(order.total_minor, 12_990);
    let details = order.details.unwrap();
    assert_eq!(details.currency_code, "CLP");
    assert_eq!(details.region, "Valparaíso");
    assert_eq!(details.shipping_address, "Calle Prat 55");
    assert_eq!(details.customer.unwrap().email, "ana@example.com");
    let payment = details.payment.unwrap();
    assert_eq!(
        [payment.gateway, payment.card_brand, payment.bank],
        ["Webpay", "Visa", "Banco de Chile"]
    );
    let [line] = details.lines.as_slice() else { panic!("{:?}", details.lines) };
    assert_eq!((line.name.as_str(), line.quantity), ("Taza de greda", 1));
    system.stop().await;
}

#[tokio::test]
async fn prices_are_exact_or_refused() {
    let system = System::start_with(|settings| settings.seed_currency = Currency::USD).await;
    for (price, minor) in [(0.1, Some(10)), (19.99, Some(1_999)), (12_990.0, Some(1_299_000))] {
        let answer = system.seed().place_order(order(price)).await.unwrap().into_inner();
        let placed = system.folded(&answer.order_id).await;
        assert_eq!(Some(placed.total_minor), minor, "{price}");
    }
    for price in [0.001, f32::NAN, -1.0, f32::INFINITY, 1e38] {
        let status = system.seed().place_order(order(price)).await.unwrap_err();
        assert_eq!(bad_fields(&status), ["price"], "{price}");
    }
    system.stop().await;
}

#[tokio::test]
async fn every_bad_field_is_named_at_once() {
    let system = System::start().await;
    let status = system.seed().place_order(OrderRequest::default()).await.unwrap_err();
    let expected = ["email", "payment_gateway", "product_name", "region", "shipping_address"];
    assert_eq!(bad_fields(&status), expected);
    let status = system.seed().place_order(order(19.99)).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["price"]);
    assert!(status.message().contains("at most 0 decimals in CLP, is 19.99"), "{status}");
    assert_eq!(status.code(), Code::InvalidArgument);
    system.stop().await;
}
