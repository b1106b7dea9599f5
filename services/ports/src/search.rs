//! The search index: one document an order, newer versions only.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use events::{Order, OrderId, State};
use serde::Serialize;

/// Why the index did not answer.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// It is away or too busy; a later try may succeed.
    #[error("the search index is not available: {0}")]
    Unavailable(String),
    /// It is set up in a way that can't be used; an operator must act.
    #[error("the search index can't be used: {0}")]
    Unfit(String),
}

/// What became of one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IndexOutcome {
    /// It is in the index.
    Indexed,
    /// The index has that version or a newer one.
    Stale,
    /// It can never be indexed as it is.
    Refused(String),
}

/// An order as people search for it. Field names are the index's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "as in `events::Order`")]
pub struct OrderDocument {
    pub order_id: String,
    pub version: u64,
    pub state: &'static str,
    pub currency: String,
    pub total_minor: i64,
    pub captured_minor: i64,
    pub refunded_minor: i64,
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
    pub updated_at: DateTime<Utc>,
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

impl From<&Order> for OrderDocument {
    fn from(order: &Order) -> Self {
        let details = &order.details;
        let text = |text: &dyn ToString| text.to_string();
        Self {
            order_id: order.id.to_string(),
            version: order.version.get(),
            state: order.state.name(),
            currency: details.currency().code().to_owned(),
            total_minor: details.total().get(),
            captured_minor: order.captured.get(),
            refunded_minor: order.refunded.get(),
            region: text(&details.region),
            shipping_address: text(&details.shipping_address),
            customer: CustomerDocument {
                email: text(&details.customer.email),
                name: details.customer.name.as_ref().map(ToString::to_string),
                locale: details.customer.locale.as_ref().map(|l| l.as_str().to_owned()),
            },
            payment: PaymentDocument {
                gateway: text(&details.payment.gateway),
                card_brand: details.payment.card_brand.as_ref().map(ToString::to_string),
                bank: details.payment.bank.as_ref().map(ToString::to_string),
            },
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
            updated_at: order.updated_at,
        }
    }
}

/// Holds one document an order.
#[async_trait]
pub trait SearchIndex: Send + Sync {
    /// Creates templates, index and alias if they are missing. Idempotent.
    async fn prepare(&self) -> Result<(), SearchError>;

    /// Writes documents; each replaces only an older version of its order (promise 6). One outcome a document, in
    /// order. An order may come more than once.
    async fn upsert(&self, documents: &[OrderDocument]) -> Result<Vec<IndexOutcome>, SearchError>;

    /// The version that is indexed for each of these orders; those not indexed are left out. Sees every write that
    /// was answered before the call.
    async fn versions(&self, orders: &[OrderId]) -> Result<BTreeMap<OrderId, u64>, SearchError>;

    /// How many indexed orders stand in each state. Sees every write that was answered before the call.
    async fn count_by_state(&self) -> Result<Vec<(State, u64)>, SearchError>;

    /// Whether the index answers.
    async fn ping(&self) -> Result<(), SearchError>;
}
