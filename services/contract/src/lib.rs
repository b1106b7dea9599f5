//! What every adapter of a port must do, one module a port. Each module holds its cases as async functions over the
//! port and a macro of the same name that makes one test of each, for an adapter's `tests/contract.rs`:
//!
//! ```ignore
//! /// Runs a case on a fresh, prepared store of its own, and cleans up after it.
//! async fn on_fresh_store(case: impl AsyncFnOnce(&SomeStore)) { .. }
//!
//! contract::order_store!(on_fresh_store);
//! ```
//!
//! A case relies on what the port's documentation says, never on how an adapter does it.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a case that fails panics: that is how it reports"
)]

pub mod audits;
pub mod dead_letters;
pub mod delivery_store;
pub mod event_log;
pub mod generations;
pub mod kept_transitions;
pub mod mailer;
pub mod metric_stream;
pub mod order_store;
pub mod search_generations;
pub mod search_index;
pub mod timer_store;
pub mod transition_stream;

/// Makes one `#[tokio::test]` of each case of a suite; the suites' own macros list their cases with it.
#[macro_export]
macro_rules! cases {
    ($with:path, $suite:ident, [$($case:ident),+ $(,)?]) => {
        mod $suite {
            use super::*;

            $(
                #[tokio::test]
                async fn $case() {
                    $with(async |port| $crate::$suite::$case(port).await).await;
                }
            )+
        }
    };
}
