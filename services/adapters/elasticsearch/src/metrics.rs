//! The stream of metrics, a data stream of its own: a server that can't take it may well take orders.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use elasticsearch::Elasticsearch;
use ports::{IndexOutcome, MetricDocument, MetricStream, SearchError};
use serde_json::{Value, json};

use crate::{
    ElasticsearchOptions,
    bulk::{self, Target},
    schema::Schema,
    stream,
};

/// As many as one search may answer.
const KEPT_MAX: usize = 10_000;

/// Nobody waits for metrics: a server that takes longer is asked again, with the same documents.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(8);

/// A [`MetricStream`] on Elasticsearch 8.19 or 9, with the field type `histogram`.
pub struct ElasticsearchMetrics {
    client: Elasticsearch,
    stream: String,
    options: ElasticsearchOptions,
}

/// Shows no credentials.
impl fmt::Debug for ElasticsearchMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ElasticsearchMetrics").field(&self.options).finish()
    }
}

impl ElasticsearchMetrics {
    /// Makes a client; nothing is connected to yet.
    ///
    /// # Errors
    /// [`SearchError::Unfit`] if the options can't be used.
    pub fn new(options: ElasticsearchOptions) -> Result<Self, SearchError> {
        let request_timeout = options.request_timeout.min(REQUEST_TIMEOUT);
        let options = ElasticsearchOptions { request_timeout, ..options };
        // The same prefix as the aliases', and the same rules.
        options.aliases()?;
        let stream = options.metrics();
        Ok(Self { client: options.client()?, stream, options })
    }
}

#[async_trait]
impl MetricStream for ElasticsearchMetrics {
    async fn prepare(&self) -> Result<(), SearchError> {
        stream::prepare(&self.client, &self.stream, &Schema::metrics()?).await
    }

    async fn append(&self, documents: &[MetricDocument]) -> Result<Vec<IndexOutcome>, SearchError> {
        let target = Target::Stream(&self.stream);
        bulk::write(&self.client, target, documents, self.options.bulk_bytes_max).await
    }

    async fn kept(&self, node: &str) -> Result<Vec<Value>, SearchError> {
        stream::refresh(&self.client, &self.stream).await?;
        let query = json!({
            "size": KEPT_MAX,
            "query": { "bool": { "filter": { "term": { "service.node.name": node } } } },
            "sort": "@timestamp",
        });
        let found = stream::find(&self.client, &self.stream, query).await?;
        Ok(found.into_iter().map(|hit| hit.source).collect())
    }
}
