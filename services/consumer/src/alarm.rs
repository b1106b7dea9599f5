//! When to look for due work again: when it is announced, when the next is due, or after a bounded while.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use ports::Clock;
use tokio::sync::Notify;

/// Wakes a loop that works off what is due in a store which other processes write to as well.
#[derive(Clone)]
pub struct Alarm {
    clock: Arc<dyn Clock>,
    announced: Arc<Notify>,
    at_most: Duration,
}

impl Alarm {
    /// The shortest rest: what is due but claimed by another at this very moment must not make the loop spin.
    const AT_LEAST: Duration = Duration::from_millis(10);

    /// An alarm that rings at least every `at_most`, so that other processes' work is found and an injected clock that
    /// jumps is followed.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, at_most: Duration) -> Self {
        Self { clock, announced: Arc::default(), at_most }
    }

    /// Rings now, or at once when next waited for.
    pub fn ring(&self) {
        self.announced.notify_one();
    }

    /// Waits for the next ring. Cancel-safe.
    pub async fn wait(&self, next_due: Option<DateTime<Utc>>) {
        tokio::select! {
            () = self.announced.notified() => {}
            () = tokio::time::sleep(self.rest(next_due)) => {}
        }
    }

    fn rest(&self, next_due: Option<DateTime<Utc>>) -> Duration {
        let Some(due) = next_due else { return self.at_most };
        let wait = (due - self.clock.now()).to_std().unwrap_or(Duration::ZERO);
        wait.min(self.at_most).max(Self::AT_LEAST)
    }
}

#[cfg(test)]
mod tests {
    use testkit::{TestClock, sample};

    use super::*;

    #[test]
    fn rests_until_the_next_is_due_within_bounds() {
        let alarm = Alarm::new(Arc::new(TestClock::default()), Duration::from_secs(5));
        assert_eq!(alarm.rest(None), Duration::from_secs(5));
        assert_eq!(alarm.rest(Some(sample::at(2))), Duration::from_secs(2));
        assert_eq!(alarm.rest(Some(sample::at(60))), Duration::from_secs(5));
        assert_eq!(alarm.rest(Some(sample::at(-60))), Alarm::AT_LEAST);
    }

    #[tokio::test]
    async fn a_ring_is_heard_even_if_no_one_waits_yet() {
        let alarm = Alarm::new(Arc::new(TestClock::default()), Duration::MAX);
        alarm.ring();
        alarm.wait(None).await;
    }
}
