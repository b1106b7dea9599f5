//! `order-ledger replay` and the verbs below it: the state built anew from the log, and how that goes.
//!
//! Owns what is shown and what is asked for; the crate `replay` does the work, and the store keeps what one process has to
//! say to another. Runs beside whoever plays the roles.

mod differing;
mod needed;
mod progress;
mod run;
mod show;
mod status;
mod steer;

use std::{process::ExitCode, time::Duration};

use ports::{Generation, Generations, Lease, Position, Stage, StoreError};
use replay::Report;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

pub(crate) use self::needed::if_needed;
use crate::{
    Failure,
    cli::{ReplayArgs, ReplayVerb},
    config::Config,
    parts::Parts,
};

/// Tries for the lease, and the time between two.
const TRIES: u32 = 3;
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

/// Runs a replay, or the verb that looks at one or steers it.
pub(crate) async fn run(
    args: &ReplayArgs,
    config: &Config,
    stop: CancellationToken,
) -> Result<ExitCode, Failure> {
    let parts = match &args.verb {
        // It prepares the store by itself.
        None => Parts::open_beside(config).await?,
        Some(_) => Parts::open_to_look(config).await?,
    };
    match &args.verb {
        None => run::run(&parts, &args.run, stop).await,
        Some(ReplayVerb::Rollback { manner, .. }) => run::rollback(&parts, manner, stop).await,
        Some(ReplayVerb::Status { status, .. }) => status::run(&parts, status, &stop).await,
        Some(ReplayVerb::Pause { .. }) => steer::pause(&parts).await,
        Some(ReplayVerb::Resume { .. }) => steer::resume(&parts).await,
        Some(ReplayVerb::Cancel { .. }) => steer::cancel(&parts).await,
        Some(ReplayVerb::Remove { generation, .. }) => steer::remove(&parts, *generation).await,
        Some(ReplayVerb::Show { show, .. }) => show::run(&parts, show).await,
    }
}

/// The generation that a replay works on, or worked on until it was interrupted.
struct Building {
    generation: Generation,
    /// What the replay last said of itself, if it has.
    report: Option<Report>,
    /// Someone is at it.
    running: bool,
}

/// Which of them a replay works on: while it does, a generation's report can be read; once it is done it is empty.
async fn building(
    generations: &dyn Generations,
    all: &[Generation],
) -> Result<Option<Building>, StoreError> {
    let rank = |generation: &Generation| match generation.stage {
        Stage::Loading => Some(3),
        // What is to be made live, but for what is kept until someone says so.
        Stage::Ready if !generation.kept => Some(2),
        Stage::Ready | Stage::Retired => report(generation).map(|_| 1),
        // The search index is built from it.
        Stage::Live => report(generation).map(|_| 0),
    };
    let ranked = all.iter().filter_map(|one| Some((rank(one)?, one.number, one)));
    let Some((.., generation)) = ranked.max_by_key(|(rank, number, _)| (*rank, *number)) else {
        return Ok(None);
    };
    // Whoever works on it has the lease; given back at once if no one does.
    let running = lease(generations).await?.is_none();
    let is_left = match generation.stage {
        Stage::Loading => true,
        Stage::Ready => !generation.kept,
        // Nothing is left half done there: it is as it was before.
        Stage::Live | Stage::Retired => false,
    };
    if !running && !is_left {
        return Ok(None);
    }
    Ok(Some(Building { generation: generation.clone(), report: report(generation), running }))
}

/// The lease, unless a replay has it: whoever only looks whether there is something to do has it for a moment.
async fn lease(generations: &dyn Generations) -> Result<Option<Lease>, StoreError> {
    for _ in 1..TRIES {
        if let Some(lease) = generations.lease().await? {
            return Ok(Some(lease));
        }
        tokio::time::sleep(BETWEEN_TRIES).await;
    }
    generations.lease().await
}

/// What the next replay does with one that was interrupted.
const fn left(stage: Stage) -> &'static str {
    match stage {
        Stage::Loading => "removes it",
        Stage::Ready | Stage::Live | Stage::Retired => "goes on with it",
    }
}

fn report(generation: &Generation) -> Option<Report> {
    generation.report.as_ref().and_then(|text| serde_json::from_str(text).ok())
}

/// `0=120,1=340`, as `--until` takes it.
fn offsets_text(offsets: &[Position]) -> String {
    let offset = |at: &Position| format!("{}={}", at.partition, at.offset);
    offsets.iter().map(offset).collect::<Vec<_>>().join(",")
}

fn offsets_json(offsets: &[Position]) -> Value {
    let offset = |at: &Position| json!({ "partition": at.partition.0, "offset": at.offset.0 });
    offsets.iter().map(offset).collect()
}
