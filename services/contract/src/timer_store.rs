//! Cases for [`ports::TimerStore`]: the newest version of an order decides which timers it has.

use std::{collections::BTreeSet, time::Duration};

use events::Version;
use futures::future::join_all;
use ports::{Timer, TimerKey, TimerKind, TimerStore};
use testkit::sample::{at, order_id};

/// Makes a test of every case; `$with` hands each a fresh, prepared [`ports::TimerStore`].
#[macro_export]
macro_rules! timer_store {
    ($with:path) => {
        $crate::cases!(
            $with,
            timer_store,
            [
                due_timers_are_claimed_those_due_longest_first,
                a_claim_keeps_others_away_until_it_runs_out,
                concurrent_claims_never_overlap,
                every_kind_and_amount_is_kept,
                a_newer_version_replaces_all_timers_of_its_order,
                an_older_version_comes_too_late,
                an_order_without_timers_keeps_its_version,
                one_call_may_name_an_order_twice,
                concurrent_replacements_leave_the_newest,
                fired_timers_are_gone,
                fired_leaves_what_a_newer_version_set,
                a_replaced_timer_is_not_held_by_the_old_claim,
                next_due_is_the_soonest_that_no_one_claimed,
                an_empty_store_has_nothing_to_do,
            ]
        );
    };
}

const LEASE: Duration = Duration::from_secs(60);

fn timer(order: u64, version: u64, kind: TimerKind, due: i64) -> Timer {
    Timer {
        key: TimerKey { order_id: order_id(order), kind },
        version: Version::new(version),
        due_at: at(due),
        amount: None,
    }
}

/// Replaces the timers of one order.
async fn replace(store: &dyn TimerStore, order: u64, version: u64, timers: &[Timer]) {
    let change = (order_id(order), Version::new(version), timers.to_vec());
    store.replace(&[change]).await.unwrap();
}

async fn claim(store: &dyn TimerStore, now: i64, limit: usize) -> Vec<Timer> {
    store.claim(at(now), LEASE, limit).await.unwrap()
}

/// Due means due at `now` or before; no more than `limit`.
pub async fn due_timers_are_claimed_those_due_longest_first(store: &dyn TimerStore) {
    let timers = [(1, 30), (2, 10), (3, 20), (4, 99)]
        .map(|(order, due)| timer(order, 1, TimerKind::Prepare, due));
    for (order, timer) in (1..).zip(timers.clone()) {
        replace(store, order, 1, &[timer]).await;
    }
    let [first, second, third, _] = timers;
    let overdue = async |now| store.overdue(at(now)).await.unwrap();
    assert_eq!((overdue(9).await, overdue(10).await, overdue(50).await), (0, 1, 3));
    assert_eq!(claim(store, 9, 10).await, []);
    assert_eq!(claim(store, 10, 10).await, [second]);
    assert_eq!(claim(store, 50, 1).await, [third]);
    assert_eq!(claim(store, 50, 10).await, [first]);
    assert_eq!(store.count().await.unwrap(), 4);
    assert_eq!(overdue(50).await, 3, "a claim does not fire it");
}

/// A worker that died does not keep its timers for ever.
pub async fn a_claim_keeps_others_away_until_it_runs_out(store: &dyn TimerStore) {
    let timer = timer(1, 1, TimerKind::Complete, 0);
    replace(store, 1, 1, std::slice::from_ref(&timer)).await;
    assert_eq!(claim(store, 0, 10).await, std::slice::from_ref(&timer));
    assert_eq!(claim(store, 59, 10).await, []);
    assert_eq!(claim(store, 61, 10).await, [timer]);
    assert_eq!(claim(store, 62, 10).await, []);
}

/// However many workers ask at once, each timer goes to one of them.
pub async fn concurrent_claims_never_overlap(store: &dyn TimerStore) {
    let all: Vec<_> = (0..300)
        .map(|n| (order_id(n), Version::FIRST, vec![timer(n, 1, TimerKind::Ship, 0)]))
        .collect();
    store.replace(&all).await.unwrap();
    let mut seen = BTreeSet::new();
    loop {
        let claims = join_all((0..8).map(|_| claim(store, 1, 20))).await;
        let claims: Vec<_> = claims.into_iter().flatten().collect();
        if claims.is_empty() {
            break;
        }
        for timer in claims {
            assert!(seen.insert(timer.key.order_id), "{:?} was claimed twice", timer.key);
        }
    }
    assert_eq!(seen.len(), 300);
}

/// Several timers of one order at once.
pub async fn every_kind_and_amount_is_kept(store: &dyn TimerStore) {
    let mut timers: Vec<_> =
        (0..).zip(TimerKind::ALL).map(|(due, kind)| timer(1, 7, kind, due)).collect();
    timers[0].amount = Some((35_970, "CLP".to_owned()));
    timers[1].amount = Some((0, "EUR".to_owned()));
    replace(store, 1, 7, &timers).await;
    assert_eq!(claim(store, 100, 100).await, timers);
}

/// Others' timers stay.
pub async fn a_newer_version_replaces_all_timers_of_its_order(store: &dyn TimerStore) {
    let of_other = timer(2, 1, TimerKind::Pay, 5);
    replace(store, 2, 1, std::slice::from_ref(&of_other)).await;
    let first = [timer(1, 1, TimerKind::Pay, 1), timer(1, 1, TimerKind::CancelUnpaid, 2)];
    replace(store, 1, 1, &first).await;
    assert_eq!(store.count().await.unwrap(), 3);
    let second = timer(1, 2, TimerKind::Prepare, 3);
    replace(store, 1, 2, std::slice::from_ref(&second)).await;
    replace(store, 1, 2, std::slice::from_ref(&second)).await;
    assert_eq!(store.count().await.unwrap(), 2);
    assert_eq!(claim(store, 100, 10).await, [second, of_other]);
}

/// A repeat of an old state change must not bring back what is over.
pub async fn an_older_version_comes_too_late(store: &dyn TimerStore) {
    let newer = timer(1, 5, TimerKind::Ship, 1);
    replace(store, 1, 5, std::slice::from_ref(&newer)).await;
    replace(store, 1, 4, &[timer(1, 4, TimerKind::Pay, 1)]).await;
    replace(store, 1, 3, &[]).await;
    assert_eq!(claim(store, 100, 10).await, [newer]);
}

/// As an order has that is over.
pub async fn an_order_without_timers_keeps_its_version(store: &dyn TimerStore) {
    replace(store, 1, 1, &[timer(1, 1, TimerKind::Pay, 1)]).await;
    replace(store, 1, 3, &[]).await;
    assert_eq!(store.count().await.unwrap(), 0);
    replace(store, 1, 2, &[timer(1, 2, TimerKind::Prepare, 1)]).await;
    assert_eq!(store.count().await.unwrap(), 0);
    replace(store, 2, 9, &[]).await;
    replace(store, 2, 8, &[timer(2, 8, TimerKind::Pay, 1)]).await;
    assert_eq!(store.count().await.unwrap(), 0);
}

/// A batch of state changes may hold several of one order; the newest counts.
pub async fn one_call_may_name_an_order_twice(store: &dyn TimerStore) {
    let change = |version, timers: &[Timer]| (order_id(1), Version::new(version), timers.to_vec());
    let newest = timer(1, 3, TimerKind::Ship, 3);
    store
        .replace(&[
            change(1, &[timer(1, 1, TimerKind::Pay, 1)]),
            change(3, std::slice::from_ref(&newest)),
            change(2, &[timer(1, 2, TimerKind::Prepare, 2)]),
        ])
        .await
        .unwrap();
    assert_eq!(claim(store, 100, 10).await, [newest]);
}

/// Two members of a group may work on the same orders for a moment, in whatever order.
pub async fn concurrent_replacements_leave_the_newest(store: &dyn TimerStore) {
    let changes = |version: u64| -> Vec<_> {
        let change =
            |n| (order_id(n), Version::new(version), vec![timer(n, version, TimerKind::Pay, 1)]);
        if version.is_multiple_of(2) {
            (0..50).map(change).collect()
        } else {
            (0..50).rev().map(change).collect()
        }
    };
    let changes: Vec<_> = (1..=8).map(changes).collect();
    for replaced in join_all(changes.iter().map(|changes| store.replace(changes))).await {
        replaced.unwrap();
    }
    let timers = claim(store, 100, 1_000).await;
    assert_eq!(timers.len(), 50);
    assert!(timers.iter().all(|timer| timer.version == Version::new(8)), "{timers:?}");
}

/// And with them nothing else.
pub async fn fired_timers_are_gone(store: &dyn TimerStore) {
    let timers = [timer(1, 1, TimerKind::Pay, 1), timer(1, 1, TimerKind::CancelUnpaid, 2)];
    replace(store, 1, 1, &timers).await;
    store.fired(&claim(store, 1, 10).await).await.unwrap();
    assert_eq!(store.count().await.unwrap(), 1);
    let [_, left] = timers;
    assert_eq!(claim(store, 1_000, 10).await, std::slice::from_ref(&left));
    store.fired(std::slice::from_ref(&left)).await.unwrap();
    store.fired(&[left]).await.unwrap();
    assert_eq!(store.count().await.unwrap(), 0);
    replace(store, 1, 0, &[timer(1, 0, TimerKind::Pay, 1)]).await;
    assert_eq!(store.count().await.unwrap(), 0, "the version outlives the timers");
}

/// The order moved while the timer fired.
pub async fn fired_leaves_what_a_newer_version_set(store: &dyn TimerStore) {
    replace(store, 1, 1, &[timer(1, 1, TimerKind::Pay, 1)]).await;
    let claimed = claim(store, 1, 10).await;
    let newer = timer(1, 2, TimerKind::Pay, 50);
    replace(store, 1, 2, std::slice::from_ref(&newer)).await;
    store.fired(&claimed).await.unwrap();
    assert_eq!(claim(store, 1_000, 10).await, [newer]);
}

/// It is another timer.
pub async fn a_replaced_timer_is_not_held_by_the_old_claim(store: &dyn TimerStore) {
    replace(store, 1, 1, &[timer(1, 1, TimerKind::Pay, 1)]).await;
    assert_eq!(claim(store, 1, 10).await.len(), 1);
    let newer = timer(1, 2, TimerKind::Pay, 2);
    replace(store, 1, 2, std::slice::from_ref(&newer)).await;
    assert_eq!(claim(store, 3, 10).await, [newer]);
}

/// Claimed ones are someone else's business.
pub async fn next_due_is_the_soonest_that_no_one_claimed(store: &dyn TimerStore) {
    for (order, due) in [(1, 30), (2, 10), (3, 20)] {
        replace(store, order, 1, &[timer(order, 1, TimerKind::Deliver, due)]).await;
    }
    assert_eq!(store.next_due().await.unwrap(), Some(at(10)));
    assert_eq!(claim(store, 15, 10).await.len(), 1);
    assert_eq!(store.next_due().await.unwrap(), Some(at(20)));
    assert_eq!(claim(store, 40, 10).await.len(), 2);
    assert_eq!(store.next_due().await.unwrap(), None);
}

/// No timers, no errors.
pub async fn an_empty_store_has_nothing_to_do(store: &dyn TimerStore) {
    store.replace(&[]).await.unwrap();
    store.fired(&[]).await.unwrap();
    assert_eq!(claim(store, 0, 10).await, []);
    assert_eq!(store.next_due().await.unwrap(), None);
    assert_eq!(store.count().await.unwrap(), 0);
}
