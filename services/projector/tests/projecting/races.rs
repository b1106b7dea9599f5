//! Two projectors that both think that a partition is theirs, and a decision on a dead letter that one of them carries out
//! while the other has loaded what was before it, and commits later. The partition's offset is the same before and after.

use std::sync::Arc;

use bytes::Bytes;
use events::OrderId;
use ports::{Commit, Health, LetterStatus, NewRecord, OrderStore as _, SnapshotRow};
use projector::{Parts, Settings};
use testkit::{sample, wait_for};

use crate::{
    faults::{Fault, Plan},
    story::{interleave, one_in_each_partition, record},
    sweeps::sweep_through,
    world::{PATIENCE, Running, World, parts},
};

/// A record that no one can read, filed under an order.
fn garbage(order: OrderId) -> NewRecord {
    NewRecord { value: Bytes::from_static(b"\xff"), ..record(&sample::placed(order)) }
}

/// An order with two records that can't be read, and others: what is folded, and what comes then.
fn two_halves() -> (Vec<NewRecord>, Vec<NewRecord>) {
    let parked = sample::order_id(1);
    let lives = (1..5).map(|n| sample::lifecycle(sample::order_id(n)).into_iter());
    let mut lives = interleave(lives.collect());
    let rest = lives.split_off(lives.len() / 2);
    let mut folded: Vec<_> = lives.iter().map(record).collect();
    folded.insert(4, garbage(parked));
    folded.insert(9, garbage(parked));
    (folded, rest.iter().map(record).collect())
}

/// One run with a fault at call `at`; whether there was such a call.
async fn run(fault: Fault, at: usize) -> bool {
    let world = World::open().await;
    let (folded, rest) = two_halves();
    world.append(folded).await;
    world.rival().fold(usize::MAX).await;
    world.append(rest).await;
    let plan = Arc::new(Plan::new(fault, at, world.rival()));
    world.project_with(&plan).await;

    // What was wanted late the next one carries out; what the rival had in hand comes after that at the latest.
    world.append(one_in_each_partition()).await;
    let next = world.start(Settings::default());
    world.until_folded().await;
    wait_for("decisions are carried out", PATIENCE, async || {
        world.letters(LetterStatus::Discard).await.is_empty().then_some(())
    })
    .await;
    plan.commit_late().await;
    next.stop().await;
    let was_reached = plan.was_reached();
    world.start(Settings::default()).stop().await;
    // Who is overtaken while it makes up for announcements tells what it finds, and is told again by the next one.
    world.check(fault == Fault::Decided).await;
    was_reached
}

/// A batch that was folded before comes after: its rows would be parked, and no letter would be left to free them. Nor may
/// what the decision took back count as announced.
#[tokio::test]
async fn decisions_may_be_carried_out_by_the_next_owner_at_any_time() {
    sweep_through(Fault::Decided, run).await;
}

/// The other way round: the former owner has a batch in hand.
#[tokio::test]
async fn a_former_owner_may_commit_a_batch_after_any_decision() {
    sweep_through(Fault::FoldedLate, run).await;
}

/// Or another decision on the same order.
#[tokio::test]
async fn a_former_owner_may_commit_a_decision_after_any_other() {
    sweep_through(Fault::DecidedLate, run).await;
}

/// What the store refuses though no one was in between is folded anew, and told of if that does not help.
#[tokio::test]
async fn what_is_refused_again_and_again_is_told_and_goes_on_once_it_is_right() {
    let world = World::open().await;
    let order_id = sample::order_id(1);
    let events = sample::lifecycle(order_id);
    world.append(events[..3].iter().map(record).collect()).await;
    world.rival().fold(usize::MAX).await;
    // Damaged, and said to be newer than its history is.
    let position = world.store.load(&[order_id]).await.unwrap()[0].position;
    let damaged = SnapshotRow {
        order: sample::folded(&events[..5]),
        bytes: Bytes::from_static(b"\xff"),
        position,
    };
    let commit = Commit { snapshots: vec![damaged], ..Commit::default() };
    world.store.commit(&commit).await.unwrap();

    let health = Health::default();
    let (log, store) = (Arc::clone(&world.log), Arc::clone(&world.store));
    let parts = Parts { health: health.reporter("projector"), ..parts(log, store.clone(), store) };
    let running = Running::start(parts, Settings::default());
    let says = async |wanted: fn(&str) -> bool| {
        wait_for("its health says so", PATIENCE, async || {
            let why = health.roles().pop().unwrap().1.unwrap_or_default();
            wanted(&why).then_some(())
        })
        .await;
    };
    says(str::is_empty).await;
    world.append(vec![record(&events[3])]).await;
    says(|why| why.contains("is not stored any more")).await;
    // The next event makes it as new as it is said to be.
    world.append(vec![record(&events[4])]).await;
    world.until_folded().await;
    says(str::is_empty).await;
    running.stop().await;
    world.check(false).await;
}
