//! The built binary, as separate processes, on real servers and on none.
//!
//! Each test has an installation of its own (topic prefix, schema, index prefix, mail domain), so they run side by
//! side; only a test that takes servers away runs alone.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that fails panics: that is how it reports"
)]

mod archive;
mod bad_records;
mod by_hand;
mod client;
mod command_line;
mod compare;
mod containers;
mod dead_letters;
mod demo;
mod drain;
mod embedded;
mod fake_watch;
mod first_replay;
mod folder;
mod found;
mod installation;
mod kibana_import;
mod kibana_panels;
mod kill;
mod load;
mod locust;
mod measures;
mod metrics;
mod monitoring;
mod oracle;
mod order_bulk;
mod order_failures;
mod order_verbs;
mod order_watch;
mod pipeline;
mod process;
mod promql;
mod python;
mod replay;
mod replay_verbs;
mod servers_away;
mod stream;
mod trace_collector;
mod traces;
