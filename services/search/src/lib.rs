//! The search projector: follows `orders.state-changed`, keeps one document an order in the search index, and appends each
//! change to the stream of transitions.
//!
//! Each change carries the whole order, so nothing is read back. Documents are written under the order's version, which
//! the index compares (promise 6): repeats, reordering and a second projector at work on the same partition are
//! harmless. It never deletes a document and never reads a store.

mod index;
mod traces;

use std::sync::Arc;

use consumer::{Retry, Source, Standing, follow};
use ports::{Clock, Consumer, DeadLetters, EventLog, Reporter, SearchIndex, TransitionStream};
use tokio_util::sync::CancellationToken;

pub use consumer::Error;

/// What the search projector works with.
#[derive(Clone)]
pub struct Parts {
    /// Where state changes come from.
    pub log: Arc<dyn EventLog>,
    /// Where documents go.
    pub index: Arc<dyn SearchIndex>,
    /// Where transitions go.
    pub transitions: Arc<dyn TransitionStream>,
    /// Keeps what can't be read or is refused.
    pub dead_letters: Arc<dyn DeadLetters>,
    /// For the lags, and for the time at which a record was given up.
    pub clock: Arc<dyn Clock>,
    /// Says whether the projector serves.
    pub health: Reporter,
}

/// How the search projector works.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How many documents one request carries at most.
    pub request_documents_max: usize,
    /// How many requests of a batch are under way at the same time.
    pub requests_in_flight_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { request_documents_max: 1_000, requests_in_flight_max: 4 }
    }
}

/// Indexes until `stop`; then finishes the batch in hand and writes down how far it came.
///
/// # Errors
/// [`Error`] if an operator must act. Servers that are away are waited for.
pub async fn run(parts: Parts, settings: Settings, stop: CancellationToken) -> Result<(), Error> {
    let Parts { log, index, transitions, dead_letters, clock, health } = parts;
    let retry = Retry::new(Consumer::Search, Standing::new(health).task("indexing"), stop);
    let indexing = index::Indexing { index, transitions, clock: Arc::clone(&clock), settings };
    let source = Source { consumer: Consumer::Search, log, dead_letters, clock };
    follow(&source, &indexing, &retry).await
}
