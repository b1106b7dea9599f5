//! Waiting out a server that is away: backoff with jitter, one log line a failure, a metric-friendly name.

use std::{fmt::Display, future::Future, time::Duration};

use tokio_util::sync::CancellationToken;

/// Exponential backoff with jitter: 100 ms, doubling, at most 5 s, each wait between half of that and all of it.
#[derive(Debug, Default)]
pub struct Backoff {
    attempt: u32,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(100);
    const MOST: Duration = Duration::from_secs(5);

    /// How long to wait before the next try. `noise` is any number; it spreads callers out.
    pub fn next_delay(&mut self, noise: u64) -> Duration {
        let full = Self::FIRST.saturating_mul(1 << self.attempt.min(10)).min(Self::MOST);
        self.attempt = self.attempt.saturating_add(1);
        let half = full / 2;
        let span = u64::try_from(half.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
        half.saturating_add(Duration::from_millis(noise % span))
    }

    /// How many tries failed so far.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.attempt
    }
}

/// Runs `operation` until it succeeds, waiting between tries and calling `failed` with each error and the wait that
/// follows. A try under way is never cut off; once `stop` is cancelled a failure is final, and the answer is `None`.
pub async fn retry_until_ok<T, E, F, Fut>(
    stop: &CancellationToken,
    mut failed: impl FnMut(&E, Duration),
    mut operation: F,
) -> Option<T>
where
    E: Display,
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let mut backoff = Backoff::default();
    loop {
        let error = match operation().await {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        let delay = backoff.next_delay(noise());
        failed(&error, delay);
        tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            () = tokio::time::sleep(delay) => {}
        }
    }
}

/// Something that differs between processes and moments; not random, only uneven.
fn noise() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}
