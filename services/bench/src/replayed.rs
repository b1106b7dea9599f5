//! The log folded again from its start, into Postgres.

use std::{
    num::NonZeroU32,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use adapter_postgres::PostgresStore;
use ports::Generations as _;
use replay::{Parts, Phase, Plan, Report, Watch, replay};

use crate::{
    Failure, Row, limits, placed,
    setup::{self, Installation, Projecting, Server, caught_up, clock, rate},
};

const KEPT: Plan = Plan { swap: false, ..Plan::WHOLE };

/// When the phases of a replay began.
type Phases = Arc<Mutex<Vec<(Phase, Instant)>>>;

/// Replays the lives of that many orders, five events each and one order in twenty still open, beside COPY alone of the
/// rows that it wrote: loading, and verifying what was loaded.
pub(crate) async fn replayed(orders: usize) -> Result<Vec<Row>, Failure> {
    let installation = Installation::new().await?;
    limits::fill_with_lives(&installation, orders).await?;
    let phases = Phases::default();
    setup::forget_peak()?;
    let replayed = replay(&parts(&installation)?, &KEPT, noting(&phases)).await?;
    let (ended, peak) = (Instant::now(), setup::peak_resident_mib()?);
    let began = |phase| {
        let phases = phases.lock().unwrap_or_else(PoisonError::into_inner);
        phases.iter().find(|(begun, _)| *begun == phase).map_or(ended, |(_, at)| *at)
    };
    let (loading, verifying) = (began(Phase::Loading), began(Phase::Verifying));
    let copied = limits::copied(&installation, replayed.generation).await?;
    installation.store.remove(replayed.generation).await?;
    installation.remove().await?;
    let row = |what: &str, took: Duration| Row {
        what: format!("{} events {what}", orders * 5),
        per_second: rate(orders * 5, took),
        latency: None,
        limit: "the same rows, by COPY alone".to_owned(),
        limit_per_second: copied,
    };
    Ok(vec![
        row("replayed into Postgres", verifying - loading),
        row(&format!("replayed and verified, with {peak} MiB at most"), ended - loading),
    ])
}

pub(crate) fn parts(installation: &Installation) -> Result<Parts, Failure> {
    let index = Arc::new(installation.index()?);
    Ok(Parts {
        log: Arc::clone(&installation.log) as _,
        live: Arc::<PostgresStore>::clone(&installation.store),
        dead_letters: Arc::<PostgresStore>::clone(&installation.store),
        generations: Arc::<PostgresStore>::clone(&installation.store),
        search: Arc::clone(&index) as _,
        transitions: index,
        clock: clock(),
    })
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

/// Orders a second that customers place meanwhile.
const PACE: u32 = 500;

/// `PlaceOrder` at a steady pace, every order folded, while a replay of `orders` runs again and again beside it, and with
/// nothing beside it: what customers feel of a replay that keeps to `rate`.
pub(crate) async fn beside(
    orders: usize,
    duration: Duration,
    rate: NonZeroU32,
) -> Result<Row, Failure> {
    let server = Server::start().await?;
    let projecting = Projecting::start(&server.installation);
    limits::fill_with_lives(&server.installation, orders).await?;
    caught_up(&server.installation).await?;
    let alone = placed::paced(&server, PACE, duration).await?;
    let (parts, plan) = (parts(&server.installation)?, Plan { rate: Some(rate), ..KEPT });
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    // In threads of its own, as it would be in a process of its own.
    let replaying = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(async {
            while !stopped.load(Ordering::Relaxed) {
                let kept = replay(&parts, &plan, Arc::new(|_: &Report| {})).await?;
                parts.generations.remove(kept.generation).await?;
            }
            Ok::<_, Failure>(())
        })
    });
    let beside = placed::paced(&server, PACE, duration).await?;
    stop.store(true, Ordering::Relaxed);
    tokio::task::spawn_blocking(move || replaying.join())
        .await?
        .map_err(|_| "the replay panicked")??;
    projecting.stop().await?;
    server.stop().await?;
    Ok(Row {
        what: format!(
            "PlaceOrder, {PACE} a second, beside a replay of {} events, {rate} a second",
            orders * 5
        ),
        per_second: f64::from(PACE),
        latency: Some(beside),
        limit: format!("without it: {:.1} / {:.1} ms", alone.p50_ms, alone.p99_ms),
        limit_per_second: f64::from(PACE),
    })
}
