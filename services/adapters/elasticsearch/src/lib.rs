//! The search index on Elasticsearch: one document an order, written under the order's version.
//!
//! It owns the templates, the index behind the alias and the bulk requests. It never retries (its callers do), never
//! deletes a document, and never lets Elasticsearch guess a field.

mod answer;
mod bulk;
mod find;
mod index;
mod options;
mod prepare;
mod schema;

pub use index::ElasticsearchIndex;
pub use options::ElasticsearchOptions;
