//! The port, carried out.

use std::{collections::BTreeMap, fmt};

use async_trait::async_trait;
use elasticsearch::{Elasticsearch, MgetParts, SearchParts, indices::IndicesRefreshParts};
use events::{OrderId, State};
use ports::{
    Documents, Found, IndexOutcome, OrderDocument, SearchError, SearchIndex, SearchKey, SearchQuery,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    ElasticsearchOptions,
    aliases::Aliases,
    answer::{Failure, answer, ask},
    bulk::{self, Target},
    find, prepare,
    schema::Schema,
    stream,
};

/// A [`SearchIndex`] on Elasticsearch 8.19 or 9.
pub struct ElasticsearchIndex {
    pub(crate) client: Elasticsearch,
    pub(crate) aliases: Aliases,
    /// The data stream of transitions.
    pub(crate) stream: String,
    pub(crate) options: ElasticsearchOptions,
}

/// Shows no credentials.
impl fmt::Debug for ElasticsearchIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ElasticsearchIndex").field(&self.options).finish()
    }
}

impl ElasticsearchIndex {
    /// Makes a client; nothing is connected to yet.
    ///
    /// # Errors
    /// [`SearchError::Unfit`] if the options can't be used.
    pub fn new(options: ElasticsearchOptions) -> Result<Self, SearchError> {
        let aliases = options.aliases()?;
        let stream = options.stream();
        let client = options.client()?;
        Ok(Self { client, aliases, stream, options })
    }
}

#[derive(Deserialize)]
struct Answered {
    docs: Vec<Document>,
}

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "_id")]
    id: String,
    /// Only of a document that was found.
    #[serde(rename = "_version")]
    version: Option<u64>,
    /// Only if it was asked for.
    #[serde(rename = "_source", default)]
    source: Value,
    error: Option<Failure>,
}

#[derive(Deserialize)]
struct Counted {
    aggregations: Aggregations,
}

#[derive(Deserialize)]
struct Aggregations {
    states: Buckets,
}

/// Counts by state.
#[derive(Deserialize)]
pub(crate) struct Buckets {
    buckets: Vec<Bucket>,
}

#[derive(Deserialize)]
struct Bucket {
    key: String,
    doc_count: u64,
}

impl Buckets {
    /// As the states that they are of.
    pub(crate) fn counts(self) -> Result<Vec<(State, u64)>, SearchError> {
        let counts = self.buckets.into_iter().map(|bucket| {
            let state = State::from_name(&bucket.key).ok_or_else(|| {
                SearchError::Unfit(format!("it holds orders of an unknown state {:?}", bucket.key))
            })?;
            Ok((state, bucket.doc_count))
        });
        counts.collect()
    }
}

#[async_trait]
impl SearchIndex for ElasticsearchIndex {
    async fn prepare(&self) -> Result<(), SearchError> {
        prepare::prepare(&self.client, &self.aliases).await?;
        stream::prepare(&self.client, &self.stream, &Schema::transitions()?).await
    }

    async fn upsert(&self, documents: &[OrderDocument]) -> Result<Vec<IndexOutcome>, SearchError> {
        let target = Target::Alias(&self.aliases.write);
        bulk::write(&self.client, target, documents, self.options.bulk_bytes_max).await
    }

    async fn search(
        &self,
        query: &SearchQuery,
        after: Option<SearchKey>,
        limit: usize,
    ) -> Result<Found, SearchError> {
        if query.fresh {
            self.refresh().await?;
        }
        find::find(&self.client, &self.aliases.read, query, after, limit).await
    }

    async fn versions(&self, orders: &[OrderId]) -> Result<BTreeMap<OrderId, u64>, SearchError> {
        let found = self.get(orders, false).await?;
        Ok(found.into_iter().map(|(order, version, _)| (order, version)).collect())
    }

    async fn documents(&self, orders: &[OrderId]) -> Result<Documents, SearchError> {
        let found = self.get(orders, true).await?;
        Ok(found.into_iter().map(|(order, _, document)| (order, document)).collect())
    }

    async fn count_by_state(&self) -> Result<Vec<(State, u64)>, SearchError> {
        self.refresh().await?;
        let alias = [self.aliases.read.as_str()];
        let body = json!({
            "size": 0,
            "track_total_hits": false,
            "aggs": { "states": { "terms": { "field": "state", "size": 2 * State::ALL.len() } } },
        });
        let search = || {
            let search = self.client.search(SearchParts::Index(&alias)).body(&body);
            // Counts of some shards alone would be wrong counts.
            search.allow_partial_search_results(false).send()
        };
        let counted: Counted = ask(search).await?.read()?;
        let mut counts = counted.aggregations.states.counts()?;
        counts.sort_unstable();
        Ok(counts)
    }

    async fn ping(&self) -> Result<(), SearchError> {
        answer(self.client.ping().send()).await?.success()?;
        Ok(())
    }
}

impl ElasticsearchIndex {
    /// Searches see what was refreshed; afterwards they see every answered write.
    async fn refresh(&self) -> Result<(), SearchError> {
        let alias = [self.aliases.read.as_str()];
        let index = IndicesRefreshParts::Index(&alias);
        answer(self.client.indices().refresh(index).send()).await?.success()?;
        Ok(())
    }

    /// Gets by id, which sees every write at once, unlike a search: the version, and the document if it is wanted.
    async fn get(
        &self,
        orders: &[OrderId],
        documents: bool,
    ) -> Result<Vec<(OrderId, u64, Value)>, SearchError> {
        const ORDERS_MAX: usize = 1_000;
        let mut found = Vec::with_capacity(orders.len());
        for orders in orders.chunks(ORDERS_MAX) {
            found.extend(self.get_some(orders, documents).await?);
        }
        Ok(found)
    }

    async fn get_some(
        &self,
        orders: &[OrderId],
        documents: bool,
    ) -> Result<Vec<(OrderId, u64, Value)>, SearchError> {
        let ids: Vec<_> = orders.iter().map(ToString::to_string).collect();
        let source = [if documents { "true" } else { "false" }];
        let body = json!({ "ids": ids });
        let mut answered = self.mget(&source, &body).await?;
        if answered.docs.iter().flat_map(|document| &document.error).any(Failure::is_unrouted) {
            // As `ask` does, where each document fails for itself.
            answered = self.mget(&source, &body).await?;
        }
        let mut found = Vec::new();
        for document in answered.docs {
            if let Some(error) = document.error {
                return Err(match error.r#type() {
                    "index_not_found_exception" => SearchError::Unfit(error.describe()),
                    _ => SearchError::Unavailable(error.describe()),
                });
            }
            if let Some(version) = document.version {
                let order = document.id.parse().map_err(|_| {
                    SearchError::Unfit(format!("it holds a document {:?} of no order", document.id))
                })?;
                found.push((order, version, document.source));
            }
        }
        Ok(found)
    }

    async fn mget(&self, source: &[&str], body: &Value) -> Result<Answered, SearchError> {
        let get = self.client.mget(MgetParts::Index(&self.aliases.read))._source(source);
        answer(get.body(body).send()).await?.read()
    }
}
