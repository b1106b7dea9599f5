//! Waiting for something to become true, never for time to pass.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

/// Asks `condition` until it answers `Some`, and returns that.
///
/// # Panics
/// With `what`, if `deadline` passes first, even in the middle of a question.
pub async fn wait_for<T>(
    what: &str,
    deadline: Duration,
    mut condition: impl AsyncFnMut() -> Option<T>,
) -> T {
    wait_while_it_moves(what, deadline, async || condition().await.ok_or(())).await
}

/// Asks `condition` until it answers `Ok`, and returns that. How far it is otherwise, it says in its `Err`: as long as
/// that changes, the wait goes on, so that a slow machine is told from something that never comes.
///
/// A question that is slow to answer is asked less often: what is asked has half of the time for its own work.
///
/// # Panics
/// With `what` and how far it came, if nothing changes for `patience`, even in the middle of a question.
pub async fn wait_while_it_moves<T, P: PartialEq + std::fmt::Debug>(
    what: &str,
    patience: Duration,
    mut condition: impl AsyncFnMut() -> Result<T, P>,
) -> T {
    let mut pause = Duration::from_millis(2);
    let (mut reached, mut deadline) = (None, Instant::now() + patience);
    loop {
        let asked = Instant::now();
        match timeout_at(deadline, condition()).await {
            Ok(Ok(found)) => return found,
            Ok(Err(now)) if reached.as_ref().is_some_and(|reached| *reached != now) => {
                (reached, deadline) = (Some(now), Instant::now() + patience);
            }
            Ok(Err(now)) if Instant::now() < deadline => reached = Some(now),
            Ok(Err(_)) | Err(_) => panic!("still not so after {patience:?} at {reached:?}: {what}"),
        }
        sleep(pause.max(asked.elapsed())).await;
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::{LocalSet, spawn_local};

    use super::*;

    #[tokio::test]
    async fn asks_until_the_answer_is_there() {
        let mut asked = 0;
        let answer = wait_for("three questions", Duration::from_secs(5), async || {
            asked += 1;
            (asked == 3).then_some(asked)
        });
        assert_eq!(answer.await, 3);
    }

    #[tokio::test]
    async fn goes_on_while_something_moves() {
        let mut asked = 0;
        let answer = wait_while_it_moves("a long way", Duration::from_secs(2), async || {
            tokio::time::sleep(Duration::from_millis(300)).await;
            asked += 1;
            if asked == 5 { Ok(asked) } else { Err(asked) }
        });
        assert_eq!(answer.await, 5);
    }

    /// What a wait in vain says.
    async fn panic_of(waiting: impl Future<Output = ()> + 'static) -> String {
        let waiting = LocalSet::new().run_until(async { spawn_local(waiting).await }).await;
        let panic = waiting.unwrap_err().into_panic();
        panic.downcast_ref::<String>().unwrap().clone()
    }

    const SOON: Duration = Duration::from_millis(5);

    #[tokio::test]
    async fn says_what_never_came() {
        let said = panic_of(wait_for("rain", SOON, async || None::<()>));
        assert!(said.await.ends_with("rain"));
        let said = panic_of(wait_for("an answer", SOON, async || std::future::pending().await));
        assert!(said.await.ends_with("an answer"));
    }

    #[tokio::test]
    async fn says_how_far_it_came() {
        let said = panic_of(wait_while_it_moves("the end", SOON, async || Err("half way")));
        assert!(said.await.contains("half way"));
    }
}
