//! Cases for [`ports::DeliveryStore`]: every mail is claimed by one sender at a time, and finished once.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use events::Version;
use futures::future::join_all;
use ports::{
    Delivery, DeliveryKey, DeliveryResult, DeliveryStore, Finished, NewDelivery, Traceparent,
};
use testkit::sample::{at, order_id};

/// Makes a test of every case; `$with` hands each a fresh, prepared [`ports::DeliveryStore`].
#[macro_export]
macro_rules! delivery_store {
    ($with:path) => {
        $crate::cases!(
            $with,
            delivery_store,
            [
                due_deliveries_are_claimed_those_due_longest_first,
                a_claim_keeps_others_away_until_it_runs_out,
                concurrent_claims_never_overlap,
                adding_again_changes_nothing,
                concurrent_adds_of_the_same_add_once,
                what_is_sent_or_failed_never_comes_back,
                what_is_to_be_retried_comes_back_when_due,
                a_late_word_does_not_undo_sent,
                of_two_words_the_final_one_counts,
                a_late_word_leaves_the_next_claim_alone,
                a_late_final_word_counts,
                of_two_pending_words_that_of_the_newest_claim_counts,
                what_is_put_back_has_not_been_tried,
                next_due_is_the_soonest_that_no_one_claimed,
                an_empty_store_has_nothing_to_do,
            ]
        );
    };
}

const LEASE: Duration = Duration::from_secs(60);

fn key(n: u64) -> DeliveryKey {
    DeliveryKey { order_id: order_id(n), version: Version::new(n + 1), template: "paid".to_owned() }
}

/// The n-th delivery, due `due` seconds after the beginning.
fn delivery(n: u64, due: i64) -> NewDelivery {
    NewDelivery {
        key: key(n),
        state_change: Bytes::from(format!("change {n}\0")),
        due_at: at(due),
        traceparent: traceparent(n),
    }
}

/// Every other delivery is part of a trace.
fn traceparent(n: u64) -> Option<Traceparent> {
    Traceparent::new(u128::from(n % 2) << 100, n, 1)
}

/// The n-th delivery, claimed at `now` for [`LEASE`].
fn claimed(n: u64, attempts: u32, now: i64) -> Delivery {
    Delivery {
        key: key(n),
        state_change: Bytes::from(format!("change {n}\0")),
        attempts,
        claimed_until: at(now) + LEASE,
        traceparent: traceparent(n),
    }
}

/// What is said of the n-th, claimed at `claimed_at`.
fn word(n: u64, claimed_at: i64, result: DeliveryResult) -> Finished {
    Finished { key: key(n), claimed_until: at(claimed_at) + LEASE, result }
}

fn retry(due: i64) -> DeliveryResult {
    DeliveryResult::Retry { due_at: at(due), error: "timed out".to_owned() }
}

fn put_back() -> DeliveryResult {
    DeliveryResult::PutBack { error: "the server went away".to_owned() }
}

async fn claim(store: &dyn DeliveryStore, now: i64, limit: usize) -> Vec<Delivery> {
    store.claim(at(now), LEASE, limit).await.unwrap()
}

/// Due means due at `now` or before; no more than `limit`.
pub async fn due_deliveries_are_claimed_those_due_longest_first(store: &dyn DeliveryStore) {
    store.add(&[delivery(1, 30), delivery(2, 10), delivery(3, 20), delivery(4, 99)]).await.unwrap();
    assert_eq!(claim(store, 9, 10).await, []);
    assert_eq!(claim(store, 10, 10).await, [claimed(2, 1, 10)]);
    assert_eq!(claim(store, 50, 1).await, [claimed(3, 1, 50)]);
    assert_eq!(claim(store, 50, 10).await, [claimed(1, 1, 50)]);
    assert_eq!(store.counts().await.unwrap(), (4, 0, 0));
    assert_eq!(store.pending().await.unwrap(), 4);
}

/// A sender that died does not keep its mails for ever.
pub async fn a_claim_keeps_others_away_until_it_runs_out(store: &dyn DeliveryStore) {
    store.add(&[delivery(1, 0)]).await.unwrap();
    assert_eq!(claim(store, 0, 10).await, [claimed(1, 1, 0)]);
    assert_eq!(claim(store, 59, 10).await, []);
    assert_eq!(claim(store, 61, 10).await, [claimed(1, 2, 61)]);
    assert_eq!(claim(store, 62, 10).await, []);
    assert_eq!(store.counts().await.unwrap(), (1, 0, 0));
}

/// However many senders ask at once, each mail goes to one of them (promise 7).
pub async fn concurrent_claims_never_overlap(store: &dyn DeliveryStore) {
    let all: Vec<_> = (0..300).map(|n| delivery(n, 0)).collect();
    store.add(&all).await.unwrap();
    let mut seen = BTreeSet::new();
    loop {
        let claims = join_all((0..8).map(|_| claim(store, 1, 20))).await;
        let claims: Vec<_> = claims.into_iter().flatten().collect();
        if claims.is_empty() {
            break;
        }
        for delivery in claims {
            assert_eq!(delivery.attempts, 1, "{:?}", delivery.key);
            assert!(seen.insert(delivery.key.order_id), "{:?} was claimed twice", delivery.key);
        }
    }
    assert_eq!(seen.len(), 300);
}

/// In whatever status it is.
pub async fn adding_again_changes_nothing(store: &dyn DeliveryStore) {
    let first = [delivery(1, 0), delivery(2, 0), delivery(3, 0)];
    store.add(&first).await.unwrap();
    let other = NewDelivery { state_change: Bytes::from_static(b"other"), ..delivery(3, 5) };
    store.add(&[other.clone(), other]).await.unwrap();
    let mut all = claim(store, 0, 10).await;
    all.sort_by_key(|delivery| delivery.key.version);
    assert_eq!(all, [claimed(1, 1, 0), claimed(2, 1, 0), claimed(3, 1, 0)]);

    let failed = DeliveryResult::Failed { error: "no such mailbox".to_owned() };
    store.finish(at(1), &[word(1, 0, DeliveryResult::Sent), word(2, 0, failed)]).await.unwrap();
    store.add(&first).await.unwrap();
    assert_eq!(store.counts().await.unwrap(), (1, 1, 1));
    assert_eq!(claim(store, 2, 10).await, []);

    // Another template of the same change is another mail.
    let mut template = delivery(1, 0);
    template.key.template = "placed".to_owned();
    store.add(&[template.clone(), template]).await.unwrap();
    assert_eq!(store.counts().await.unwrap(), (2, 1, 1));
}

/// Two mailers may read the same change after a rebalance.
pub async fn concurrent_adds_of_the_same_add_once(store: &dyn DeliveryStore) {
    let forth: Vec<_> = (0..200).map(|n| delivery(n, 0)).collect();
    let back: Vec<_> = forth.iter().rev().cloned().collect();
    let adds = [&forth, &back, &forth, &back].map(|deliveries| store.add(deliveries));
    for added in join_all(adds).await {
        added.unwrap();
    }
    assert_eq!(store.counts().await.unwrap(), (200, 0, 0));
}

/// Both are final.
pub async fn what_is_sent_or_failed_never_comes_back(store: &dyn DeliveryStore) {
    store.add(&[delivery(1, 0), delivery(2, 0)]).await.unwrap();
    assert_eq!(claim(store, 0, 10).await.len(), 2);
    let failed = DeliveryResult::Failed { error: "550 no such mailbox\0".to_owned() };
    store.finish(at(1), &[word(2, 0, failed), word(1, 0, DeliveryResult::Sent)]).await.unwrap();
    assert_eq!(claim(store, 100_000, 10).await, []);
    assert_eq!(store.counts().await.unwrap(), (0, 1, 1));
    assert_eq!(store.next_due().await.unwrap(), None);
}

/// Not before, however long the claim would have lasted.
pub async fn what_is_to_be_retried_comes_back_when_due(store: &dyn DeliveryStore) {
    store.add(&[delivery(1, 0), delivery(2, 0)]).await.unwrap();
    assert_eq!(claim(store, 0, 10).await.len(), 2);
    store.finish(at(1), &[word(1, 0, retry(20)), word(2, 0, retry(500))]).await.unwrap();
    assert_eq!(store.next_due().await.unwrap(), Some(at(20)));
    assert_eq!(claim(store, 19, 10).await, []);
    assert_eq!(claim(store, 21, 10).await, [claimed(1, 2, 21)]);
    assert_eq!(claim(store, 499, 1).await, [claimed(1, 3, 499)]);
    assert_eq!(claim(store, 501, 10).await, [claimed(2, 2, 501)]);
    assert_eq!(store.counts().await.unwrap(), (2, 0, 0));
}

/// A sender whose claim ran out may report after the next one did.
pub async fn a_late_word_does_not_undo_sent(store: &dyn DeliveryStore) {
    store.add(&[delivery(1, 0)]).await.unwrap();
    assert_eq!(claim(store, 0, 10).await.len(), 1);
    store.finish(at(1), &[word(1, 0, DeliveryResult::Sent)]).await.unwrap();
    store.finish(at(2), &[word(1, 0, retry(5))]).await.unwrap();
    assert_eq!(claim(store, 10, 10).await, []);
    assert_eq!(store.counts().await.unwrap(), (0, 1, 0));
    assert_eq!(store.pending().await.unwrap(), 0);
}

/// A sender whose claim ran out may have claimed the mail once more before it speaks.
pub async fn of_two_words_the_final_one_counts(store: &dyn DeliveryStore) {
    store.add(&[delivery(1, 0), delivery(2, 0), delivery(3, 0)]).await.unwrap();
    assert_eq!(claim(store, 0, 10).await.len(), 3);
    let words = [
        word(2, 0, retry(5)),
        word(1, 0, DeliveryResult::Sent),
        word(2, 0, DeliveryResult::Sent),
        word(3, 0, retry(5)),
        word(1, 0, retry(5)),
    ];
    store.finish(at(1), &words).await.unwrap();
    assert_eq!(store.counts().await.unwrap(), (1, 2, 0));
    assert_eq!(claim(store, 6, 10).await, [claimed(3, 2, 6)]);
}

/// Its sender could not reach the store for longer than its claim lasted; the next one is sending.
pub async fn a_late_word_leaves_the_next_claim_alone(store: &dyn DeliveryStore) {
    store.add(&[delivery(1, 0), delivery(2, 0)]).await.unwrap();
    assert_eq!(claim(store, 0, 10).await.len(), 2);
    assert_eq!(claim(store, 61, 10).await, [claimed(1, 2, 61), claimed(2, 2, 61)]);
    store.finish(at(62), &[word(1, 0, retry(70)), word(2, 0, put_back())]).await.unwrap();
    assert_eq!(claim(store, 100, 10).await, []);
    assert_eq!(store.next_due().await.unwrap(), None);
    store.finish(at(101), &[word(1, 61, retry(101)), word(2, 61, put_back())]).await.unwrap();
    assert_eq!(claim(store, 102, 10).await, [claimed(1, 3, 102), claimed(2, 2, 102)]);
}

/// The server has the mail, whoever sends it now.
pub async fn a_late_final_word_counts(store: &dyn DeliveryStore) {
    store.add(&[delivery(1, 0)]).await.unwrap();
    assert_eq!(claim(store, 0, 10).await.len(), 1);
    assert_eq!(claim(store, 61, 10).await.len(), 1);
    store.finish(at(62), &[word(1, 0, DeliveryResult::Sent)]).await.unwrap();
    store.finish(at(63), &[word(1, 61, put_back())]).await.unwrap();
    assert_eq!(store.counts().await.unwrap(), (0, 1, 0));
    assert_eq!(claim(store, 1_000, 10).await, []);
}

/// Both may be said with one note, by a sender who claimed the mail twice.
pub async fn of_two_pending_words_that_of_the_newest_claim_counts(store: &dyn DeliveryStore) {
    store.add(&[delivery(1, 0), delivery(2, 0)]).await.unwrap();
    assert_eq!(claim(store, 0, 10).await.len(), 2);
    assert_eq!(claim(store, 61, 10).await.len(), 2);
    let words = [
        word(1, 0, retry(70)),
        word(1, 61, retry(90)),
        word(2, 61, retry(90)),
        word(2, 0, retry(70)),
    ];
    store.finish(at(62), &words).await.unwrap();
    assert_eq!(claim(store, 89, 10).await, []);
    assert_eq!(claim(store, 90, 10).await, [claimed(1, 3, 90), claimed(2, 3, 90)]);
}

/// However often a server goes away, that makes no mail fail. A claim that only ran out does count: who had it may have died of it.
pub async fn what_is_put_back_has_not_been_tried(store: &dyn DeliveryStore) {
    store.add(&[delivery(1, 0)]).await.unwrap();
    for now in 1..=5 {
        assert_eq!(claim(store, now, 10).await, [claimed(1, 1, now)]);
        assert_eq!(store.next_due().await.unwrap(), None);
        store.finish(at(now), &[word(1, now, put_back())]).await.unwrap();
        assert_eq!(store.next_due().await.unwrap(), Some(at(now)));
    }
    assert_eq!(claim(store, 6, 10).await, [claimed(1, 1, 6)]);
    assert_eq!(claim(store, 66, 10).await, [claimed(1, 2, 66)]);
    store.finish(at(67), &[word(1, 66, put_back())]).await.unwrap();
    assert_eq!(claim(store, 67, 10).await, [claimed(1, 2, 67)]);
}

/// Claimed ones are someone else's business.
pub async fn next_due_is_the_soonest_that_no_one_claimed(store: &dyn DeliveryStore) {
    store.add(&[delivery(1, 30), delivery(2, 10), delivery(3, 20)]).await.unwrap();
    assert_eq!(store.next_due().await.unwrap(), Some(at(10)));
    assert_eq!(claim(store, 15, 10).await, [claimed(2, 1, 15)]);
    assert_eq!(store.next_due().await.unwrap(), Some(at(20)));
    assert_eq!(claim(store, 40, 10).await.len(), 2);
    assert_eq!(store.next_due().await.unwrap(), None);
}

/// No deliveries, no errors.
pub async fn an_empty_store_has_nothing_to_do(store: &dyn DeliveryStore) {
    store.add(&[]).await.unwrap();
    store.finish(at(0), &[]).await.unwrap();
    assert_eq!(claim(store, 0, 10).await, []);
    assert_eq!(store.next_due().await.unwrap(), None);
    assert_eq!(store.counts().await.unwrap(), (0, 0, 0));
}
