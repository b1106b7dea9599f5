//! Projectors that come, go and share the work, while events keep coming.

use ports::{Commit, NewRecord, OrderStore as _, SnapshotRow, Topic};
use projector::Settings;
use testkit::{log, sample, wait_for};

use crate::{
    story::{interleave, one_in_each_partition, record, story},
    world::{PATIENCE, World},
};

/// The lives of these orders, interleaved.
fn lives(orders: std::ops::Range<u64>) -> Vec<NewRecord> {
    interleave(orders.map(|n| sample::lifecycle(sample::order_id(n)).into_iter()).collect())
        .iter()
        .map(record)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn projectors_come_and_go_in_mid_flow() {
    let world = World::open().await;
    let first = world.start(Settings::default());
    world.append(lives(1000..1100)).await;
    // No waiting in between: partitions change hands while batches are under way.
    let second = world.start(Settings { workers: 2 });
    world.append(lives(1100..1300)).await;
    first.stop().await;
    world.append(lives(1300..1400)).await;
    let third = world.start(Settings::default());
    second.stop().await;
    world.append(story()).await;
    world.until_folded().await;
    third.stop().await;
    world.check(false).await;
}

/// What it had in hand is folded, announced and written down: the next one has nothing to make up for.
#[tokio::test]
async fn stopping_leaves_nothing_undone() {
    let world = World::open().await;
    world.append(lives(1..200)).await;
    let running = world.start(Settings::default());
    wait_for("something is folded", PATIENCE, async || {
        world.progress().await.iter().any(|at| at.next.0 > 0).then_some(())
    })
    .await;
    running.stop().await;
    for at in world.progress().await {
        assert_eq!(at.announced, at.next, "partition {}", at.partition);
    }
    let told = log::read_all(world.log.as_ref(), Topic::StateChanged).await.len();
    let folded: i64 = world.progress().await.iter().map(|at| at.next.0).sum();
    assert_eq!(i64::try_from(told).unwrap(), folded, "every event of these is told once");
}

/// More orders than are looked at in one go, each of which comes again later on.
#[tokio::test]
async fn what_is_announced_again_is_announced_once() {
    let world = World::open().await;
    let orders: Vec<_> = (0..1_800).map(sample::order_id).collect();
    let placed = orders.iter().map(|order| record(&sample::placed(*order)));
    let captured = orders.iter().map(|order| record(&sample::captured(*order)));
    world.append(placed.chain(captured).collect()).await;
    world.rival().fold(usize::MAX).await;
    let running = world.start(Settings::default());
    wait_for("everything is announced", PATIENCE, async || {
        world.progress().await.iter().all(|at| at.announced == at.next).then_some(())
    })
    .await;
    running.stop().await;
    world.check(false).await;
    let told = log::read_all(world.log.as_ref(), Topic::StateChanged).await.len();
    assert_eq!(told, 2 * orders.len());
}

#[tokio::test]
async fn stopping_before_anything_came_is_fine() {
    let world = World::open().await;
    world.start(Settings { workers: 0 }).stop().await;
    world.check(false).await;
}

/// Whatever their number: they are derived page by page.
#[tokio::test]
async fn what_a_dead_projector_did_not_announce_is_announced() {
    let world = World::open().await;
    let placed = |n| record(&sample::placed(sample::order_id(n)));
    world.append((1_000..3_000).map(placed).collect()).await;
    world.append(lives(3_000..3_005)).await;
    world.rival().fold(usize::MAX).await;
    world.append(one_in_each_partition()).await;
    let running = world.start(Settings::default());
    world.until_folded().await;
    running.stop().await;
    world.check(false).await;
}

/// Announcements are complete all the same, and whoever takes over need not look for any.
#[tokio::test]
async fn repeats_leave_nothing_to_announce() {
    let world = World::open().await;
    world.append(one_in_each_partition()).await;
    let running = world.start(Settings::default());
    world.until_folded().await;
    running.stop().await;
    world.append(one_in_each_partition()).await;
    let running = world.start(Settings::default());
    world.until_folded().await;
    running.stop().await;
    world.check(false).await;
    let told = log::read_all(world.log.as_ref(), Topic::StateChanged).await;
    assert_eq!(told.len(), one_in_each_partition().len());
}

/// Its history is whole: it is folded again, and the next event goes on from there.
#[tokio::test]
async fn a_damaged_snapshot_is_folded_again() {
    let world = World::open().await;
    let order_id = sample::order_id(1);
    let events = sample::lifecycle(order_id);
    world.append(events[..3].iter().map(record).collect()).await;
    let running = world.start(Settings::default());
    world.until_folded().await;
    running.stop().await;

    let order = sample::folded(&events[..3]);
    let position = world.store.load(&[order_id]).await.unwrap()[0].position;
    let damaged = SnapshotRow { order, bytes: b"\xff".as_slice().into(), position };
    let commit = Commit { snapshots: vec![damaged], ..Commit::default() };
    world.store.commit(&commit).await.unwrap();

    world.append(events[3..].iter().map(record).collect()).await;
    let running = world.start(Settings::default());
    world.until_folded().await;
    running.stop().await;
    world.check(false).await;
}
