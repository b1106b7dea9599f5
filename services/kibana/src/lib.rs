//! What Kibana shows of the ledger: data views, saved searches and dashboards.
//!
//! One definition of each, in plain types. From it follow the saved object that Kibana imports, the query that it sends to
//! Elasticsearch for it, and the fields that it uses, each with what for. Talks to no server: the binary imports, and the
//! tests ask Elasticsearch and compare the fields with the mappings.

mod boards;
mod dashboard;
mod field;
mod filter;
mod lens;
mod names;
mod objects;
mod panel;
mod request;
mod search;
mod view;

pub use boards::dashboards;
pub use dashboard::{Control, Dashboard, Row, Shown, Tile};
pub use field::{FieldUse, Role};
pub use filter::Filter;
pub use names::Names;
pub use objects::{SavedObject, ndjson, saved_objects};
pub use panel::{Bucket, Chart, Measure, Metric, Order, Panel, Values};
pub use request::{MISSING, Window, panel_request, search_request};
pub use search::{Search, searches};
pub use view::{Format, View};
