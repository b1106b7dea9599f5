//! The search index on Elasticsearch: one document an order, written under the order's version; beside it a data stream of
//! their transitions, and one of metrics.
//!
//! It owns the templates, the indices behind the aliases and the bulk requests. It never retries (its callers do; a read
//! that met an index on its way out asks once more), never deletes a document, and never lets Elasticsearch guess a field.

mod aliases;
mod answer;
mod bulk;
mod find;
mod generations;
mod index;
mod kept;
mod metrics;
mod options;
mod prepare;
mod schema;
mod stream;
mod transitions;

pub use index::ElasticsearchIndex;
pub use metrics::ElasticsearchMetrics;
pub use options::ElasticsearchOptions;
