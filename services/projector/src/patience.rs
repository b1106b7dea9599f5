//! Waiting for servers that are away, and saying so.

use std::{fmt::Display, time::Duration};

use ports::{LogError, Reporter, retry_until_ok};
use tokio_util::sync::CancellationToken;

/// Tries until it works or the role stops.
#[derive(Clone)]
pub(crate) struct Patience {
    pub(crate) health: Reporter,
    pub(crate) stop: CancellationToken,
}

impl Patience {
    /// Runs `operation` until it succeeds; `None` if it fails once the role was told to stop.
    pub(crate) async fn until_ok<T, E: Display, F, Fut>(
        &self,
        what: &'static str,
        operation: F,
    ) -> Option<T>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let mut failed = false;
        let value = retry_until_ok(
            &self.stop,
            |error, delay| {
                failed = true;
                self.failed(what, error, delay);
            },
            operation,
        )
        .await;
        if failed && value.is_some() {
            self.works(what);
        }
        value
    }

    /// As [`Self::until_ok`], for the log: what only an operator can mend is an answer as well.
    pub(crate) async fn until_fit<T, F, Fut>(
        &self,
        what: &'static str,
        mut operation: F,
    ) -> Result<Option<T>, LogError>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, LogError>>,
    {
        let answer = self.until_ok(what, || {
            let answer = operation();
            async {
                match answer.await {
                    Err(unfit @ (LogError::Unfit(_) | LogError::Expired { .. })) => Ok(Err(unfit)),
                    Err(away @ LogError::Unavailable(_)) => Err(away),
                    Ok(value) => Ok(Ok(value)),
                }
            }
        });
        answer.await.transpose()
    }

    /// Notes a failure that will be tried again after `delay`.
    pub(crate) fn failed(&self, what: &'static str, error: &dyn Display, delay: Duration) {
        metrics::counter!("order_ledger_projector_retries_total").increment(1);
        tracing::warn!(what, %error, wait_ms = delay.as_millis(), "trying again");
        self.health.down(format_args!("{what}: {error}"));
    }

    /// Notes that what had failed works again.
    pub(crate) fn works(&self, what: &'static str) {
        tracing::info!(what, "it works again");
        self.health.up();
    }
}
