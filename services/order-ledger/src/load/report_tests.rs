//! What people and programs read of a run.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::*;
use crate::{
    client::Refused,
    load::{
        mix::CallKind,
        orders::tests::plan,
        tally::{Answer, Board},
    },
};

const OPEN: Pace = Pace::Rate { per_second: 1, in_flight_max: 2 };

/// One call that took 20 ms and was due 10 ms before it was started, one that failed, one that was not started.
async fn tally() -> Tally {
    let board = Board::new(Duration::ZERO);
    let due = Instant::now();
    let answer = |kind, failure| Answer { kind, failure };
    let after = |millis| tokio::time::sleep(Duration::from_millis(millis));
    after(10).await;
    let started = Instant::now();
    after(20).await;
    board.answered(&answer(CallKind::Place, None), Some(due), started);
    let refused = Refused::from(tonic::Status::unavailable("draining"));
    board.answered(&answer(CallKind::Get, Some(refused)), Some(due), started);
    board.not_started(CallKind::Get, due);
    board.take()
}

#[tokio::test(start_paused = true)]
async fn people_read_both_times_and_every_shortfall() {
    let (plan, tally) = (plan(OPEN), tally().await);
    let report = Report { plan: &plan, tally: &tally, ended_early: true, placed_instead: 1 };
    assert!(!report.is_clean());
    let mut told = Vec::new();
    report.write(&mut told).unwrap();
    let told = String::from_utf8(told).unwrap();
    let row = |words: &[&str]| {
        told.lines().any(|line| {
            let cells: Vec<_> = line.split(['│', '┆']).map(str::trim).collect();
            words.iter().all(|word| cells.contains(word))
        })
    };
    assert!(row(&["place", "1", "0", "33.3", "corrected", "30.01"]), "{told}");
    assert!(row(&["uncorrected", "20.01"]), "{told}");
    assert!(row(&["get", "UNAVAILABLE", "1", "UNAVAILABLE: draining"]), "{told}");
    for line in [
        "load peak, run r, seed 3",
        "1 orders placed",
        "1 calls placed an order because there was none to read or to move",
        "1 calls were due and not started before the end, for the same reason",
        "a signal ended it early",
    ] {
        assert!(told.lines().any(|told| told == line), "{line} is not in\n{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn programs_read_the_same() {
    let (plan, tally) = (plan(OPEN), tally().await);
    let report = Report { plan: &plan, tally: &tally, ended_early: false, placed_instead: 0 };
    let mut told = Vec::new();
    document::write(&report, &mut told).unwrap();
    let told: Value = serde_json::from_slice(&told).unwrap();
    assert_eq!(told["settings"]["loop"], "open");
    assert_eq!((&told["answered"], &told["failed"]), (&2.into(), &1.into()));
    assert_eq!(told["not_started"], 1);
    assert_eq!(told["calls"][0]["call"], "place");
    assert_eq!(told["calls"][0]["corrected_us"]["count"], 1);
    let max = |times: &str| told["calls"][0][times]["max"].as_u64().unwrap() / 1_000;
    assert_eq!((max("corrected_us"), max("uncorrected_us")), (30, 20));
    assert_eq!(told["calls"][1]["corrected_us"]["count"], 2, "one of them never started");
    assert_eq!(told["failures"][0]["code"], "UNAVAILABLE");
}
