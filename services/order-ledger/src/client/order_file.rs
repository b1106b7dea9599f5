//! Orders in a file: one JSON object a line, fields named as in `orderledger.v1`.

use std::collections::BTreeMap;

use proto::v1;
use serde::Deserialize;

/// A line is not an order.
#[derive(Debug, Clone, thiserror::Error)]
#[error("not an order: {}{description}", if .field.is_empty() { String::new() } else { format!("{field} ") })]
pub(crate) struct OrderFileError {
    /// Which field, as in `lines[1].quantity`; empty if it is not even JSON.
    pub(crate) field: String,
    /// What is wrong with it, and in which column of the line.
    pub(crate) description: String,
}

impl OrderFileError {
    /// What is wrong with the line as a whole.
    pub(crate) fn whole(description: String) -> Self {
        Self { field: String::new(), description }
    }
}

impl From<serde_path_to_error::Error<serde_json::Error>> for OrderFileError {
    fn from(error: serde_path_to_error::Error<serde_json::Error>) -> Self {
        let path = error.path().to_string();
        let field = if path == "." { String::new() } else { path };
        let error = error.into_inner();
        let text = error.to_string();
        // serde_json's own place would read as a line of the file, which only the caller knows.
        let place = format!(" at line {} column {}", error.line(), error.column());
        let description = text.strip_suffix(&place).map_or_else(
            || text.clone(),
            |what| match error.line() {
                1 => format!("{what} (column {})", error.column()),
                line => format!("{what} (its line {line}, column {})", error.column()),
            },
        );
        Self { field, description }
    }
}

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

/// Parses one order. Whether the order makes sense is the server's to say.
pub(crate) fn parse_line(line: &str) -> Result<v1::PlaceOrderRequest, OrderFileError> {
    let json = &mut serde_json::Deserializer::from_str(line);
    let order: OrderLine = serde_path_to_error::deserialize(&mut *json)?;
    json.end().map_err(|error| OrderFileError::whole(error.to_string()))?;
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
