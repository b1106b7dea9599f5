//! `serve --replay-if-needed`: what another fold made is built anew before anything is folded further.

use std::{sync::Arc, time::Duration};

use ports::{LogError, SearchError, StoreError};
use replay::{Plan, ReplayError};
use tokio_util::sync::CancellationToken;

use super::{progress::Progress, run::carry_out};
use crate::parts::Parts;

/// How long to wait for a server that is away, or for another process that replays.
const PAUSE: Duration = Duration::from_secs(1);

/// Replays the log and swaps, as fast as it goes as no order moves before that is done; or waits a moment if that can't be done now: the caller looks at the store again. `None` if
/// the process stops first.
///
/// # Errors
/// What waiting can't mend.
pub(crate) async fn if_needed(
    parts: &Parts,
    stop: &CancellationToken,
) -> Result<Option<()>, ReplayError> {
    let watch = Progress::watch(&Arc::new(Progress::for_log()));
    let replaying = Box::pin(carry_out(parts, &Plan::WHOLE, watch));
    let Some(replayed) = stop.run_until_cancelled(replaying).await else { return Ok(None) };
    match replayed {
        Ok(replayed) => {
            let generation = replayed.generation;
            tracing::info!(generation, "replayed: the new generation is live");
            Ok(Some(()))
        }
        Err(error) if passes(&error) => {
            tracing::warn!(%error, wait_ms = PAUSE.as_millis(), "can't replay yet, trying again");
            Ok(stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await)
        }
        Err(error) => Err(error),
    }
}

/// Whether the same may work later.
const fn passes(error: &ReplayError) -> bool {
    match error {
        ReplayError::Busy
        | ReplayError::Log(LogError::Unavailable(_))
        | ReplayError::Store(StoreError::Unavailable(_))
        | ReplayError::Search(SearchError::Unavailable(_))
        // Another one heeds it.
        | ReplayError::Discarded { .. }
        // The state is ours by then; the role `search` sees to the rest.
        | ReplayError::SearchPending { .. } => true,
        ReplayError::Cancelled(_)
        | ReplayError::CancelledKept(_)
        | ReplayError::SearchCancelled
        | ReplayError::NoSuchGeneration(_)
        | ReplayError::NoSuchPartition(_)
        | ReplayError::BeyondTheEnd { .. }
        | ReplayError::NothingRetired
        | ReplayError::Differs { .. }
        | ReplayError::Log(LogError::Unfit(_) | LogError::Expired { .. })
        | ReplayError::Store(StoreError::Corrupt(_) | StoreError::OtherFold { .. })
        | ReplayError::Search(SearchError::Unfit(_))
        | ReplayError::Verify(_)
        | ReplayError::Task(_) => false,
    }
}
