//! The port's suite on a real Elasticsearch, and what only an Elasticsearch can show.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails panics")]

mod fresh;
mod metrics;
mod prepare;
mod search;
mod transitions;
mod upsert;

use adapter_elasticsearch::{ElasticsearchIndex, ElasticsearchMetrics};
use ports::MetricStream as _;

use fresh::Fresh;

/// Runs a case on an index of its own.
async fn on_fresh_index(case: impl AsyncFnOnce(&ElasticsearchIndex)) {
    let fresh = Fresh::prepared().await;
    case(&fresh.index).await;
    fresh.remove().await;
}

/// Runs a case on a stream of metrics of its own.
async fn on_fresh_metrics(case: impl AsyncFnOnce(&ElasticsearchMetrics)) {
    let fresh = Fresh::unprepared();
    fresh.metrics.prepare().await.unwrap();
    case(&fresh.metrics).await;
    fresh.remove().await;
}

contract::kept_transitions!(on_fresh_index);
contract::metric_stream!(on_fresh_metrics);
contract::search_generations!(on_fresh_index);
contract::search_index!(on_fresh_index);
contract::transition_stream!(on_fresh_index);
