//! Commits: all or nothing, and only by who stands where the partition stands.

use events::Digest;
use futures::future::join_all;
use ports::{Checkpoint, Commit, CommitError, Epoch, Offset, OrderStore, Partition, Progress};
use testkit::sample::{captured, lifecycle, order_id, placed, preparation_started, shipped};

use super::batch::{
    assert_absent, batch, batch_after, next_offsets, place, progress, snapshot, step, stored,
    together,
};

/// What was committed is what is read.
pub async fn a_commit_stores_snapshot_history_and_progress(store: &dyn OrderStore) {
    store.bind_partitions(2).await.unwrap();
    let order = order_id(1);
    let commit = batch(1, 0, &lifecycle(order));
    store.commit(&commit).await.unwrap();

    assert_eq!(store.load(&[order]).await.unwrap(), [stored(&commit.snapshots[0])]);
    assert_eq!(store.history(order).await.unwrap(), commit.history);
    assert_eq!(next_offsets(store).await, [0, 6]);
}

/// Snapshots are replaced whole; history only grows.
pub async fn a_later_commit_replaces_snapshots_and_adds_history(store: &dyn OrderStore) {
    store.bind_partitions(1).await.unwrap();
    let (order, other) = (order_id(1), order_id(2));
    let before = [placed(order), captured(order), placed(other)];
    let first = batch(0, 0, &before);
    store.commit(&first).await.unwrap();
    let second = batch_after(&before, 0, 3, &[preparation_started(order), shipped(order)]);
    store.commit(&second).await.unwrap();

    assert_eq!(store.load(&[order]).await.unwrap(), [stored(&second.snapshots[0])]);
    let expected: Vec<_> =
        first.history.iter().chain(&second.history).filter(|row| row.order_id == order).collect();
    assert_eq!(store.history(order).await.unwrap().iter().collect::<Vec<_>>(), expected);
    let untouched = first.snapshots.iter().find(|row| row.order.id == other).unwrap();
    assert_eq!(store.load(&[other]).await.unwrap(), [stored(untouched)]);
    assert_eq!(next_offsets(store).await, [5]);
}

/// Offsets may have gaps with nothing to store in them.
pub async fn a_commit_may_move_partitions_alone(store: &dyn OrderStore) {
    store.bind_partitions(3).await.unwrap();
    let commit =
        Commit { partitions: vec![step(2, 0, 7), step(0, 0, 1_000_000)], ..Commit::default() };
    store.commit(&commit).await.unwrap();
    assert_eq!(next_offsets(store).await, [1_000_000, 0, 7]);
}

/// Nothing to do is no error.
pub async fn an_empty_commit_changes_nothing(store: &dyn OrderStore) {
    store.bind_partitions(1).await.unwrap();
    store.commit(&Commit::default()).await.unwrap();
    assert_eq!(next_offsets(store).await, [0]);
}

/// No limit on parameters or statement size cuts a batch short.
pub async fn a_large_commit_goes_through(store: &dyn OrderStore) {
    store.bind_partitions(1).await.unwrap();
    let orders: Vec<_> = (0..3_000).map(order_id).collect();
    let events: Vec<_> =
        orders.iter().flat_map(|order| [placed(*order), captured(*order)]).collect();
    store.commit(&batch(0, 0, &events)).await.unwrap();
    assert_eq!(store.load(&orders).await.unwrap().len(), 3_000);
    assert_eq!(store.history(orders[2_999]).await.unwrap().len(), 2);
    assert_eq!(next_offsets(store).await, [6_000]);
}

/// Promise 4: whoever lost the partition can't write any more.
pub async fn a_zombie_is_fenced_and_stores_nothing(store: &dyn OrderStore) {
    store.bind_partitions(1).await.unwrap();
    let order = order_id(1);
    store.commit(&batch(0, 0, &[placed(order), captured(order)])).await.unwrap();
    let before = snapshot(store, order).await;

    // It read the same two records, and another order's, before it was cut off.
    let zombie = batch(0, 0, &[placed(order), shipped(order), placed(order_id(2))]);
    match store.commit(&zombie).await {
        Err(CommitError::Fenced { partition, expected, found }) => {
            assert_eq!((partition, expected, found), (Partition(0), place(0), place(2)));
        }
        other => panic!("a zombie's commit must be fenced, not {other:?}"),
    }
    assert_eq!(snapshot(store, order).await, before);
    assert_eq!(snapshot(store, order_id(2)).await, None);
    assert_eq!(store.history(order).await.unwrap().len(), 2);
    assert_eq!(next_offsets(store).await, [2]);
}

/// A gap would be a lost record.
pub async fn a_projector_too_far_ahead_is_fenced(store: &dyn OrderStore) {
    store.bind_partitions(1).await.unwrap();
    let ahead = batch(0, 5, &[placed(order_id(1))]);
    let result = store.commit(&ahead).await;
    assert!(
        matches!(result, Err(CommitError::Fenced { found, .. }) if found == place(0)),
        "must be fenced: {result:?}"
    );
    assert_absent(store, &ahead).await;
    assert_eq!(next_offsets(store).await, [0]);
}

/// A commit is one transaction, whatever it spans.
pub async fn one_fenced_partition_rolls_back_the_others(store: &dyn OrderStore) {
    store.bind_partitions(3).await.unwrap();
    store.commit(&batch(2, 0, &[placed(order_id(9))])).await.unwrap();
    for stale in [[0, 2], [2, 0]] {
        let commit =
            stale.map(|partition| batch(partition, 0, &[placed(order_id(partition.into()))]));
        let [one, other] = commit;
        let commit = together(one, other);
        match store.commit(&commit).await {
            Err(CommitError::Fenced { partition, expected, found }) => {
                assert_eq!((partition, expected, found), (Partition(2), place(0), place(1)));
            }
            other => panic!("must be fenced, not {other:?}"),
        }
        assert_absent(store, &commit).await;
        assert_eq!(next_offsets(store).await, [0, 0, 1]);
    }
}

/// Its partition says that this can't be: whoever committed must read anew.
pub async fn an_order_never_gives_way_to_an_older_one(store: &dyn OrderStore) {
    store.bind_partitions(1).await.unwrap();
    let order = order_id(1);
    store.commit(&batch(0, 0, &[placed(order), captured(order)])).await.unwrap();
    let before = snapshot(store, order).await;

    let older = batch(0, 2, &[placed(order), placed(order_id(2))]);
    let stale = store.commit(&older).await;
    assert!(matches!(stale, Err(CommitError::Stale(_))), "{stale:?}");
    assert_absent(store, &older).await;
    assert_eq!(snapshot(store, order).await, before);
    assert_eq!(next_offsets(store).await, [2]);
}

/// Two owners at once, as in a rebalance gone wrong: the compare decides.
pub async fn of_racing_commits_exactly_one_wins(store: &dyn OrderStore) {
    store.bind_partitions(1).await.unwrap();
    let commits: Vec<_> = (0..8).map(|n| batch(0, 0, &[placed(order_id(n))])).collect();
    let results = join_all(commits.iter().map(|commit| store.commit(commit))).await;
    let mut winners = 0;
    for (commit, result) in commits.iter().zip(results) {
        match result {
            Ok(()) => {
                winners += 1;
                let order = commit.snapshots[0].order.id;
                assert_eq!(store.history(order).await.unwrap(), commit.history);
            }
            Err(CommitError::Fenced { found, .. }) if found == place(1) => {
                assert_absent(store, commit).await;
            }
            Err(other) => panic!("won or fenced, not {other:?}"),
        }
    }
    assert_eq!(winners, 1);
    assert_eq!(next_offsets(store).await, [1]);
}

/// Projectors that own different partitions write at the same time, in several steps each.
pub async fn commits_of_different_partitions_do_not_disturb_each_other(store: &dyn OrderStore) {
    store.bind_partitions(4).await.unwrap();
    join_all((0..4).map(async |partition| {
        let events = lifecycle(order_id(partition.into()));
        for (offset, event) in events.iter().enumerate() {
            let from = i64::try_from(offset).unwrap();
            let commit =
                batch_after(&events[..offset], partition, from, std::slice::from_ref(event));
            store.commit(&commit).await.unwrap();
        }
    }))
    .await;
    assert_eq!(next_offsets(store).await, [6, 6, 6, 6]);
    for order in (0..4).map(order_id) {
        assert_eq!(store.history(order).await.unwrap().len(), 6);
    }
}

/// The store knows how many partitions there are.
pub async fn a_partition_that_was_never_bound_takes_nothing(store: &dyn OrderStore) {
    store.bind_partitions(2).await.unwrap();
    let commit = together(batch(0, 0, &[placed(order_id(0))]), batch(2, 0, &[placed(order_id(2))]));
    store.commit(&commit).await.unwrap_err();
    assert_absent(store, &commit).await;
    assert_eq!(next_offsets(store).await, [0, 0]);
}

/// What is acknowledged stays so, whoever says less.
pub async fn announced_only_moves_forward(store: &dyn OrderStore) {
    let at = |partition, next, announced| Progress {
        partition: Partition(partition),
        next: Offset(next),
        epoch: Epoch::FIRST,
        announced: Offset(announced),
        digest: Digest::ZERO,
    };
    store.bind_partitions(2).await.unwrap();
    let mut commit = batch(0, 0, &lifecycle(order_id(1)));
    commit.partitions[0].announced = Offset(4);
    store.commit(&commit).await.unwrap();
    assert_eq!(progress(store).await, [at(0, 6, 4), at(1, 0, 0)]);

    store.announced(at(0, 6, 6)).await.unwrap();
    assert_eq!(progress(store).await, [at(0, 6, 6), at(1, 0, 0)]);
    store.announced(at(0, 6, 5)).await.unwrap();
    assert_eq!(progress(store).await, [at(0, 6, 6), at(1, 0, 0)]);
    let zombie = store.announced(at(0, 5, 5)).await;
    assert!(matches!(zombie, Err(CommitError::Fenced { .. })), "{zombie:?}");

    let late = Commit { partitions: vec![step(0, 6, 8)], ..Commit::default() };
    store.commit(&late).await.unwrap();
    assert_eq!(progress(store).await, [at(0, 8, 6), at(1, 0, 0)]);
}

/// With the step that they belong to, or not at all.
pub async fn the_chain_and_its_checkpoints_are_kept(store: &dyn OrderStore) {
    store.bind_partitions(2).await.unwrap();
    assert_eq!(progress(store).await[1].digest, Digest::ZERO);
    let checkpoint = |partition, next: i64| Checkpoint {
        partition: Partition(partition),
        next: Offset(next),
        digest: Digest::of(&next.to_be_bytes()),
    };
    let mut commit = batch(1, 0, &lifecycle(order_id(1)));
    commit.partitions[0].digest = Digest::of(b"head");
    commit.checkpoints = vec![checkpoint(1, 2), checkpoint(1, 4), checkpoint(1, 6)];
    store.commit(&commit).await.unwrap();
    let zombie = Commit { checkpoints: vec![checkpoint(1, 8)], ..batch(1, 0, &[]) };
    store.commit(&zombie).await.unwrap_err();

    let found = progress(store).await;
    assert_eq!((found[0].digest, found[1].digest), (Digest::ZERO, Digest::of(b"head")));
    let page =
        async |after, limit| store.checkpoints(Partition(1), Offset(after), limit).await.unwrap();
    assert_eq!(page(0, 2).await, [checkpoint(1, 2), checkpoint(1, 4)]);
    assert_eq!(page(4, 9).await, [checkpoint(1, 6)]);
    assert_eq!(store.checkpoints(Partition(0), Offset(0), 9).await.unwrap(), []);
}
