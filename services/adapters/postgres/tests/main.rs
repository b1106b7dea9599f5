//! The store on a real Postgres: the ports' suites, and what is Postgres's own.

#![expect(clippy::unwrap_used, reason = "a test that fails panics: that is how it reports")]

mod commits;
mod contract;
mod cuts;
mod faults;
mod migrations;
mod plans;
mod readme;
mod schema;
