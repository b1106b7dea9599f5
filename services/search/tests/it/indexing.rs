//! Documents: the newest of each order, whatever happens.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use events::State;
use ports::{DeadLetterReason, DeadLetters as _, LetterStatus, NewRecord, SearchIndex as _};
use testkit::{log, sample, wait_for};

use crate::bench::{Bench, PATIENCE};

#[tokio::test]
async fn the_newest_version_of_each_order_is_indexed_and_stays() {
    let bench = Bench::open().await;
    for order in 1..=5 {
        bench.change(&sample::lifecycle(sample::order_id(order))).await;
    }
    let search = bench.start();
    for order in 1..=5 {
        bench.until_version(order, 6).await;
    }
    // Announced again, as a crash of the projector or a reset of the group makes them come.
    bench.change(&sample::lifecycle(sample::order_id(1))[..3]).await;
    bench.change(&[sample::placed(sample::order_id(6))]).await;
    bench.until_version(6, 1).await;
    bench.until_version(1, 6).await;
    assert_eq!(bench.down(), None);
    search.stop().await;
    let mut states = bench.index.count_by_state().await.unwrap();
    states.retain(|(_, count)| *count > 0);
    states.sort_unstable();
    assert_eq!(states, [(State::Placed, 1), (State::Completed, 5)]);
}

#[tokio::test]
async fn goes_on_after_a_restart_where_it_was() {
    let bench = Bench::open().await;
    let life = sample::lifecycle(sample::order_id(1));
    bench.change(&life[..2]).await;
    let search = bench.start();
    bench.until_version(1, 2).await;
    search.stop().await;
    bench.append(log::change_records(&life).split_off(2)).await;
    let search = bench.start();
    bench.until_version(1, 6).await;
    search.stop().await;
}

#[tokio::test]
async fn an_index_that_is_away_is_waited_for() {
    let bench = Bench::open().await;
    bench.index.away.store(true, Ordering::Relaxed);
    bench.change(&sample::lifecycle(sample::order_id(1))).await;
    let search = bench.start();
    wait_for("the failure is reported", PATIENCE, async || {
        bench.down().filter(|why| {
            why == "indexing: could not index documents: the search index is not available: connection refused"
        })
    })
    .await;
    bench.index.away.store(false, Ordering::Relaxed);
    bench.until_version(1, 6).await;
    wait_for("the search projector serves", PATIENCE, async || {
        bench.down().is_none().then_some(())
    })
    .await;
    search.stop().await;
}

#[tokio::test]
async fn a_stop_while_the_index_is_away_loses_nothing() {
    let bench = Bench::open().await;
    bench.index.away.store(true, Ordering::Relaxed);
    bench.change(&sample::lifecycle(sample::order_id(1))).await;
    let search = bench.start();
    wait_for("the index is missed", PATIENCE, async || {
        bench.down().filter(|why| why.contains("could not index"))
    })
    .await;
    search.stop().await;
    bench.index.away.store(false, Ordering::Relaxed);
    let search = bench.start();
    bench.until_version(1, 6).await;
    search.stop().await;
}

#[tokio::test]
async fn what_can_t_be_read_or_indexed_becomes_a_dead_letter_and_the_line_goes_on() {
    let bench = Bench::open().await;
    let key = Bytes::from(sample::order_id(1).to_string());
    let garbage = NewRecord { key, value: Bytes::from_static(b"\xff"), headers: Vec::new() };
    let mut foreign = log::change_records(&[sample::placed(sample::order_id(2))]);
    foreign[0].key = Bytes::from_static(b"someone else");
    bench.append(vec![garbage]).await;
    bench.append(foreign).await;
    bench.change(&[sample::placed(sample::order_id(13))]).await;
    bench.change(&[sample::placed(sample::order_id(3))]).await;
    let search = bench.start();
    bench.until_version(3, 1).await;
    wait_for("three dead letters", PATIENCE, async || {
        (bench.store.count().await.unwrap() == 3).then_some(())
    })
    .await;
    search.stop().await;
    assert!(bench.index.versions(&[sample::order_id(2)]).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_dead_letter_is_read_again_if_someone_wants_it() {
    let bench = Bench::open().await;
    let key = Bytes::from(sample::order_id(1).to_string());
    let garbage = NewRecord { key, value: Bytes::from_static(b"\xff"), headers: Vec::new() };
    bench.append(vec![garbage]).await;
    bench.change(&[sample::placed(sample::order_id(13))]).await;
    let search = bench.start();
    let letters = bench.letters(2).await;
    for letter in &letters {
        bench.store.decide(letter.key(), LetterStatus::Retry).await.unwrap();
    }
    // Nothing has become better.
    let again = bench.letters(2).await;
    let reasons: Vec<_> = again.iter().map(|letter| letter.reason).collect();
    assert_eq!(reasons, [DeadLetterReason::Undecodable, DeadLetterReason::Refused]);
    assert_eq!(again, letters);

    bench.index.mended.store(true, Ordering::Relaxed);
    search.stop().await;
    for letter in &letters {
        bench.store.decide(letter.key(), LetterStatus::Retry).await.unwrap();
    }
    let search = bench.start();
    bench.until_version(13, 1).await;
    let left = bench.letters(1).await;
    assert_eq!(left.first().unwrap().reason, DeadLetterReason::Undecodable);
    assert_eq!(bench.down(), None);
    search.stop().await;
}
