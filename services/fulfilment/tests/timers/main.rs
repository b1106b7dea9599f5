//! Fulfilment from end to end on embedded parts: each timer brings about one event, whatever comes in between.

#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

mod bench;

use std::{sync::Arc, time::Duration};

use bench::{Bench, PATIENCE, SilentAfterFiring, settings};
use bytes::Bytes;
use events::{Event, EventKind, OrderId, Outcome, State, fold};
use fulfilment::Settings;
use ports::NewRecord;
use testkit::{log, sample, wait_for};

fn placed(n: u64) -> [Event; 1] {
    [sample::placed(sample::order_id(n))]
}

fn kinds(events: &[Event]) -> Vec<(OrderId, EventKind)> {
    events.iter().map(|event| (event.order_id, event.body.kind())).collect()
}

#[tokio::test]
async fn two_instances_fire_a_timer_once() {
    let bench = Bench::open().await;
    let (one, other) = (bench.start(), bench.start());
    for n in 1..=20 {
        bench.change(&placed(n)).await;
    }
    bench.until_timers(20).await;
    assert_eq!(bench.events().await, []);

    bench.clock.advance(60);
    bench.until_timers(0).await;
    one.stop().await;
    other.stop().await;
    let mut cancelled = kinds(&bench.events().await);
    let mut expected: Vec<_> =
        (1..=20).map(|n| (sample::order_id(n), EventKind::OrderCancelled)).collect();
    cancelled.sort_unstable();
    expected.sort_unstable();
    assert_eq!(cancelled, expected);
}

#[tokio::test]
async fn a_timer_outlives_the_process() {
    let bench = Bench::open().await;
    let fulfilment = bench.start();
    bench.change(&placed(1)).await;
    bench.until_timers(1).await;
    fulfilment.kill().await;

    let bench = bench.reopen().await;
    bench.clock.advance(59);
    let fulfilment = bench.start();
    bench.change(&placed(2)).await;
    bench.until_timers(2).await;
    assert_eq!(bench.events().await, []);
    bench.clock.advance(1);
    let events = bench.until_events(2).await;
    fulfilment.stop().await;
    assert_eq!(events[0].body.kind(), EventKind::OrderCancelled);
    assert_eq!(events[0].occurred_at, sample::at(60));
    assert_eq!(events[0].actor, Some(sample::text("fulfilment")));
}

/// Died between the log's yes and the removal of the timer: it fires again, and the fold drops the repeat.
#[tokio::test]
async fn a_timer_that_fires_again_after_a_crash_changes_nothing() {
    let bench = Bench::open().await;
    let timers = Arc::new(SilentAfterFiring(bench.store.clone()));
    let fulfilment = bench.start_with(settings(), timers);
    bench.change(&placed(1)).await;
    bench.until_timers(1).await;
    bench.clock.advance(60);
    bench.until_events(1).await;
    fulfilment.kill().await;

    let bench = bench.reopen().await;
    bench.clock.advance(61);
    let fulfilment = bench.start();
    let events = bench.until_events(2).await;
    bench.until_timers(0).await;
    fulfilment.stop().await;
    assert_eq!(events[0].id, events[1].id);
    let order = fold(Some(sample::folded(&placed(1))), &events[0]).order.unwrap();
    assert_eq!(order.state, State::Cancelled);
    assert_eq!(fold(Some(order), &events[1]).outcome, Outcome::Duplicate);
}

#[tokio::test]
async fn an_order_that_moves_on_clears_its_timers() {
    let bench = Bench::open().await;
    let paid = sample::lifecycle(sample::order_id(1));
    bench.change(&paid[..2]).await;
    bench.change(&placed(2)).await;
    // Comes too late: what it says is past.
    bench.change(&paid[..1]).await;
    let fulfilment = bench.start();
    bench.until_timers(1).await;
    bench.clock.advance(61);
    let events = bench.until_events(1).await;
    bench.until_timers(0).await;
    fulfilment.stop().await;
    assert_eq!(kinds(&events), [(sample::order_id(2), EventKind::OrderCancelled)]);
}

#[tokio::test]
async fn with_every_timer_off_nothing_is_read_or_fired() {
    let bench = Bench::open().await;
    bench.change(&placed(1)).await;
    let resting = bench.start_with(Settings::default(), bench.store.clone());
    wait_for("fulfilment serves", PATIENCE, async || {
        bench.health.roles().remove(0).1.is_none().then_some(())
    })
    .await;
    resting.stop().await;
    assert_eq!(bench.timers().await, 0);

    // Switched on later, the orders of the meantime are not forgotten.
    let fulfilment = bench.start();
    bench.until_timers(1).await;
    fulfilment.stop().await;
}

#[tokio::test]
async fn a_timer_whose_kind_was_switched_off_is_forgotten() {
    let bench = Bench::open().await;
    let fulfilment = bench.start();
    bench.change(&placed(1)).await;
    bench.until_timers(1).await;
    fulfilment.stop().await;

    let only_completion = Settings { cancel_unpaid_after: None, ..settings() };
    bench.clock.advance(61);
    let fulfilment = bench.start_with(only_completion, bench.store.clone());
    bench.until_timers(0).await;
    fulfilment.stop().await;
    assert_eq!(bench.events().await, []);
}

#[tokio::test]
async fn what_can_t_be_read_becomes_a_dead_letter_and_the_line_goes_on() {
    let bench = Bench::open().await;
    let key = Bytes::from(sample::order_id(1).to_string());
    let garbage = NewRecord { key, value: Bytes::from_static(b"\xff"), headers: Vec::new() };
    let mut foreign = log::change_records(&placed(1));
    foreign[0].key = Bytes::from_static(b"someone else");
    bench.append(vec![garbage]).await;
    bench.append(foreign).await;
    bench.change(&placed(2)).await;
    let fulfilment = bench.start();
    bench.until_timers(1).await;
    wait_for("two dead letters", PATIENCE, async || {
        (bench.dead_letters().await == 2).then_some(())
    })
    .await;
    fulfilment.stop().await;
}

#[tokio::test]
async fn the_timers_of_the_demo_take_an_order_from_state_to_state() {
    let bench = Bench::open().await;
    let soon = Some(Duration::from_secs(1));
    let demo = Settings {
        pay_after: soon,
        prepare_after: soon,
        ship_after: soon,
        deliver_after: soon,
        complete_after: soon,
        ..settings()
    };
    let fulfilment = bench.start_with(demo, bench.store.clone());
    let mut history = placed(1).to_vec();
    // The test folds and announces in the projector's place.
    while history.len() < 6 {
        bench.append(log::change_records(&history).split_off(history.len() - 1)).await;
        let due = sample::folded(&history).updated_at + chrono::TimeDelta::seconds(1);
        bench.clock.set(due);
        history.extend(bench.until_events(history.len()).await.pop());
    }
    bench.append(log::change_records(&history).split_off(5)).await;
    bench.until_timers(0).await;
    fulfilment.stop().await;
    let order = sample::folded(&history);
    assert_eq!((order.state, order.anomalies), (State::Completed, 0));
}
