//! `order-ledger demo`: the main job on this machine alone. Plays every role, places sample orders over gRPC, shows
//! how they move, then proves what came out.

mod orders;
mod report;
mod rest;
mod watch;

use std::{
    io::{self, Write as _},
    pin::pin,
    process::ExitCode,
    time::Duration,
};

use ports::Health;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    Failure, Misuse,
    cli::DemoArgs,
    config::{Config, Resolved, Role},
    parts::{self, Parts},
    serve,
};

/// How long the orders may take in all before the demo says what is missing.
const DEADLINE: Duration = Duration::from_secs(180);
/// How often the demo looks.
pub(crate) const GLANCE: Duration = Duration::from_millis(200);

/// Short timers, so that an order's life takes seconds.
pub(crate) fn defaults(resolved: &mut Resolved) {
    // While the parts start, the api waits for them: nothing to warn of.
    resolved.default_to("log_filter", "warn,api::health=error");
    for key in ["pay_after", "prepare_after", "ship_after", "deliver_after", "complete_after"] {
        resolved.default_to(&format!("fulfilment.{key}"), "1s");
    }
}

/// Runs the demo; ends with success only if everything it claims holds.
pub(crate) async fn run(
    args: &DemoArgs,
    config: &Config,
    stop: CancellationToken,
) -> Result<ExitCode, Failure> {
    if config.roles.len() < Role::ALL.len() {
        let roles = "the demo plays all roles; leave --roles out, or use `order-ledger serve`";
        return Err(Misuse(roles.to_owned()).into());
    }
    let orders = orders::read(args.orders.as_deref())?;
    if args.fresh {
        parts::forget(config)?;
    }
    let running = serve::start(config, false, stop.clone()).await?;
    let (parts, health) = (running.parts.clone(), running.health.clone());
    let mut roles = pin!(running.join());
    let shown = tokio::select! {
        shown = show(config, &parts, &health, orders) => shown,
        ended = &mut roles => {
            ended?;
            return stopped_early();
        }
    };
    let proven = match shown {
        Ok(proven) => proven,
        // Whoever is told to stop takes no more calls: that one fails then is no failure.
        Err(_) if stop.is_cancelled() => {
            roles.await?;
            return stopped_early();
        }
        Err(failure) => {
            stop.cancel();
            roles.await?;
            return Err(failure);
        }
    };
    if args.keep_running {
        writeln!(io::stdout(), "\nStays up: gRPC on {}, Ctrl-C ends it.", config.grpc_addr)?;
    } else {
        stop.cancel();
    }
    roles.await?;
    Ok(if proven { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn stopped_early() -> Result<ExitCode, Failure> {
    let next = "run it again, and those that were placed go on";
    writeln!(io::stderr(), "order-ledger: stopped before the orders were through; {next}")?;
    Ok(ExitCode::FAILURE)
}

/// Places the orders, follows them to the end and reports; whether all that must hold does.
async fn show(
    config: &Config,
    parts: &Parts,
    health: &Health,
    orders: Vec<orders::Sample>,
) -> Result<bool, Failure> {
    let deadline = Instant::now() + DEADLINE;
    serving(health, deadline).await?;
    let server = format!("http://{}", config.grpc_addr);
    writeln!(io::stdout(), "Placing {} orders over gRPC on {}.\n", orders.len(), config.grpc_addr)?;
    let mut placed = orders::place(&server, orders);
    let mut watched = watch::Watched::new(parts);
    let placed = tokio::select! {
        placed = &mut placed => placed?,
        shown = watched.follow() => match shown? {},
    };
    let at_rest = loop {
        watched.show().await?;
        let missing = rest::missing(parts, &placed).await?;
        if missing.is_none() || Instant::now() > deadline {
            break missing;
        }
        sleep(GLANCE).await;
    };
    watched.show().await?;
    report::print(config, parts, &placed, at_rest).await
}

/// Waits until every role serves.
async fn serving(health: &Health, deadline: Instant) -> Result<(), Failure> {
    loop {
        let waiting: Vec<_> = health
            .roles()
            .into_iter()
            .filter_map(|(role, why)| Some(format!("{role}: {}", why?)))
            .collect();
        if waiting.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("the roles did not come up: {}", waiting.join("; ")).into());
        }
        sleep(GLANCE).await;
    }
}
