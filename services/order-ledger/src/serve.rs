//! `order-ledger serve`: plays the configured roles in one process until it is told to stop.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use metrics_exporter_prometheus::PrometheusHandle;
use ports::Health;
use tokio::{net::TcpListener, sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{Config, Role},
    http,
    parts::{self, OpenError, Parts},
    prepare::{self, PrepareError, Ready, Wanted},
    roles::{self, Given, RoleRun},
    telemetry::{self, Measuring, Scrape, Seen, Shipping, TraceError, Traces},
};

/// Why the process had to end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("can't listen on {address} (--{flag})")]
    Listen {
        address: SocketAddr,
        flag: &'static str,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    #[error("the {role} role ended")]
    Role {
        role: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("can't record metrics")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
    #[error(transparent)]
    Traces(#[from] TraceError),
}

/// How often histograms and idle metrics are tidied up, so that they do not grow while no one scrapes.
const UPKEEP: Duration = Duration::from_secs(5);

/// A running process: its parts, and its tasks, which end with it.
pub(crate) struct Running {
    pub(crate) parts: Parts,
    pub(crate) health: Health,
    traces: Traces,
    tasks: JoinSet<Result<(), ServeError>>,
    stop: CancellationToken,
    /// Ends last, with what the others have measured up to their end.
    shipping: JoinSet<()>,
    stop_shipping: CancellationToken,
}

/// Opens the parts, binds the ports and starts every role. Servers that are away are waited for in the background.
/// If another fold made the state, it is replayed first if that is wanted; else the process ends.
pub(crate) async fn start(
    config: &Config,
    replay_if_needed: bool,
    stop: CancellationToken,
) -> Result<Running, ServeError> {
    let metrics = telemetry::install()?;
    let parts = Parts::open(config).await?;
    let traces = Traces::start(config, parts.ids.as_ref())?;
    let health = Health::default();
    // Before anyone can ask: a role that is not known yet must not look as if it served.
    let reporters: Vec<_> =
        config.roles.iter().map(|role| (*role, health.reporter(role.name()))).collect();
    let (ready_tx, ready) = watch::channel(Ready::default());
    let mut tasks = JoinSet::new();

    let http = bind(config.http_addr, "http-addr").await?;
    tracing::info!(address = %http.local_addr().unwrap_or(config.http_addr), "HTTP listens");
    let scrape = Scrape {
        recorded: metrics.clone(),
        health: health.clone(),
        store: Arc::clone(&parts.connections),
        data: parts::is_embedded(config).then(|| config.data.clone()),
    };
    let served = http::serve(http, scrape, stop.clone());
    tasks.spawn(async move { served.await.map_err(roles::ended("HTTP")) });
    tasks.spawn(tidy_metrics(metrics, stop.clone()));
    let (mut shipping, stop_shipping, seen) =
        (JoinSet::new(), CancellationToken::new(), Seen::default());
    if let Some(every) = config.metrics_interval {
        let Parts { metrics, clock, measures, .. } = parts.clone();
        let ship = Shipping::new(metrics, clock, measures, seen.clone(), every);
        shipping.spawn(ship.run(stop_shipping.clone()));
    }
    let measuring = Measuring::new(parts.clone(), config.roles.clone(), seen);
    tasks.spawn(measure_when_ready(measuring, ready.clone(), stop.clone()));
    let search = config.roles.contains(&Role::Search);
    let wanted = Wanted { state: true, search, replay_if_needed };
    let (prepare_parts, prepare_stop) = (parts.clone(), stop.clone());
    tasks.spawn(async move {
        Ok(prepare::prepare(prepare_parts, wanted, ready_tx, prepare_stop).await?)
    });
    for (role, health) in reporters {
        let given = Given { config, parts: &parts, health, stop: &stop };
        let run = match role {
            Role::Api => {
                let listener = bind(config.grpc_addr, "grpc-addr").await?;
                let address = listener.local_addr().unwrap_or(config.grpc_addr);
                tracing::info!(%address, "gRPC listens");
                given.api(listener)
            }
            Role::Projector => given.projector(),
            Role::Search => given.search(),
            Role::Mailer => given.mailer(),
            Role::Fulfilment => given.fulfilment(),
        };
        tasks.spawn(when_ready(role, ready.clone(), stop.clone(), run));
    }
    Ok(Running { parts, health, traces, tasks, stop, shipping, stop_shipping })
}

impl Running {
    /// Waits until everything ended after `stop`, or one task failed: then the others are stopped too.
    pub(crate) async fn join(mut self) -> Result<(), ServeError> {
        let mut first_error = None;
        while let Some(ended) = self.tasks.join_next().await {
            let ended = ended.unwrap_or_else(|panic| {
                Err(ServeError::Role { role: "unknown", source: Box::new(panic) })
            });
            if let Err(error) = ended {
                first_error.get_or_insert(error);
                self.stop.cancel();
            }
        }
        self.parts.log.flush().await;
        self.stop_shipping.cancel();
        while let Some(ended) = self.shipping.join_next().await {
            if let Err(panic) = ended {
                tracing::error!(%panic, "metrics are not shipped any more");
            }
        }
        self.traces.end().await;
        tracing::info!("drained");
        first_error.map_or(Ok(()), Err)
    }
}

/// Runs a role once what it needs is prepared.
async fn when_ready(
    role: Role,
    mut ready: watch::Receiver<Ready>,
    stop: CancellationToken,
    run: RoleRun,
) -> Result<(), ServeError> {
    // The api listens from the start: it answers that it can't serve, as long as it can't.
    let is_ready = move |ready: &Ready| match role {
        Role::Api => true,
        Role::Projector | Role::Mailer | Role::Fulfilment => ready.state,
        Role::Search => ready.state && ready.search,
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => return Ok(()),
        prepared = ready.wait_for(is_ready) => {
            // Preparation ended without getting there: its own error, or the stop, is what counts.
            if prepared.is_err() {
                return Ok(());
            }
        }
    }
    run.await
}

/// There is nothing to measure in a store that is not there yet.
async fn measure_when_ready(
    measuring: Measuring,
    mut ready: watch::Receiver<Ready>,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    let prepared = stop.run_until_cancelled(ready.wait_for(|ready| ready.state)).await;
    if prepared.is_some_and(|prepared| prepared.is_ok()) {
        measuring.run(stop).await;
    }
    Ok(())
}

async fn bind(address: SocketAddr, flag: &'static str) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|source| ServeError::Listen { address, flag, source })
}

async fn tidy_metrics(
    metrics: PrometheusHandle,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    let mut ticks = tokio::time::interval(UPKEEP);
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = ticks.tick() => metrics.run_upkeep(),
        }
    }
}
