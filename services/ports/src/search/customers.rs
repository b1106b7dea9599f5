//! What a search index keeps of who the customers are: as it is, hashed or masked.
//!
//! [`Concealing`] stands before an index, so that no one who writes or asks has to think of it. What is stored elsewhere, in
//! the log and in the snapshots, is not its business; nor is what people write into addresses, labels or reasons.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use events::{OrderId, State};
use serde_json::Value;

use super::{
    CustomerDocument, Documents, Found, IndexOutcome, NewIndex, OrderDocument, SearchError,
    SearchGenerations, SearchIndex, SearchKey, SearchQuery, document::WithCustomer,
};
use crate::{KeptTransitions, TransitionDocument, TransitionKey, TransitionScan, TransitionStream};

/// How an index keeps the e-mail addresses and names of customers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Customers {
    /// As they are.
    #[default]
    Plain,
    /// As keyed hashes: equal customers stay equal, and whoever lacks the key can't tell who they are.
    Hashed(CustomerKey),
    /// By their first letters, and the domain of the address.
    Masked,
}

/// What customers are hashed with. Another key makes other hashes: the index is then to be built anew.
#[derive(Clone, PartialEq, Eq)]
pub struct CustomerKey([u8; 32]);

/// Shows no key.
impl fmt::Debug for CustomerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CustomerKey")
    }
}

impl CustomerKey {
    /// Made of a secret of any length.
    #[must_use]
    pub fn new(secret: &str) -> Self {
        Self(blake3::derive_key("order-ledger 2026 search index customers", secret.as_bytes()))
    }

    /// The same in upper and lower case, as e-mail addresses are to be found.
    fn hash(&self, text: &str) -> String {
        blake3::keyed_hash(&self.0, text.to_lowercase().as_bytes()).to_hex().to_string()
    }
}

impl Customers {
    /// An address as it is kept, and searched for.
    fn email(&self, email: &str) -> String {
        match self {
            Self::Plain => email.to_owned(),
            Self::Hashed(key) => key.hash(email),
            Self::Masked => match email.rsplit_once('@') {
                Some((local, domain)) => format!("{}@{}", masked(local), domain.to_lowercase()),
                None => masked(email),
            },
        }
    }

    fn name(&self, name: &str) -> String {
        match self {
            Self::Plain => name.to_owned(),
            Self::Hashed(key) => key.hash(name),
            Self::Masked => name.split_whitespace().map(masked).collect::<Vec<_>>().join(" "),
        }
    }

    /// A document as it is kept: neither field nor word of it tells more of the customer.
    fn conceal(&self, document: &mut OrderDocument) {
        match self {
            Self::Plain => {}
            Self::Hashed(_) | Self::Masked => {
                let CustomerDocument { email, name, locale: _ } = &mut document.customer;
                *email = self.email(email);
                *name = name.as_deref().map(|name| self.name(name));
                document.words = document.words_of(WithCustomer::No);
            }
        }
    }

    fn concealed<'a>(&self, documents: &'a [OrderDocument]) -> Cow<'a, [OrderDocument]> {
        match self {
            Self::Plain => Cow::Borrowed(documents),
            Self::Hashed(_) | Self::Masked => {
                let mut documents = documents.to_vec();
                documents.iter_mut().for_each(|document| self.conceal(document));
                Cow::Owned(documents)
            }
        }
    }
}

/// The first letter, in lower case so that an address is found in either.
fn masked(text: &str) -> String {
    let first: String = text.chars().take(1).flat_map(char::to_lowercase).collect();
    format!("{first}***")
}

/// An index that keeps customers in a way of its own. What it answers is as it is kept.
#[derive(Debug)]
pub struct Concealing<I> {
    index: I,
    customers: Customers,
}

impl<I> Concealing<I> {
    /// Puts it before `index`.
    #[must_use]
    pub const fn new(index: I, customers: Customers) -> Self {
        Self { index, customers }
    }
}

#[async_trait]
impl<I: SearchIndex> SearchIndex for Concealing<I> {
    async fn prepare(&self) -> Result<(), SearchError> {
        self.index.prepare().await
    }

    async fn upsert(&self, documents: &[OrderDocument]) -> Result<Vec<IndexOutcome>, SearchError> {
        self.index.upsert(&self.customers.concealed(documents)).await
    }

    async fn search(
        &self,
        query: &SearchQuery,
        after: Option<SearchKey>,
        limit: usize,
    ) -> Result<Found, SearchError> {
        let email = query.customer_email.as_deref().map(|email| self.customers.email(email));
        let query = SearchQuery { customer_email: email, ..query.clone() };
        self.index.search(&query, after, limit).await
    }

    async fn versions(&self, orders: &[OrderId]) -> Result<BTreeMap<OrderId, u64>, SearchError> {
        self.index.versions(orders).await
    }

    fn as_kept(&self, mut document: OrderDocument) -> OrderDocument {
        self.customers.conceal(&mut document);
        self.index.as_kept(document)
    }

    async fn documents(&self, orders: &[OrderId]) -> Result<Documents, SearchError> {
        self.index.documents(orders).await
    }

    async fn count_by_state(&self) -> Result<Vec<(State, u64)>, SearchError> {
        self.index.count_by_state().await
    }

    async fn ping(&self) -> Result<(), SearchError> {
        self.index.ping().await
    }
}

#[async_trait]
impl<I: SearchGenerations> SearchGenerations for Concealing<I> {
    async fn create(&self) -> Result<Box<dyn NewIndex>, SearchError> {
        Ok(self.concealing(self.index.create().await?))
    }

    async fn unfinished(&self) -> Result<Option<Box<dyn NewIndex>>, SearchError> {
        Ok(self.index.unfinished().await?.map(|index| self.concealing(index)))
    }
}

/// Transitions say nothing of customers.
#[async_trait]
impl<I: TransitionStream> TransitionStream for Concealing<I> {
    async fn append(
        &self,
        transitions: &[TransitionDocument],
    ) -> Result<Vec<IndexOutcome>, SearchError> {
        self.index.append(transitions).await
    }

    async fn append_missing(
        &self,
        transitions: &[TransitionDocument],
    ) -> Result<Vec<IndexOutcome>, SearchError> {
        self.index.append_missing(transitions).await
    }

    async fn transitions(&self, order: OrderId) -> Result<Vec<Value>, SearchError> {
        self.index.transitions(order).await
    }
}

#[async_trait]
impl<I: KeptTransitions> KeptTransitions for Concealing<I> {
    async fn whole_since(&self) -> Result<DateTime<Utc>, SearchError> {
        self.index.whole_since().await
    }

    async fn refresh(&self) -> Result<(), SearchError> {
        self.index.refresh().await
    }

    async fn find(
        &self,
        transitions: &[TransitionKey],
    ) -> Result<Vec<(TransitionKey, Value)>, SearchError> {
        self.index.find(transitions).await
    }

    async fn scan(&self) -> Result<Box<dyn TransitionScan>, SearchError> {
        self.index.scan().await
    }
}

impl<I> Concealing<I> {
    fn concealing(&self, index: Box<dyn NewIndex>) -> Box<dyn NewIndex> {
        Box::new(Concealing { index, customers: self.customers.clone() })
    }
}

#[async_trait]
impl NewIndex for Concealing<Box<dyn NewIndex>> {
    async fn upsert(&self, documents: &[OrderDocument]) -> Result<Vec<IndexOutcome>, SearchError> {
        self.index.upsert(&self.customers.concealed(documents)).await
    }

    async fn take_writes(&self) -> Result<(), SearchError> {
        self.index.take_writes().await
    }

    async fn take_reads(&self) -> Result<(), SearchError> {
        self.index.take_reads().await
    }

    async fn remove(&self) -> Result<(), SearchError> {
        self.index.remove().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_kept_the_same_in_upper_and_lower_case() {
        let hashed = |secret| Customers::Hashed(CustomerKey::new(secret));
        assert_eq!(hashed("k").email("ANA@Example.com"), hashed("k").email("ana@example.com"));
        assert_ne!(hashed("k").email("ana@example.com"), hashed("other").email("ana@example.com"));
        assert_ne!(hashed("k").email("ana@example.com"), hashed("k").email("bob@example.com"));
        assert_eq!(Customers::Masked.email("ANA@Example.com"), "a***@example.com");
        assert_eq!(Customers::Masked.name("Ana  Pérez"), "a*** p***");
        assert_eq!(Customers::Plain.email("ANA@Example.com"), "ANA@Example.com");
    }

    #[test]
    fn a_key_is_not_shown() {
        let shown = format!("{:?}", Customers::Hashed(CustomerKey::new("s3cret")));
        assert_eq!(shown, "Hashed(CustomerKey)");
    }
}
