//! The search index: one document an order, newer versions only.

mod customers;
mod document;

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use events::{OrderId, State};
use serde::Deserialize;

pub use self::{
    customers::{Concealing, CustomerKey, Customers},
    document::{
        CustomerDocument, LineDocument, OrderDocument, ParcelDocument, PaymentDocument, seconds,
    },
};

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

/// Which orders are meant. What is left out matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchQuery {
    /// Each of its [`crate::words`] must be one of the order's. It is never taken for anything but words.
    pub text: Option<String>,
    /// In any of these states; in any at all if there is none.
    pub states: Vec<State>,
    /// Of this region, exactly.
    pub region: Option<String>,
    /// Of this customer, in upper or lower case.
    pub customer_email: Option<String>,
    /// Paid through this gateway, exactly.
    pub payment_gateway: Option<String>,
    /// Placed then or later, to the millisecond.
    pub placed_from: Option<DateTime<Utc>>,
    /// Placed earlier, to the millisecond.
    pub placed_until: Option<DateTime<Utc>>,
    /// Whether every write that was answered before the call must be seen; else some of the last second may not be.
    pub fresh: bool,
}

/// One page of what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Newest placed first, to the millisecond, then by id, the highest first.
    pub hits: Vec<OrderHit>,
    /// Where the next page starts; `None` if this is the last.
    pub next: Option<SearchKey>,
    /// How many match, on all pages.
    pub total: u64,
    /// The same by state, states of no order left out, in the order of the states.
    pub by_state: Vec<(State, u64)>,
}

/// An order that was found, as the index has it. Reads from an [`OrderDocument`] that was written.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Shown")]
#[expect(missing_docs, reason = "as in `OrderDocument`")]
pub struct OrderHit {
    pub order_id: OrderId,
    pub version: u64,
    pub state: State,
    pub currency: String,
    pub total_minor: i64,
    pub region: String,
    pub customer_email: String,
    pub placed_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// What a hit shows of a document.
#[derive(Deserialize)]
struct Shown {
    order_id: String,
    version: u64,
    state: String,
    currency: String,
    total_minor: i64,
    region: String,
    customer: ShownCustomer,
    placed_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

#[derive(Deserialize)]
struct ShownCustomer {
    email: String,
}

impl TryFrom<Shown> for OrderHit {
    type Error = String;

    fn try_from(shown: Shown) -> Result<Self, String> {
        let Shown { version, currency, total_minor, region, placed_at, updated_at, .. } = shown;
        let order_id = shown.order_id.parse();
        let order_id =
            order_id.map_err(|_| format!("a document {:?} of no order", shown.order_id))?;
        let state = State::from_name(&shown.state)
            .ok_or_else(|| format!("an order of an unknown state {:?}", shown.state))?;
        let customer_email = shown.customer.email;
        Ok(Self {
            order_id,
            version,
            state,
            currency,
            total_minor,
            region,
            customer_email,
            placed_at,
            updated_at,
        })
    }
}

/// Where a page of a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SearchKey {
    /// When the last order was placed, to the millisecond.
    pub placed_at: DateTime<Utc>,
    /// Which it was.
    pub order_id: OrderId,
}

/// Documents as they are indexed.
pub type Documents = BTreeMap<OrderId, serde_json::Value>;

/// Holds one document an order. While another index takes its place ([`SearchGenerations`]), what is written is not seen for
/// a moment.
#[async_trait]
pub trait SearchIndex: Send + Sync {
    /// Creates templates, index and aliases if they are missing. Idempotent.
    async fn prepare(&self) -> Result<(), SearchError>;

    /// Writes documents; each replaces only an older version of its order (promise 6). One outcome a document, in
    /// order. An order may come more than once.
    async fn upsert(&self, documents: &[OrderDocument]) -> Result<Vec<IndexOutcome>, SearchError>;

    /// Orders that match, those after `after`, at most `limit`.
    async fn search(
        &self,
        query: &SearchQuery,
        after: Option<SearchKey>,
        limit: usize,
    ) -> Result<Found, SearchError>;

    /// The version that is indexed for each of these orders; those not indexed are left out. Sees every write that
    /// was answered before the call.
    async fn versions(&self, orders: &[OrderId]) -> Result<BTreeMap<OrderId, u64>, SearchError>;

    /// A document as this index keeps it, which need not be as it was given: see [`Concealing`].
    fn as_kept(&self, document: OrderDocument) -> OrderDocument {
        document
    }

    /// The documents of these orders as they are indexed; those not indexed are left out. Sees every write that was
    /// answered before the call.
    async fn documents(&self, orders: &[OrderId]) -> Result<Documents, SearchError>;

    /// How many indexed orders stand in each state. Sees every write that was answered before the call.
    async fn count_by_state(&self) -> Result<Vec<(State, u64)>, SearchError>;

    /// Whether the index answers.
    async fn ping(&self) -> Result<(), SearchError>;
}

/// How an index is built anew beside the one in use, which then gives way in two steps: what is written goes to the new
/// one first, what is read comes from it once it has caught up. So no reader sees an order go back, and nothing that is
/// written meanwhile is lost; until the second step it is not found yet.
///
/// One process does so at a time: see [`crate::Generations::lease`].
#[async_trait]
pub trait SearchGenerations: Send + Sync {
    /// Makes an empty index. Those that are neither read nor written, which earlier attempts left, are removed.
    async fn create(&self) -> Result<Box<dyn NewIndex>, SearchError>;

    /// The index that takes writes and is not read: whoever built it was interrupted between the two steps.
    async fn unfinished(&self) -> Result<Option<Box<dyn NewIndex>>, SearchError>;
}

/// An index that is not in use yet. Dropped, it is left for the next attempt to remove.
#[async_trait]
pub trait NewIndex: Send + Sync {
    /// As [`SearchIndex::upsert`], to this index alone.
    ///
    /// # Errors
    /// [`SearchError::Unfit`] once someone removed it: it never comes up again by itself.
    async fn upsert(&self, documents: &[OrderDocument]) -> Result<Vec<IndexOutcome>, SearchError>;

    /// What any process writes comes here from now on. Writes that were under way may still go to the former index.
    /// Idempotent.
    async fn take_writes(&self) -> Result<(), SearchError>;

    /// What any process reads comes from here from now on, what it writes comes here, and every former index is removed:
    /// all of it or nothing. Idempotent.
    async fn take_reads(&self) -> Result<(), SearchError>;

    /// Removes it, unless it takes writes or is read.
    async fn remove(&self) -> Result<(), SearchError>;
}
