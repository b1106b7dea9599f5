//! `order-ledger migrate`: topics, tables and indices, made explicitly.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    Failure,
    config::Config,
    parts::Parts,
    prepare::{self, Ready, Wanted, prepare},
};

/// Prepares everything that the configuration names, waiting for servers that are away.
pub(crate) async fn run(config: &Config, stop: CancellationToken) -> Result<(), Failure> {
    let parts = Parts::open(config).await?;
    let (ready, _) = watch::channel(Ready::default());
    let wanted = Wanted { state: true, search: true, replay_if_needed: false };
    prepare(parts.clone(), wanted, ready, stop.clone()).await?;
    if config.metrics_interval.is_some() {
        prepare::metrics(&parts, &stop).await;
    }
    if stop.is_cancelled() {
        return Err("stopped before everything was there".into());
    }
    tracing::info!("topics, tables and indices are there");
    Ok(())
}
