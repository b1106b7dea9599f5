//! What can be read, and what `prepare` and `bind_partitions` promise.

use std::collections::BTreeMap;

use events::{Digest, State};
use ports::{Commit, Epoch, Offset, OrderStore, Partition, Progress, StoreError};
use testkit::sample::{
    cancelled, captured, folded, lifecycle, order_id, placed, preparation_started, shipped,
};

use super::batch::{batch, batch_after, position, progress, snapshot_row, step, stored, together};

/// Bound partitions start at 0; asking for some gives those.
pub async fn progress_starts_at_the_beginning_of_every_partition(store: &dyn OrderStore) {
    assert_eq!(progress(store).await, [], "no partition before any is bound");
    store.bind_partitions(3).await.unwrap();
    let at_start = |partition| Progress {
        partition: Partition(partition),
        next: Offset::START,
        epoch: Epoch::FIRST,
        announced: Offset::START,
        digest: Digest::ZERO,
    };
    assert_eq!(progress(store).await, [at_start(0), at_start(1), at_start(2)]);
    assert_eq!(store.progress(&[Partition(1)]).await.unwrap(), [at_start(1)]);
    assert_eq!(store.progress(&[Partition(9)]).await.unwrap(), []);
}

/// Orders would move between partitions.
pub async fn binding_another_number_of_partitions_is_refused(store: &dyn OrderStore) {
    store.bind_partitions(3).await.unwrap();
    store.commit(&batch(1, 0, &[placed(order_id(1))])).await.unwrap();
    store.bind_partitions(3).await.unwrap();
    for other in [1, 2, 4, 60] {
        match store.bind_partitions(other).await {
            Err(StoreError::Corrupt(what)) => {
                assert!(what.contains('3'), "must say how many there were: {what}");
            }
            bound => panic!("{other} partitions instead of 3 must be refused, not {bound:?}"),
        }
    }
    let next: Vec<_> = progress(store).await.into_iter().map(|progress| progress.next.0).collect();
    assert_eq!(next, [0, 1, 0]);
}

/// An upgrade that finds nothing to do does nothing.
pub async fn preparing_again_keeps_everything(store: &dyn OrderStore) {
    store.bind_partitions(1).await.unwrap();
    let commit = batch(0, 0, &lifecycle(order_id(1)));
    store.commit(&commit).await.unwrap();
    let (one, other) = futures::join!(store.prepare(), store.prepare());
    one.unwrap();
    other.unwrap();
    assert_eq!(store.load(&[order_id(1)]).await.unwrap(), [stored(&commit.snapshots[0])]);
    assert_eq!(store.history(order_id(1)).await.unwrap(), commit.history);
}

/// Not being there is no error.
pub async fn unknown_orders_are_left_out(store: &dyn OrderStore) {
    store.bind_partitions(1).await.unwrap();
    let commit = batch(0, 0, &[placed(order_id(1)), placed(order_id(2))]);
    store.commit(&commit).await.unwrap();
    assert_eq!(store.load(&[]).await.unwrap(), []);
    assert_eq!(store.load(&[order_id(8)]).await.unwrap(), []);
    let mut found = store.load(&[order_id(8), order_id(2), order_id(1)]).await.unwrap();
    found.sort_by_key(|snapshot| snapshot.position);
    let mut expected: Vec<_> = commit.snapshots.iter().map(stored).collect();
    expected.sort_by_key(|snapshot| snapshot.position);
    assert_eq!(found, expected);
    assert_eq!(store.history(order_id(8)).await.unwrap(), []);
}

/// By offset, however the rows came in.
pub async fn history_comes_in_log_order(store: &dyn OrderStore) {
    store.bind_partitions(1).await.unwrap();
    let events = lifecycle(order_id(1));
    let mut first = batch(0, 0, &events[..4]);
    first.history.reverse();
    store.commit(&first).await.unwrap();
    let mut second = batch_after(&events[..4], 0, 4, &events[4..]);
    second.history.reverse();
    store.commit(&second).await.unwrap();
    let offsets: Vec<_> =
        store.history(order_id(1)).await.unwrap().iter().map(|row| row.position.offset.0).collect();
    assert_eq!(offsets, [0, 1, 2, 3, 4, 5]);
}

/// In log order, whoever they are of; not those of other partitions.
pub async fn the_rows_of_a_partition_come_in_pages(store: &dyn OrderStore) {
    store.bind_partitions(2).await.unwrap();
    let events = [placed(order_id(1)), placed(order_id(2)), captured(order_id(1))];
    let here = batch(0, 0, &events);
    store.commit(&here).await.unwrap();
    store.commit(&batch(1, 0, &[placed(order_id(3))])).await.unwrap();
    let rows = async |from, until, limit| {
        store.rows(Partition(0), Offset(from), Offset(until), limit).await.unwrap()
    };
    assert_eq!(rows(0, 9, 9).await, here.history);
    assert_eq!(rows(1, 9, 1).await, here.history[1..2]);
    assert_eq!(rows(0, 2, 9).await, here.history[..2]);
    assert_eq!(rows(3, 9, 9).await, []);
}

/// Each order once, with its lowest offset from there on; other partitions don't count.
pub async fn touched_orders_come_once_in_log_order(store: &dyn OrderStore) {
    store.bind_partitions(2).await.unwrap();
    let [a, b, c, unknown] = [1, 2, 3, 4].map(order_id);
    let elsewhere = batch(1, 0, &[placed(order_id(5)), placed(order_id(6))]);
    let here = batch(
        0,
        0,
        &[placed(a), placed(b), captured(b), placed(c), shipped(unknown), cancelled(a), shipped(b)],
    );
    store.commit(&together(here, elsewhere)).await.unwrap();

    let touched = async |from, limit| {
        let touched = store.touched_since(Partition(0), Offset(from), limit).await.unwrap();
        touched.into_iter().map(|(order, offset)| (order, offset.0)).collect::<Vec<_>>()
    };
    assert_eq!(touched(0, 10).await, [(a, 0), (b, 1), (c, 3), (unknown, 4)]);
    assert_eq!(touched(1, 10).await, [(b, 1), (c, 3), (unknown, 4), (a, 5)]);
    assert_eq!(touched(2, 2).await, [(b, 2), (c, 3)]);
    assert_eq!(touched(6, 10).await, [(b, 6)]);
    assert_eq!(touched(7, 10).await, []);
}

/// Page after page, nothing twice, nothing left out.
pub async fn a_scan_sees_every_order_once_in_order_of_ids(store: &dyn OrderStore) {
    store.bind_partitions(1).await.unwrap();
    let mut expected: Vec<_> = (0..25)
        .map(|n| snapshot_row(&folded(&[placed(order_id(n))]), position(0, n.try_into().unwrap())))
        .collect();
    let commit = Commit {
        partitions: vec![step(0, 0, 25)],
        snapshots: expected.clone(),
        ..Commit::default()
    };
    store.commit(&commit).await.unwrap();
    expected.sort_by_key(|row| row.order.id);

    let mut scanned = Vec::new();
    loop {
        let after = scanned.last().map(|last: &ports::StoredSnapshot| last.order_id);
        let page = store.scan(after, 10).await.unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 10);
        scanned.extend(page);
    }
    assert_eq!(scanned, expected.iter().map(stored).collect::<Vec<_>>());
}

/// One count a state.
pub async fn orders_are_counted_by_state(store: &dyn OrderStore) {
    let counted = async || -> BTreeMap<State, u64> {
        let counts = store.count_by_state().await.unwrap();
        counts.into_iter().filter(|(_, count)| *count > 0).collect()
    };
    store.bind_partitions(1).await.unwrap();
    assert_eq!(counted().await, BTreeMap::new());

    let [a, b, c] = [1, 2, 3].map(order_id);
    let before = [placed(a), placed(b), placed(c), captured(c)];
    store.commit(&batch(0, 0, &before)).await.unwrap();
    assert_eq!(counted().await, BTreeMap::from([(State::Placed, 2), (State::Paid, 1)]));

    let after = [preparation_started(b), preparation_started(c)];
    store.commit(&batch_after(&before, 0, 4, &after)).await.unwrap();
    assert_eq!(counted().await, BTreeMap::from([(State::Placed, 1), (State::Preparing, 2)]));
}

/// A store in order answers.
pub async fn a_store_that_answers_says_so(store: &dyn OrderStore) {
    store.ping().await.unwrap();
}
