//! Orders in a file: one JSON object a line, fields named as in `orderledger.v1`.

use std::collections::BTreeMap;

use proto::v1;
use serde::Deserialize;

/// A line is not an order.
#[derive(Debug, thiserror::Error)]
#[error("not an order: {0}")]
pub(crate) struct OrderFileError(#[from] serde_json::Error);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OrderLine {
    #[serde(default)]
    request_id: String,
    currency_code: String,
    lines: Vec<Article>,
    customer: Customer,
    shipping_address: String,
    region: String,
    payment: Payment,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Article {
    sku: String,
    name: String,
    quantity: u32,
    unit_price_minor: i64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Customer {
    email: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    locale: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payment {
    gateway: String,
    #[serde(default)]
    card_brand: String,
    #[serde(default)]
    bank: String,
}

/// Parses one line. Whether the order makes sense is the server's to say.
pub(crate) fn parse_line(line: &str) -> Result<v1::PlaceOrderRequest, OrderFileError> {
    let order: OrderLine = serde_json::from_str(line)?;
    let lines = order.lines.into_iter().map(|article| v1::OrderLine {
        sku: article.sku,
        name: article.name,
        quantity: article.quantity,
        unit_price_minor: article.unit_price_minor,
    });
    Ok(v1::PlaceOrderRequest {
        request_id: order.request_id,
        details: Some(v1::OrderDetails {
            currency_code: order.currency_code,
            lines: lines.collect(),
            customer: Some(v1::Customer {
                email: order.customer.email,
                name: order.customer.name,
                locale: order.customer.locale,
            }),
            shipping_address: order.shipping_address,
            region: order.region,
            payment: Some(v1::Payment {
                gateway: order.payment.gateway,
                card_brand: order.payment.card_brand,
                bank: order.payment.bank,
            }),
            labels: order.labels,
        }),
        ..Default::default()
    })
}
