//! Every port on one machine without a server: log, stores and index on SQLite, under one data folder that belongs to
//! one process; others may look at it, and build generations in it, meanwhile. Slower than the servers, as durable, and
//! with the same promises: the same contract suites say so.

mod data_dir;
mod database;
mod headers;
mod log;
mod search;
mod store;

pub use data_dir::{DataDir, DataDirError, DataDirLock};
pub use database::OpenError;
pub use log::SqliteLog;
pub use search::SqliteSearch;
pub use store::SqliteStore;
