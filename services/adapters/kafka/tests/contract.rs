//! The port's own suite, on a real Kafka.

mod cluster;

use cluster::on_fresh_log;

contract::event_log!(on_fresh_log);
