//! An order as the search index has it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use events::{Order, Payment};
use serde::Serialize;

use crate::words;

/// An order as people search for it. Field names are the index's.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "as in `events::Order`")]
pub struct OrderDocument {
    /// When it was placed, under the name that tools which draw time go by.
    #[serde(rename = "@timestamp")]
    pub timestamp: DateTime<Utc>,
    pub order_id: String,
    pub version: u64,
    pub state: &'static str,
    pub currency: String,
    pub total_minor: i64,
    pub captured_minor: i64,
    pub refunded_minor: i64,
    /// What is still to be paid.
    pub outstanding_minor: i64,
    pub region: String,
    pub shipping_address: String,
    pub customer: CustomerDocument,
    pub payment: PaymentDocument,
    pub lines: Vec<LineDocument>,
    /// `key=value`, sorted: free-form keys never become fields.
    pub labels: Vec<String>,
    pub parcel: Option<ParcelDocument>,
    pub cancel_reason: Option<String>,
    pub anomalies: u32,
    pub placed_at: DateTime<Utc>,
    pub entered_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// By the name of each state that it left; several stays in one add up.
    pub seconds_in_state: BTreeMap<&'static str, f64>,
    /// Every word that the order can be found by ([`words`]), once, with spaces between.
    pub words: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "as in `events::Customer`")]
pub struct CustomerDocument {
    pub email: String,
    pub name: Option<String>,
    pub locale: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "as in `events::Payment`")]
pub struct PaymentDocument {
    pub gateway: String,
    pub card_brand: Option<String>,
    pub bank: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "as in `events::Line`")]
pub struct LineDocument {
    pub sku: String,
    pub name: String,
    pub quantity: u32,
    pub unit_price_minor: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "as in `events::Parcel`")]
pub struct ParcelDocument {
    pub carrier: String,
    pub tracking_number: String,
}

impl From<&Payment> for PaymentDocument {
    fn from(payment: &Payment) -> Self {
        Self {
            gateway: payment.gateway.to_string(),
            card_brand: payment.card_brand.as_ref().map(ToString::to_string),
            bank: payment.bank.as_ref().map(ToString::to_string),
        }
    }
}

impl From<&Order> for OrderDocument {
    fn from(order: &Order) -> Self {
        let details = &order.details;
        let text = |text: &dyn ToString| text.to_string();
        let mut document = Self {
            timestamp: order.placed_at,
            order_id: order.id.to_string(),
            version: order.version.get(),
            state: order.state.name(),
            currency: details.currency().code().to_owned(),
            total_minor: details.total().get(),
            captured_minor: order.captured.get(),
            refunded_minor: order.refunded.get(),
            outstanding_minor: order.to_capture().get(),
            region: text(&details.region),
            shipping_address: text(&details.shipping_address),
            customer: CustomerDocument {
                email: text(&details.customer.email),
                name: details.customer.name.as_ref().map(ToString::to_string),
                locale: details.customer.locale.as_ref().map(|l| l.as_str().to_owned()),
            },
            payment: PaymentDocument::from(&details.payment),
            lines: details
                .lines()
                .iter()
                .map(|line| LineDocument {
                    sku: text(&line.sku),
                    name: text(&line.name),
                    quantity: line.quantity.get(),
                    unit_price_minor: line.unit_price.get(),
                })
                .collect(),
            labels: details.labels().iter().map(|(key, value)| format!("{key}={value}")).collect(),
            parcel: order.parcel.as_ref().map(|parcel| ParcelDocument {
                carrier: text(&parcel.carrier),
                tracking_number: text(&parcel.tracking_number),
            }),
            cancel_reason: order.cancel_reason.as_ref().map(ToString::to_string),
            anomalies: order.anomalies,
            placed_at: order.placed_at,
            entered_at: order.entered_at,
            updated_at: order.updated_at,
            seconds_in_state: order
                .spent
                .micros()
                .map(|(state, micros)| (state.name(), seconds(micros)))
                .collect(),
            words: String::new(),
        };
        document.words = document.words_of(WithCustomer::Yes);
        document
    }
}

/// Microseconds as seconds.
#[must_use]
pub fn seconds(micros: u64) -> f64 {
    const MICROS: f64 = 1_000_000.0;
    // Exact below 2^53 microseconds, some 285 years.
    micros as f64 / MICROS
}

/// Whether an order is found by the words of its customer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum WithCustomer {
    Yes,
    No,
}

impl OrderDocument {
    /// What people search for; the rest is for filters.
    pub(super) fn words_of(&self, with: WithCustomer) -> String {
        let customer = match with {
            WithCustomer::Yes => Some(&self.customer),
            WithCustomer::No => None,
        };
        let fields = [&self.order_id, &self.region, &self.shipping_address, &self.payment.gateway];
        let mut texts: Vec<&str> = fields.into_iter().map(String::as_str).collect();
        let optional = [&self.payment.card_brand, &self.payment.bank, &self.cancel_reason];
        texts.extend(optional.into_iter().flatten().map(String::as_str));
        texts.extend(customer.map(|customer| customer.email.as_str()));
        texts.extend(customer.and_then(|customer| customer.name.as_deref()));
        let parcel = self.parcel.iter();
        texts.extend(parcel.flat_map(|p| [p.carrier.as_str(), p.tracking_number.as_str()]));
        texts.extend(self.lines.iter().flat_map(|line| [line.sku.as_str(), line.name.as_str()]));
        texts.extend(self.labels.iter().map(String::as_str));
        words(texts).into_iter().collect::<Vec<_>>().join(" ")
    }
}
