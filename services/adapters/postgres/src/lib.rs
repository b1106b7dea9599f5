//! Snapshots, history, deliveries, timers and dead letters in Postgres: [`PostgresStore`].
//!
//! Everything lives in one schema of one database; the tables are in `migrations/postgres`, the words about them in
//! `migrations/README.md`. A batch of the projector is one transaction of a handful of statements, whatever its size:
//! rows travel as arrays and are taken apart by `UNNEST`. Nothing here knows what the stored bytes mean.

mod audits;
mod columns;
mod copy;
mod dead_letters;
mod deliveries;
mod error;
mod generations;
mod migrations;
mod options;
mod orders;
mod session;
mod timers;

pub use options::{OptionsError, PostgresOptions};
pub use session::PostgresStore;
