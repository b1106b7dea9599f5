//! Orders in, over gRPC, the way a careful client does it: a request id on every call, and again until it is answered.

use std::{collections::BTreeMap, time::Duration};

use events::OrderId;
use proto::v1::{self, order_ledger_client::OrderLedgerClient};
use tonic::{Code, Status, transport::Channel};

use crate::{
    installation::{Installation, address_of},
    process::PATIENCE,
};

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(20);

/// The n-th order of a test: two languages, two currencies, one to three lines.
pub(crate) fn order(installation: &Installation, n: usize) -> v1::PlaceOrderRequest {
    order_of(&installation.name, n)
}

/// As [`order`], by the name of the installation.
pub(crate) fn order_of(name: &str, n: usize) -> v1::PlaceOrderRequest {
    let (locale, currency, price) =
        if n.is_multiple_of(2) { ("es-CL", "CLP", 12_990) } else { ("en", "USD", 1_999) };
    let lines = (0..=n % 3).map(|line| v1::OrderLine {
        sku: format!("SKU-{line}"),
        name: format!("Article {line}"),
        quantity: 1 + u32::try_from(n % 4).unwrap(),
        unit_price_minor: price,
    });
    v1::PlaceOrderRequest {
        request_id: format!("{name}-{n}"),
        details: Some(v1::OrderDetails {
            currency_code: currency.to_owned(),
            lines: lines.collect(),
            customer: Some(v1::Customer {
                email: address_of(name, n),
                name: format!("Customer {n}"),
                locale: locale.to_owned(),
            }),
            shipping_address: "Calle Prat 55".to_owned(),
            region: ["Biobío", "Valparaíso"][n % 2].to_owned(),
            payment: Some(v1::Payment {
                gateway: "Webpay".to_owned(),
                card_brand: "Visa".to_owned(),
                bank: String::new(),
            }),
            labels: BTreeMap::from([("test".to_owned(), name.to_owned())]),
        }),
        ..Default::default()
    }
}

pub(crate) async fn connect(address: &str) -> OrderLedgerClient<Channel> {
    OrderLedgerClient::connect(address.to_owned()).await.unwrap()
}

/// Whether a careful client tries again after this.
pub(crate) fn is_worth_another_try(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded | Code::Cancelled
    ) || status.code() == Code::Unknown
}

/// Places an order through whatever address `server` gives by then, until one answers.
pub(crate) async fn place(
    server: &tokio::sync::watch::Receiver<String>,
    request: v1::PlaceOrderRequest,
) -> OrderId {
    let trying = async {
        loop {
            let address = server.borrow().clone();
            let channel = Channel::from_shared(address).unwrap().timeout(Duration::from_secs(10));
            if let Ok(channel) = channel.connect().await {
                let mut client = OrderLedgerClient::new(channel);
                match client.place_order(request.clone()).await {
                    Ok(placed) => return placed.into_inner().order_id.parse().unwrap(),
                    Err(status) if is_worth_another_try(&status) => {}
                    Err(status) => panic!("refused: {status}"),
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::time::timeout(PATIENCE, trying).await.expect("the order is placed in time")
}
