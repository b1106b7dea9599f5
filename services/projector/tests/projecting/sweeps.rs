//! Every call that a projector makes of log and store, one after the other, goes wrong in every way.

use std::{collections::HashMap, sync::Arc};

use ports::LetterStatus;
use projector::Settings;
use tokio::task::{Id, JoinSet, LocalSet};

use crate::{
    faults::{Fault, Plan},
    story::{one_in_each_partition, story},
    world::World,
};

/// How many runs go side by side: most of their time is waiting.
const ABREAST: usize = 8;

/// One run with a fault at call `at`; whether there was such a call.
async fn run(fault: Fault, at: usize) -> bool {
    let world = World::open().await;
    let mut records = story();
    let rest = records.split_off(records.len() / 3);
    // The first ones were committed by a projector that died before it announced them.
    world.append(records).await;
    world.rival().fold(usize::MAX).await;
    // Some of what it could not read is decided on meanwhile.
    world.decide(&[LetterStatus::Discard, LetterStatus::Retry]).await;
    assert!(!world.letters(LetterStatus::Discard).await.is_empty());
    world.append(rest).await;
    let plan = Arc::new(Plan::new(fault, at, world.rival()));
    world.project_with(&plan).await;

    // Whatever the first left undone the next one makes up for.
    world.append(one_in_each_partition()).await;
    let next = world.start(Settings::default());
    world.until_folded().await;
    world.until_decided().await;
    next.stop().await;
    world.check(plan.has_append_failed()).await;
    // Nothing was discarded that no one wanted to be, and what waits goes on in the end.
    world.decide(&[LetterStatus::Discard]).await;
    let last = world.start(Settings::default());
    world.until_decided().await;
    last.stop().await;
    world.check(plan.has_append_failed()).await;
    plan.was_reached()
}

/// Runs with a fault at the first call, the second, and so on, until there is no such call.
async fn sweep(fault: Fault) {
    sweep_through(fault, run).await;
}

/// The same, of any run with a fault at a call that says whether there was such a call.
pub(crate) async fn sweep_through<F>(fault: Fault, run: fn(Fault, usize) -> F)
where
    F: Future<Output = bool> + 'static,
{
    let local = LocalSet::new();
    let sweep = local.run_until(async {
        let (mut runs, mut calls) = (JoinSet::new(), HashMap::new());
        for at in 0.. {
            if runs.len() == ABREAST && !was_reached(&mut runs, &calls, fault).await {
                break;
            }
            calls.insert(runs.spawn_local(run(fault, at)).id(), at);
        }
        while !runs.is_empty() {
            was_reached(&mut runs, &calls, fault).await;
        }
        assert!(calls.len() > 50, "a run has only some {} calls", calls.len());
    });
    sweep.await;
}

/// Waits for a run to end; whether it came to the fault.
async fn was_reached(runs: &mut JoinSet<bool>, calls: &HashMap<Id, usize>, fault: Fault) -> bool {
    match runs.join_next_with_id().await.unwrap() {
        Ok((_, reached)) => reached,
        Err(failed) => panic!("with {fault:?} at call {}: {failed}", calls[&failed.id()]),
    }
}

#[tokio::test]
async fn any_call_may_fail() {
    sweep(Fault::Fails).await;
}

#[tokio::test]
async fn any_answer_may_be_lost() {
    sweep(Fault::AnswerLost).await;
}

#[tokio::test]
async fn the_queue_may_be_full_at_any_time() {
    sweep(Fault::QueueFull).await;
}

#[tokio::test]
async fn it_may_be_overtaken_at_any_time() {
    sweep(Fault::Overtaken).await;
}

#[tokio::test]
async fn it_may_die_before_any_call() {
    sweep(Fault::DiesBefore).await;
}

#[tokio::test]
async fn it_may_die_after_any_call() {
    sweep(Fault::DiesAfter).await;
}
