//! Topics, tables and indices: created if missing, checked if there, waited for if their server is away.

use ports::{LogError, SearchError, StoreError, Topic, retry_until_ok};
use replay::ReplayError;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{parts::Parts, replay_verbs};

/// A part is set up in a way that an operator must mend first.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrepareError {
    #[error("the event log is not fit to keep orders")]
    Log(#[source] LogError),
    #[error("the state store does not fit this log")]
    State(#[source] StoreError),
    #[error("the search index is not fit")]
    Search(#[source] SearchError),
    #[error("the state could not be replayed from the log")]
    Replay(#[source] ReplayError),
}

/// What is ready for use.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ready {
    pub(crate) log: bool,
    /// Implies `log`: the store knows the log's partitions.
    pub(crate) state: bool,
    pub(crate) search: bool,
}

/// What to prepare.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) state: bool,
    pub(crate) search: bool,
    /// If another fold made the state, it is replayed.
    pub(crate) replay_if_needed: bool,
}

/// Prepares the log, and state and search if wanted, telling `ready` of each; waits for servers that are away.
pub(crate) async fn prepare(
    parts: Parts,
    wanted: Wanted,
    ready: watch::Sender<Ready>,
    stop: CancellationToken,
) -> Result<(), PrepareError> {
    let state = async {
        if log(&parts, &stop).await?.is_none() {
            return Ok(());
        }
        ready.send_modify(|ready| ready.log = true);
        let bound = match wanted {
            Wanted { state: false, .. } => None,
            Wanted { replay_if_needed: false, .. } => state(&parts, &stop).await?,
            Wanted { replay_if_needed: true, .. } => replayed_state(&parts, &stop).await?,
        };
        if bound.is_some() {
            ready.send_modify(|ready| ready.state = true);
        }
        Ok(())
    };
    let search = async {
        if wanted.search && search(&parts, &stop).await?.is_some() {
            ready.send_modify(|ready| ready.search = true);
        }
        Ok(())
    };
    tokio::try_join!(state, search)?;
    Ok(())
}

/// Prepares what a replay reads and writes, of whichever fold it is; the search index too if it is built anew. `None` if
/// the process stops first.
pub(crate) async fn for_replay(
    parts: &Parts,
    with_search: bool,
    stop: &CancellationToken,
) -> Result<Option<()>, PrepareError> {
    if log(parts, stop).await?.is_none() {
        return Ok(None);
    }
    if with_search && search(parts, stop).await?.is_none() {
        return Ok(None);
    }
    let prepared = retry_until_ok(stop, waiting("state store"), || async {
        match parts.orders.prepare().await {
            Err(error @ StoreError::Unavailable(_)) => Err(error),
            settled => Ok(settled),
        }
    });
    prepared.await.transpose().map_err(PrepareError::State)
}

/// As `state`; what another fold made is replayed first.
async fn replayed_state(
    parts: &Parts,
    stop: &CancellationToken,
) -> Result<Option<()>, PrepareError> {
    loop {
        match state(parts, stop).await {
            Err(PrepareError::State(StoreError::OtherFold { stored })) => {
                let ours = events::FOLD_VERSION;
                tracing::info!(stored, ours, "another fold made the state: replaying the log");
                if search(parts, stop).await?.is_none() {
                    return Ok(None);
                }
                let replayed = replay_verbs::if_needed(parts, stop).await;
                if replayed.map_err(PrepareError::Replay)?.is_none() {
                    return Ok(None);
                }
            }
            bound => return bound,
        }
    }
}

async fn log(parts: &Parts, stop: &CancellationToken) -> Result<Option<()>, PrepareError> {
    let prepared = retry_until_ok(stop, waiting("event log"), || async {
        match parts.log.prepare(parts.topics).await {
            Err(error @ LogError::Unavailable(_)) => Err(error),
            settled => Ok(settled),
        }
    });
    prepared.await.transpose().map_err(PrepareError::Log)
}

async fn state(parts: &Parts, stop: &CancellationToken) -> Result<Option<()>, PrepareError> {
    let prepared = retry_until_ok(stop, waiting("state store"), || async {
        let partitions = match parts.log.partitions(Topic::Events).await {
            Ok(partitions) => partitions,
            Err(error) => return Err(StoreError::Unavailable(error.to_string())),
        };
        let prepared = async {
            parts.orders.prepare().await?;
            parts.orders.bind_partitions(partitions).await
        };
        match prepared.await {
            Err(error @ StoreError::Unavailable(_)) => Err(error),
            settled => Ok(settled),
        }
    });
    prepared.await.transpose().map_err(PrepareError::State)
}

async fn search(parts: &Parts, stop: &CancellationToken) -> Result<Option<()>, PrepareError> {
    let prepared = retry_until_ok(stop, waiting("search index"), || async {
        match parts.search.prepare().await {
            Err(error @ SearchError::Unavailable(_)) => Err(error),
            settled => Ok(settled),
        }
    });
    prepared.await.transpose().map_err(PrepareError::Search)
}

/// Prepares the stream of metrics. Nothing else needs it: one that can't be had is told of, and no more.
pub(crate) async fn metrics(parts: &Parts, stop: &CancellationToken) {
    let prepared = retry_until_ok(stop, waiting("stream of metrics"), || async {
        match parts.metrics.prepare().await {
            Err(error @ SearchError::Unavailable(_)) => Err(error),
            settled => Ok(settled),
        }
    });
    if let Some(Err(error)) = prepared.await {
        tracing::warn!(%error, "metrics will not be kept");
    }
}

fn waiting<E: std::fmt::Display>(part: &'static str) -> impl FnMut(&E, std::time::Duration) {
    move |error, delay| {
        tracing::warn!(part, %error, wait_ms = delay.as_millis(), "not there yet, trying again");
    }
}
