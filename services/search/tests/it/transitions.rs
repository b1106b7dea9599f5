//! Transitions: every change once, beside the documents.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use ports::{Clock as _, DeadLetters as _, LetterStatus, SearchIndex as _};
use serde_json::{Value, json};
use testkit::{TestClock, log, sample};

use crate::bench::Bench;

#[tokio::test]
async fn every_change_is_a_transition_once() {
    let bench = Bench::open().await;
    let life = sample::lifecycle(sample::order_id(1));
    let mut records = log::change_records(&life);
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let traceparent = Bytes::from(format!("00-{trace}-00f067aa0ba902b7-01"));
    records[1].headers.push(("traceparent".to_owned(), traceparent));
    bench.append(records).await;
    bench.change(&life[..2]).await;
    bench.change(&[sample::placed(sample::order_id(2))]).await;
    let search = bench.start();
    bench.until_transitions(2, 1).await;
    let kept = bench.until_transitions(1, 6).await;
    search.stop().await;

    let told: Vec<_> = kept
        .iter()
        .map(|kept| (&kept["version"], &kept["from"], &kept["to"], &kept["seconds_in_from"]))
        .map(|(version, from, to, seconds)| json!([version, from, to, seconds]))
        .collect();
    let expected = [
        json!([1, null, "Placed", null]),
        json!([2, "Placed", "Paid", 1.0]),
        json!([3, "Paid", "Preparing", 1.0]),
        json!([4, "Preparing", "Shipped", 1.0]),
        json!([5, "Shipped", "Delivered", 1.0]),
        json!([6, "Delivered", "Completed", 1.0]),
    ];
    assert_eq!(told, expected);
    let captured = &kept[1];
    assert_eq!(captured["trace"]["id"], trace);
    assert_eq!(kept[0]["trace"], Value::Null);
    assert_eq!(captured["event"]["action"], "PaymentCaptured");
    assert_eq!(captured["event"]["outcome"], "success");
    assert_eq!(captured["event"]["id"], life[1].id.to_string());
    assert_eq!(captured["@timestamp"], json!(life[1].occurred_at));
    assert_eq!(captured["event"]["created"], json!(TestClock::default().now()));
    assert!(captured["lag_seconds"].as_f64().is_some_and(|lag| lag >= 0.0), "{captured}");
}

#[tokio::test]
async fn what_was_rejected_is_a_failure_that_says_why() {
    let bench = Bench::open().await;
    let id = sample::order_id(1);
    bench.change(&[sample::placed(id), sample::delivered(id)]).await;
    let search = bench.start();
    let kept = bench.until_transitions(1, 2).await.remove(1);
    search.stop().await;
    assert_eq!(kept["event"]["outcome"], "failure");
    assert_eq!(kept["rejection"], "IllegalTransition");
    assert_eq!((&kept["from"], &kept["to"]), (&json!("Placed"), &json!("Placed")));
    assert_eq!(kept["seconds_in_from"], Value::Null);
}

#[tokio::test]
async fn one_that_is_away_does_not_keep_the_other_from_its_work() {
    let bench = Bench::open().await;
    bench.index.stream_away.store(true, Ordering::Relaxed);
    bench.change(&sample::lifecycle(sample::order_id(1))).await;
    let search = bench.start();
    bench.until_version(1, 6).await;
    bench.index.stream_away.store(false, Ordering::Relaxed);
    bench.until_transitions(1, 6).await;
    bench.index.away.store(true, Ordering::Relaxed);
    bench.change(&sample::lifecycle(sample::order_id(2))).await;
    bench.until_transitions(2, 6).await;
    assert!(bench.index.real.versions(&[sample::order_id(2)]).await.unwrap().is_empty());
    bench.index.away.store(false, Ordering::Relaxed);
    bench.until_version(2, 6).await;
    search.stop().await;
}

#[tokio::test]
async fn a_change_that_both_refuse_is_one_dead_letter() {
    let bench = Bench::open().await;
    bench.change(&[sample::placed(sample::order_id(13))]).await;
    let search = bench.start();
    let letter = bench.letters(1).await.remove(0);
    assert_eq!(letter.detail, "does not fit the mapping; too odd");
    bench.index.mended.store(true, Ordering::Relaxed);
    bench.store.decide(letter.key(), LetterStatus::Retry).await.unwrap();
    bench.until_version(13, 1).await;
    bench.until_transitions(13, 1).await;
    search.stop().await;
}
