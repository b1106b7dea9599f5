//! The log folded again from its start, into Postgres.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use adapter_postgres::PostgresStore;
use ports::Generations as _;
use replay::{Parts, Phase, Plan, Report, Source, Until, Watch, replay};

use crate::{
    Failure, Row, limits,
    setup::{Installation, clock, rate},
};

const KEPT: Plan = Plan { source: Source::Log, until: Until::Now, swap: false };

/// When the phases of a replay began.
type Phases = Arc<Mutex<Vec<(Phase, Instant)>>>;

/// Replays the lives of that many orders, five events each and one order in twenty still open, beside COPY alone of the
/// rows that it wrote: loading, and verifying what was loaded.
pub(crate) async fn replayed(orders: usize) -> Result<Vec<Row>, Failure> {
    let installation = Installation::new().await?;
    limits::fill_with_lives(&installation, orders).await?;
    let phases = Phases::default();
    let replayed = replay(&parts(&installation), &KEPT, noting(&phases)).await?;
    let ended = Instant::now();
    let began = |phase| {
        let phases = phases.lock().unwrap_or_else(PoisonError::into_inner);
        phases.iter().find(|(begun, _)| *begun == phase).map_or(ended, |(_, at)| *at)
    };
    let (loading, verifying) = (began(Phase::Loading), began(Phase::Verifying));
    let copied = limits::copied(&installation, replayed.generation).await?;
    installation.store.remove(replayed.generation).await?;
    installation.remove().await?;
    let row = |what: &str, took: Duration, limit, limit_per_second| Row {
        what: format!("{} events {what}", orders * 5),
        per_second: rate(orders * 5, took),
        latency: None,
        limit,
        limit_per_second,
    };
    Ok(vec![
        row("replayed into Postgres", verifying - loading, "the same rows, by COPY alone", copied),
        row("replayed and verified", ended - loading, "the same rows, by COPY alone", copied),
    ])
}

pub(crate) fn parts(installation: &Installation) -> Parts {
    Parts {
        log: Arc::clone(&installation.log) as _,
        live: Arc::<PostgresStore>::clone(&installation.store),
        dead_letters: Arc::<PostgresStore>::clone(&installation.store),
        generations: Arc::<PostgresStore>::clone(&installation.store),
        clock: clock(),
    }
}

fn noting(phases: &Phases) -> Watch {
    let phases = Arc::clone(phases);
    Arc::new(move |report: &Report| {
        let mut phases = phases.lock().unwrap_or_else(PoisonError::into_inner);
        if phases.last().is_none_or(|(phase, _)| *phase != report.phase) {
            phases.push((report.phase, Instant::now()));
        }
    })
}
