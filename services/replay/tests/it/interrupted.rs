//! Whoever builds a search index may be killed, or lose it, at any of its calls: what is left is finished.

use std::sync::Arc;

use ports::{Generations as _, OrderStore as _, SearchGenerations as _, SearchIndex as _, Stage};
use replay::{Only, Parts, Plan, ReplayError, finish_cut, replay};
use testkit::sample;
use tokio::sync::Notify;

use crate::{
    hooked::{End, HookedGenerations, ends_at},
    replaying::{ALL, parts, replayed, stages, unwatched},
    world::{PARTITIONS, World, lives},
};

/// To make one, to fill it and to follow, to move writes, to follow, to move reads.
const CALLS: usize = 6;

/// An index with documents missing, wrong and too many; and an order that waits, so that there is something to follow at
/// every step.
async fn broken() -> World {
    let world = World::open().await;
    world.append(&lives(1..30)).await;
    world.park(sample::order_id(7)).await;
    world.fold().await;
    world.break_index().await;
    world
}

/// The parts of one that ends at its n-th call, and what tells that it is killed.
fn ending(world: &World, n: usize, end: End) -> (Parts, Arc<Notify>) {
    let killed = Arc::new(Notify::new());
    let search = HookedGenerations::new(world.index.clone(), ends_at(n, end, Arc::clone(&killed)));
    (Parts { search, ..parts(world) }, killed)
}

/// Whether it came to its end.
async fn is_done<T>(
    work: impl Future<Output = Result<T, ReplayError>>,
    killed: &Notify,
    end: End,
) -> bool {
    let done = tokio::select! {
        done = work => Some(done),
        () = killed.notified() => None,
    };
    match done {
        None => false,
        Some(Ok(_)) => true,
        Some(Err(error)) => {
            assert_eq!(end, End::Fails, "{error}");
            false
        }
    }
}

/// Nothing is left to do, and nothing is left over.
async fn is_at_rest(world: &World) {
    assert!(world.index.unfinished().await.unwrap().is_none());
    let all = world.store.generations().await.unwrap();
    let live = all.iter().find(|generation| generation.stage == Stage::Live).unwrap();
    assert!(!live.search_pending);
    assert_eq!(world.indices_beside().await, Vec::<String>::new());
    assert_eq!(world.good().await.orders, world.orders().await);
    let indexed = world.index.count_by_state().await.unwrap();
    assert_eq!(indexed.iter().map(|(_, count)| count).sum::<u64>(), world.orders().await);
}

/// What comes in the meantime, as a projector and a search projector do it.
async fn more(world: &World) {
    let n = world.orders().await + 1;
    world.append(&lives(n..n + 2)).await;
    world.fold().await;
}

async fn is_ended_at(plan: &Plan, n: usize, end: End) -> bool {
    let world = broken().await;
    let (ending, killed) = ending(&world, n, end);
    let done = is_done(replay(&ending, plan, unwatched()), &killed, end).await;
    // If it was killed when reads had moved there is nothing left to do.
    let is_over = done || (end, n) == (End::KilledAfter, CALLS);
    let is_live = stages(&world).await.contains(&(2, Stage::Live));
    more(&world).await;
    let finished = finish_cut(&parts(&world)).await.unwrap();
    if !is_over && !is_live && finished.is_none() {
        // Before the cut, and before writes moved: it is as if nothing had been.
        assert!(!world.wrong().await.is_empty());
        replayed(&world, plan).await.unwrap();
    }
    is_at_rest(&world).await;
    done
}

/// At each of its calls, in each way, until it has no more.
async fn sweep(plan: &Plan) {
    for end in End::ALL {
        let mut n = 1;
        while !is_ended_at(plan, n, end).await {
            n += 1;
        }
        assert_eq!(n, CALLS + 1, "{end:?}");
    }
}

#[tokio::test]
async fn a_replay_that_is_interrupted_is_finished() {
    sweep(&ALL).await;
}

#[tokio::test]
async fn a_replay_of_the_index_alone_that_is_interrupted_is_finished() {
    sweep(&Plan { only: Some(Only::Search), ..ALL }).await;
}

/// Whoever finishes may be interrupted as well, again and again.
#[tokio::test]
async fn who_finishes_may_be_interrupted() {
    for end in End::ALL {
        let world = broken().await;
        world.store.bind_partitions(PARTITIONS).await.unwrap();
        world.sql("UPDATE generations SET search_pending = 1").await;
        for n in 1.. {
            let (ending, killed) = ending(&world, n, end);
            let done = is_done(finish_cut(&ending), &killed, end).await;
            more(&world).await;
            if done {
                assert_eq!(n, CALLS + 1, "{end:?}");
                break;
            }
            let all = world.store.generations().await.unwrap();
            let unfinished = world.index.unfinished().await.unwrap().is_some();
            assert!(unfinished || all[0].search_pending, "it is known that there is more to do");
        }
        is_at_rest(&world).await;
    }
}

/// One process finishes; the others need not wait for it.
#[tokio::test]
async fn there_may_be_nothing_to_finish() {
    let world = World::folded(&lives(1..5)).await;
    assert_eq!(finish_cut(&parts(&world)).await.unwrap(), None);
    world.sql("UPDATE generations SET search_pending = 1").await;
    let lease = world.store.lease().await.unwrap().unwrap();
    assert_eq!(finish_cut(&parts(&world)).await.unwrap(), None);
    drop(lease);
    assert_eq!(finish_cut(&parts(&world)).await.unwrap().unwrap().documents, 4);
    assert_eq!(finish_cut(&parts(&world)).await.unwrap(), None);
    is_at_rest(&world).await;
}

/// A state that is beyond reading is replayed all the same; the index follows as soon as that can be read.
#[tokio::test]
async fn what_can_not_be_finished_holds_up_no_replay() {
    for only in [None, Some(Only::State)] {
        let world = broken().await;
        world.sql("UPDATE generations SET search_pending = 1").await;
        world.sql("UPDATE orders SET snapshot = x'00'").await;
        finish_cut(&parts(&world)).await.unwrap_err();
        assert_eq!(world.indices_beside().await, Vec::<String>::new());
        replayed(&world, &Plan { only, ..ALL }).await.unwrap();
        let finished = finish_cut(&parts(&world)).await.unwrap();
        assert_eq!(finished.is_some(), only.is_some());
        is_at_rest(&world).await;
    }
}
