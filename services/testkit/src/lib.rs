//! What tests lean on: where the real servers are, sample orders and events, waiting for conditions, a clock and ids
//! that a test sets, the spans that were made. A dev-dependency only; nothing here is part of the product.
//!
//! Everything here panics with a readable sentence where a test can't go on.

mod clock;
pub mod log;
pub mod metrics;
pub mod sample;
pub mod servers;
pub mod spans;
mod wait;

pub use clock::{TestClock, TestIds};
pub use wait::{wait_for, wait_while_it_moves};
