//! The projector: folds `orders.events` into snapshots and history, and announces each recorded event on
//! `orders.state-changed`.
//!
//! A worker is a member of the projector group and reads: receive, fold, commit, announce. Snapshots, history and the
//! partitions' next offsets go into one transaction with compare-and-set (promise 4); announcements are derived from
//! committed rows alone (promise 5). It never decides anything that the fold could decide.

mod announce;
mod decide;
mod measure;
mod membership;
mod patience;
mod recover;
mod traces;
mod worker;

use std::sync::Arc;

use ports::{Clock, DeadLetters, EventLog, LogError, Measures, OrderStore, Reporter};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What the projector works with.
#[derive(Clone)]
pub struct Parts {
    /// Where events come from and state changes go.
    pub log: Arc<dyn EventLog>,
    /// Where snapshots, history and progress live.
    pub store: Arc<dyn OrderStore>,
    /// Where records that could not be read wait for a decision, in the same database.
    pub dead_letters: Arc<dyn DeadLetters>,
    /// For the time at which a record was given up.
    pub clock: Arc<dyn Clock>,
    /// Says whether the projector serves.
    pub health: Reporter,
    /// Where it notes how long state updates take.
    pub measures: Measures,
}

/// How the projector works.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How many members of the group this process runs; more than one helps only with many cores.
    pub workers: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { workers: 1 }
    }
}

/// Why the projector had to end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log can't be read as it is set up.
    #[error("the projector can't read the event log")]
    Log(#[from] LogError),
    /// A worker panicked: a bug.
    #[error("a projector worker died")]
    Worker(#[from] tokio::task::JoinError),
}

/// Projects until `stop`; then finishes the batch in hand, waits for its announcements and writes down how far it came.
///
/// # Errors
/// [`Error`] if an operator must act. Servers that are away are waited for.
pub async fn run(parts: Parts, settings: Settings, stop: CancellationToken) -> Result<(), Error> {
    let mut workers = JoinSet::new();
    for _ in 0..settings.workers.max(1) {
        workers.spawn(membership::run(parts.clone(), stop.clone()));
    }
    while let Some(ended) = workers.join_next().await {
        ended??;
    }
    Ok(())
}
