//! The port's own suite, on a real Kafka.

#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

mod cluster;

use cluster::on_fresh_log;

contract::event_log!(on_fresh_log);
