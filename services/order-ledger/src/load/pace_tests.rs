//! Paces against a server that is a clock: time stands still until everyone waits, so every number is exact.

use tokio::time::sleep;

use super::*;
use crate::load::{
    orders::tests::plan,
    tally::{Calls, Tally},
};

/// How long an answer takes.
const USUAL: Duration = Duration::from_millis(1);

/// Answers at once, but nothing from `from` to `until`.
struct Stalled {
    from: Instant,
    until: Instant,
}

impl Target for Stalled {
    fn kind(&self, _: u64) -> CallKind {
        CallKind::Place
    }

    async fn call(&self, _: u64) -> Answer {
        sleep(USUAL).await;
        if (self.from..self.until).contains(&Instant::now()) {
            sleep_until(self.until).await;
        }
        Answer { kind: CallKind::Place, failure: None }
    }
}

async fn run(plan: &Plan, stalled_seconds: std::ops::Range<u64>) -> Tally {
    let board = Arc::new(Board::new(plan.warm_up));
    let at = |seconds| board.begin() + Duration::from_secs(seconds);
    let target =
        Arc::new(Stalled { from: at(stalled_seconds.start), until: at(stalled_seconds.end) });
    let early = drive(&target, &board, plan, &CancellationToken::new()).await.unwrap();
    assert!(!early);
    board.take()
}

fn places(tally: &Tally) -> &Calls {
    &tally.by_kind[&CallKind::Place]
}

fn millis(histogram: &hdrhistogram::Histogram<u64>, quantile: f64) -> u64 {
    histogram.value_at_quantile(quantile) / 1_000
}

#[tokio::test(start_paused = true)]
async fn a_stall_shows_in_the_corrected_times_although_few_calls_were_under_way() {
    let plan = plan(Pace::Rate { per_second: 100, in_flight_max: 1 });
    let tally = run(&plan, 2..4).await;
    let calls = places(&tally);
    assert_eq!((calls.answered, calls.not_started), (1_000, 0));
    // One call in a thousand took two seconds: who looks at it alone sees nothing below the last per mille.
    assert_eq!(millis(&calls.uncorrected, 0.99), 1);
    assert_eq!(millis(&calls.uncorrected, 1.0) / 100, 20);
    // But in these two seconds two hundred were due, each of which waited for the rest of them.
    assert_eq!(millis(&calls.corrected, 0.5), 1);
    let (p90, p99) = (millis(&calls.corrected, 0.9), millis(&calls.corrected, 0.99));
    assert!((1_000..1_300).contains(&p90), "{p90}");
    assert!((1_800..2_010).contains(&p99), "{p99}");
    assert!(tally.held_up >= 199, "{}", tally.held_up);
}

#[tokio::test(start_paused = true)]
async fn with_room_for_all_every_call_starts_when_it_is_due() {
    let plan = plan(Pace::Rate { per_second: 100, in_flight_max: 1_000 });
    let tally = run(&plan, 2..4).await;
    let calls = places(&tally);
    assert_eq!((calls.answered, calls.not_started, tally.held_up), (1_000, 0, 0));
    let (corrected, uncorrected) = (&calls.corrected, &calls.uncorrected);
    assert_eq!(millis(corrected, 0.9), millis(uncorrected, 0.9), "no one waited to be started");
    assert!(millis(corrected, 0.99) > 1_800);
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_started_is_counted_with_what_it_had_waited() {
    let plan = plan(Pace::Rate { per_second: 100, in_flight_max: 10 });
    let tally = run(&plan, 5..60).await;
    let calls = places(&tally);
    assert_eq!(calls.answered + calls.not_started, 1_000);
    assert!((480..=490).contains(&calls.not_started), "{}", calls.not_started);
    assert_eq!(calls.corrected.len(), 1_000);
    assert!(millis(&calls.corrected, 0.9) > 3_500, "the wait of those that never started");
    assert_eq!(millis(&calls.uncorrected, 0.9), 1, "those that were answered tell nothing of it");
}

#[tokio::test(start_paused = true)]
async fn callers_of_a_closed_loop_wait_and_have_no_corrected_times() {
    let tally = run(&plan(Pace::Callers(5)), 2..4).await;
    let calls = places(&tally);
    // Eight seconds of calls of a millisecond each, by five.
    assert!((39_000..=40_020).contains(&calls.answered), "{}", calls.answered);
    assert_eq!(calls.corrected.len(), 0);
    assert_eq!(millis(&calls.uncorrected, 1.0) / 100, 20);
}

#[tokio::test(start_paused = true)]
async fn the_warm_up_is_counted_apart() {
    let warm_up = Duration::from_secs(5);
    let pace = Pace::Rate { per_second: 100, in_flight_max: 1_000 };
    let tally = run(&Plan { warm_up, ..plan(pace) }, 1..3).await;
    let calls = places(&tally);
    assert_eq!((tally.warm_up_answered, calls.answered), (500, 1_000));
    assert_eq!(tally.placed, 1_500);
    assert_eq!(millis(&calls.corrected, 1.0), 1, "the stall was before");
}

#[tokio::test(start_paused = true)]
async fn a_signal_ends_it_and_what_is_under_way_is_waited_for() {
    let plan = plan(Pace::Rate { per_second: 100, in_flight_max: 1_000 });
    let board = Arc::new(Board::new(plan.warm_up));
    let at = |seconds| board.begin() + Duration::from_secs(seconds);
    let target = Arc::new(Stalled { from: at(1), until: at(4) });
    let stop = CancellationToken::new();
    let stopping = async {
        sleep(Duration::from_millis(2_005)).await;
        stop.cancel();
    };
    let (early, ()) = tokio::join!(drive(&target, &board, &plan, &stop), stopping);
    assert!(early.unwrap());
    let tally = board.take();
    assert_eq!((places(&tally).answered, places(&tally).not_started), (201, 0));
}
