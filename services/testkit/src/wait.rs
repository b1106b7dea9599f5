//! Waiting for something to become true, never for time to pass.

use std::time::Duration;

/// Asks `condition` until it answers `Some`, and returns that.
///
/// # Panics
/// With `what`, if `deadline` passes first, even in the middle of a question.
pub async fn wait_for<T>(
    what: &str,
    deadline: Duration,
    mut condition: impl AsyncFnMut() -> Option<T>,
) -> T {
    let asked = tokio::time::timeout(deadline, async {
        let mut pause = Duration::from_millis(2);
        loop {
            if let Some(found) = condition().await {
                return found;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    });
    match asked.await {
        Ok(found) => found,
        Err(_) => panic!("still not so after {deadline:?}: {what}"),
    }
}

#[cfg(test)]
mod tests {
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
    async fn says_what_never_came() {
        let waiting = tokio::spawn(async {
            wait_for("rain", Duration::from_millis(5), async || None::<()>).await;
        });
        let panic = waiting.await.unwrap_err().into_panic();
        assert!(panic.downcast_ref::<String>().unwrap().ends_with("rain"));
    }
}
