//! Patience: doing something until it works, unless it can never work or the process stops.

use std::{
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

use ports::{Backoff, Consumer};
use tokio_util::sync::CancellationToken;

use crate::{Error, Task};

/// Retries what a task does, tells its health and counts the failures.
///
/// Unlike [`ports::retry_until_ok`] it never cuts an operation short: what is in hand when the process stops is
/// finished, which is what draining means.
#[derive(Clone, Debug)]
pub struct Retry {
    consumer: Consumer,
    task: Task,
    stop: CancellationToken,
}

impl Retry {
    /// For one task of a role.
    #[must_use]
    pub const fn new(consumer: Consumer, task: Task, stop: CancellationToken) -> Self {
        Self { consumer, task, stop }
    }

    /// Resolves when the process stops. Cancel-safe.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Whether the process stops.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Runs `operation` until it succeeds, with backoff and jitter between tries. `what` says what it does, in few
    /// words, for logs and metrics. Once the process stops there is one last try; `None` if that failed too.
    ///
    /// # Errors
    /// The operation's, if waiting can't help.
    pub async fn until_ok<T, E, Fut>(
        &self,
        what: &'static str,
        mut operation: impl FnMut() -> Fut,
    ) -> Result<Option<T>, Error>
    where
        E: Into<Error>,
        Fut: Future<Output = Result<T, E>>,
    {
        let mut backoff = Backoff::default();
        loop {
            let last = self.stop.is_cancelled();
            let error = match operation().await {
                Ok(value) => {
                    self.task.up();
                    return Ok(Some(value));
                }
                Err(error) => error.into(),
            };
            if !error.is_away() {
                return Err(error);
            }
            let wait = if last { Duration::ZERO } else { backoff.next_delay(noise()) };
            self.failed(what, &error, wait);
            if last {
                return Ok(None);
            }
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    fn failed(&self, what: &'static str, error: &Error, wait: Duration) {
        let consumer = self.consumer.name();
        self.task.down(format_args!("could not {what}: {error}"));
        metrics::counter!("order_ledger_retries_total", "consumer" => consumer, "operation" => what)
            .increment(1);
        if wait.is_zero() {
            tracing::warn!(consumer, %error, "could not {what}, and the process stops; it will be done at the next start");
        } else {
            let wait_ms = wait.as_millis();
            tracing::warn!(consumer, %error, wait_ms, "could not {what}, trying again");
        }
    }
}

/// Something that differs between processes and moments; not random, only uneven.
fn noise() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use ports::{Health, StoreError};

    use super::*;
    use crate::Standing;

    fn retry(health: &Health, stop: &CancellationToken) -> Retry {
        let task = Standing::new(health.reporter("search")).task("intake");
        Retry::new(Consumer::Search, task, stop.clone())
    }

    fn away() -> StoreError {
        StoreError::Unavailable("connection refused".to_owned())
    }

    #[tokio::test]
    async fn tries_until_it_works_and_tells_health() {
        let health = Health::default();
        let mut seen = Vec::new();
        let result = retry(&health, &CancellationToken::new())
            .until_ok("count sheep", || {
                seen.push(health.roles().remove(0).1.unwrap());
                ready(if seen.len() < 3 { Err(away()) } else { Ok(7) })
            })
            .await;
        assert_eq!(result.unwrap(), Some(7));
        assert_eq!(health.roles().remove(0).1, None);
        assert_eq!(
            seen.last().unwrap(),
            "intake: could not count sheep: the store is not available: connection refused"
        );
    }

    #[tokio::test]
    async fn does_not_wait_for_what_can_never_work() {
        let result = retry(&Health::default(), &CancellationToken::new())
            .until_ok("read", || ready(Err::<(), _>(StoreError::Corrupt("bad page".to_owned()))))
            .await;
        assert!(matches!(result, Err(Error::Store(StoreError::Corrupt(_)))));
    }

    #[tokio::test]
    async fn tries_once_more_when_the_process_stops() {
        let stop = CancellationToken::new();
        let mut tries = 0;
        let result = retry(&Health::default(), &stop)
            .until_ok("write", || {
                tries += 1;
                stop.cancel();
                ready(Err::<(), _>(away()))
            })
            .await;
        assert_eq!((result.unwrap(), tries), (None, 2));
    }
}
