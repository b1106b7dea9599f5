//! No more than so much a second, for a replay that has time.

use std::{num::NonZeroU32, time::Duration};

use tokio::time::Instant;

/// A rate, kept over every stretch of time: what was not used earlier is not made up for, so a pause is not followed by a burst.
pub(super) struct Pace {
    /// A second; none if it may go as fast as it can.
    rate: Option<NonZeroU32>,
    /// When what was done so far is due.
    due: Instant,
}

impl Pace {
    pub(super) fn new(rate: Option<NonZeroU32>) -> Self {
        Self { rate, due: Instant::now() }
    }

    /// When so many more are due; whoever did them waits until then.
    pub(super) fn take(&mut self, records: u64) -> Instant {
        let now = Instant::now();
        let Some(rate) = self.rate else { return now };
        let nanos = records.saturating_mul(1_000_000_000) / u64::from(rate.get());
        self.due = self.due.max(now) + Duration::from_nanos(nanos);
        self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_rate_is_kept_and_what_was_not_used_is_not_made_up_for() {
        let mut pace = Pace::new(NonZeroU32::new(100));
        let begun = Instant::now();
        for tenth in 1..=30 {
            assert_eq!(pace.take(10), begun + tenth * SECOND / 10);
        }
        tokio::time::advance(60 * SECOND).await;
        assert_eq!(pace.take(200), begun + 62 * SECOND);
        assert_eq!(pace.take(0), begun + 62 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_rate_nothing_waits() {
        let begun = Instant::now();
        assert_eq!(Pace::new(None).take(u64::MAX), begun);
    }
}
