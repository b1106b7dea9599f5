//! A role of two loops ends when both have: if one fails, the other is stopped and finishes what it has in hand.

use tokio_util::sync::CancellationToken;

use crate::Error;

/// Runs both to their ends. `stop` must be theirs alone (a child token), for a failure of one cancels it.
///
/// # Errors
/// The first failure; of two, that of `one`.
pub async fn both(
    stop: &CancellationToken,
    one: impl Future<Output = Result<(), Error>>,
    other: impl Future<Output = Result<(), Error>>,
) -> Result<(), Error> {
    let (one, other) = tokio::join!(or_stop(stop, one), or_stop(stop, other));
    one.and(other)
}

async fn or_stop(
    stop: &CancellationToken,
    task: impl Future<Output = Result<(), Error>>,
) -> Result<(), Error> {
    let ended = task.await;
    if ended.is_err() {
        stop.cancel();
    }
    ended
}

#[cfg(test)]
mod tests {
    use ports::LogError;

    use super::*;

    #[tokio::test]
    async fn a_failure_of_one_stops_the_other() {
        let stop = CancellationToken::new();
        let waits = async {
            stop.cancelled().await;
            Ok(())
        };
        let fails = async { Err(LogError::Unfit("retention".to_owned()).into()) };
        assert!(matches!(both(&stop, waits, fails).await, Err(Error::Log(LogError::Unfit(_)))));
    }
}
