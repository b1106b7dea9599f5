//! A replay rebuilds the search index too: what is found afterwards is what the log says, whatever was there and whatever
//! happens meanwhile.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use events::OrderId;
use futures::future::FutureExt as _;
use ports::{Clock as _, Generations as _, SearchIndex as _, Stage, TransitionStream as _, Wanted};
use replay::{Only, Parts, Phase, Plan, ReplayError, Report, Source, Watch, replay};
use serde_json::json;
use testkit::{TestClock, sample, wait_for};

use crate::{
    hooked::{Call, Hook, HookedGenerations, When},
    replaying::{ALL, parts, replayed, stages, unwatched},
    world::{World, lives},
};

pub(crate) const SEARCH: Plan = Plan { only: Some(Only::Search), ..ALL };
const STATE: Plan = Plan { only: Some(Only::State), ..ALL };
const PATIENCE: Duration = Duration::from_secs(60);

async fn indexed(world: &World) -> u64 {
    world.index.count_by_state().await.unwrap().iter().map(|(_, count)| count).sum()
}

async fn live(world: &World) -> ports::Generation {
    let all = world.store.generations().await.unwrap();
    all.into_iter().find(|generation| generation.stage == Stage::Live).unwrap()
}

/// Parts where something is done at a call of whoever builds the index: once, and before it goes on.
pub(crate) fn at(world: &World, at: (Call, When), act: Hook) -> Parts {
    let done = Arc::new(AtomicBool::new(false));
    let hook: Hook = Arc::new(move |n, call, when| {
        if (call, when) == at && !done.swap(true, Ordering::Relaxed) {
            act(n, call, when)
        } else {
            async { Ok(()) }.boxed()
        }
    });
    Parts { search: HookedGenerations::new(world.index.clone(), hook), ..parts(world) }
}

/// What is wanted at a call.
fn wanting(world: &World, when: (Call, When), number: u32, wanted: Wanted) -> Parts {
    let store = world.store.clone();
    let want: Hook = Arc::new(move |_, _, _| {
        let store = store.clone();
        async move {
            store.want(number, wanted).await.unwrap();
            Ok(())
        }
        .boxed()
    });
    at(world, when, want)
}

/// Documents that are missing, wrong, newer than anything, or of no order.
#[tokio::test]
async fn a_replay_mends_the_index() {
    let world = World::folded(&lives(1..40)).await;
    world.break_index().await;
    assert_ne!(indexed(&world).await, 39);
    let done = replayed(&world, &ALL).await.unwrap();
    let search = done.search.unwrap();
    assert_eq!((search.documents, search.refused, search.refusals), (39, 0, vec![]));
    assert_eq!((world.good().await.documents, indexed(&world).await), (39, 39));
    assert!(!live(&world).await.search_pending);
    assert_eq!(world.indices_beside().await, Vec::<String>::new());
}

/// The generation that is live stays, and so does what is retired.
#[tokio::test]
async fn the_index_may_be_replayed_alone() {
    let world = World::folded(&lives(1..40)).await;
    replayed(&world, &ALL).await.unwrap();
    world.append(&lives(40..50)).await;
    world.fold_without_index().await;
    world.break_index().await;
    let before = stages(&world).await;
    let done = replayed(&world, &SEARCH).await.unwrap();
    assert_eq!((done.generation, done.live, done.verified), (2, true, None));
    assert_eq!(done.search.unwrap().documents, 49);
    assert_eq!(done.offsets.iter().map(|at| at.offset.0).sum::<i64>(), lives(1..50).len() as i64);
    assert_eq!(stages(&world).await, before);
    assert_eq!((world.good().await.documents, indexed(&world).await), (49, 49));
}

/// All of them at first; then those that were lost, and those alone.
#[tokio::test]
async fn a_replay_appends_the_transitions_that_are_missing() {
    let world = World::folded(&lives(1..250)).await;
    for (plan, missing) in [(ALL, 249 * 6), (SEARCH, 249 * 4), (SEARCH, 0)] {
        let done = replayed(&world, &plan).await.unwrap().search.unwrap();
        assert_eq!((done.transitions, done.refused), (missing, 0));
        for n in [1, 2, 249] {
            let mut expected = sample::transitions(&sample::lifecycle(sample::order_id(n)));
            for transition in &mut expected {
                transition.event.created = TestClock::default().now();
            }
            let kept = world.index.transitions(sample::order_id(n)).await.unwrap();
            assert_eq!(json!(kept), json!(expected));
        }
        if plan.only.is_none() {
            world.sql_in("search.db", "DELETE FROM transitions WHERE version > 2").await;
        }
    }
}

/// And may be left as it is.
#[tokio::test]
async fn the_state_may_be_replayed_alone() {
    let world = World::folded(&lives(1..40)).await;
    world.break_index().await;
    let (wrong, before) = (world.wrong().await, indexed(&world).await);
    assert_eq!(replayed(&world, &STATE).await.unwrap().search, None);
    assert_eq!(stages(&world).await, [(1, Stage::Retired), (2, Stage::Live)]);
    let kept = Plan { swap: false, ..ALL };
    assert_eq!(replayed(&world, &kept).await.unwrap().search, None);
    assert_eq!((world.wrong().await, indexed(&world).await), (wrong, before));
    assert!(!live(&world).await.search_pending);
    assert_eq!(world.indices_beside().await, Vec::<String>::new());
}

/// Also one that is not folded anew.
#[tokio::test]
async fn what_becomes_live_is_what_is_found() {
    let world = World::folded(&lives(1..20)).await;
    replayed(&world, &Plan { swap: false, ..ALL }).await.unwrap();
    for source in [Source::Generation(2), Source::Previous, Source::Previous] {
        world.break_index().await;
        let done = replayed(&world, &Plan { source, ..ALL }).await.unwrap();
        assert_eq!(done.search.unwrap().documents, 19);
        assert_eq!((world.good().await.documents, indexed(&world).await), (19, 19));
    }
}

/// Orders move at one moment of the replay, and are written to the index as a search projector does it: before writes have
/// moved that is the former index.
#[tokio::test]
async fn what_moves_at_any_moment_is_found() {
    for moment in [
        (Call::Create, When::Before),
        (Call::Create, When::After),
        (Call::Upsert, When::After),
        (Call::TakeWrites, When::Before),
        (Call::TakeWrites, When::After),
        (Call::TakeReads, When::Before),
        (Call::TakeReads, When::After),
    ] {
        for plan in [ALL, SEARCH] {
            let lives: Vec<_> = (1..20).map(|n| sample::lifecycle(sample::order_id(n))).collect();
            let begun: Vec<_> = lives.iter().flat_map(|life| life[..2].to_vec()).collect();
            let rest: Vec<_> = lives.iter().flat_map(|life| life[2..].to_vec()).collect();
            let world = World::folded(&begun).await;
            let (came, mut comes) =
                tokio::sync::mpsc::channel::<tokio::sync::oneshot::Sender<()>>(1);
            let wait: Hook = Arc::new(move |_, _, _| {
                let came = came.clone();
                async move {
                    let (go_on, goes_on) = tokio::sync::oneshot::channel();
                    came.send(go_on).await.unwrap();
                    goes_on.await.unwrap();
                    Ok(())
                }
                .boxed()
            });
            let parts = at(&world, moment, wait);
            let moving = async {
                let go_on = comes.recv().await.unwrap();
                world.append(&rest).await;
                world.fold().await;
                go_on.send(()).unwrap();
            };
            let (done, ()) = tokio::join!(replay(&parts, &plan, unwatched()), moving);
            done.unwrap();
            assert_eq!(
                (world.good().await.documents, indexed(&world).await),
                (19, 19),
                "{moment:?}"
            );
        }
    }
}

/// Orders come and move, a projector folds, a search projector indexes: nothing is lost, and no reader sees an order go
/// back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_index_follows_what_comes_meanwhile() {
    let world = World::folded(&lives(1..100)).await;
    let (projector, searcher) = (world.projector(), world.searcher());
    let done = AtomicBool::new(false);
    let appending = async {
        let mut n = 100;
        while !done.load(Ordering::Relaxed) {
            world.append(&lives(n..n + 5)).await;
            world.all_is_folded().await;
            n += 5;
        }
    };
    let reading = async {
        let orders: Vec<OrderId> = (1..2_000).map(sample::order_id).collect();
        let mut seen: BTreeMap<OrderId, u64> = BTreeMap::new();
        while !done.load(Ordering::Relaxed) {
            let found = world.index.versions(&orders).await.unwrap();
            for (order, before) in &seen {
                assert!(found.get(order) >= Some(before), "{order} was at {before}: {found:?}");
            }
            seen = found;
        }
    };
    let replaying = async {
        for plan in [ALL, SEARCH, ALL, SEARCH, STATE, ALL] {
            replayed(&world, &plan).await.unwrap();
        }
        done.store(true, Ordering::Relaxed);
    };
    tokio::join!(appending, reading, replaying);
    wait_for("everything is indexed", PATIENCE, async || {
        (world.wrong().await.is_empty()).then_some(())
    })
    .await;
    projector.stop().await;
    searcher.stop().await;
    let orders = world.orders().await;
    assert_eq!((world.good().await.documents, indexed(&world).await), (orders, orders));
}

/// A document that can't be indexed does not hold up the others.
#[tokio::test]
async fn a_refused_document_is_told() {
    let world = World::folded(&lives(1..20)).await;
    let search = HookedGenerations::refusing(world.index.clone(), sample::order_id(7));
    let parts = Parts { search, ..parts(&world) };
    for plan in [ALL, SEARCH] {
        let search = replay(&parts, &plan, unwatched()).await.unwrap().search.unwrap();
        assert_eq!((search.documents, search.refused), (18, 1));
        assert_eq!(search.refusals[0].order_id, sample::order_id(7));
        assert_eq!(search.refusals[0].why, "too odd");
    }
}

/// Progress in documents, of how many.
#[tokio::test]
async fn it_says_how_far_the_index_is() {
    use Phase::{CatchingUp, Cutting, Following};
    let world = World::folded(&lives(1..20)).await;
    for (plan, rest) in [
        (ALL, vec![CatchingUp, Following, CatchingUp, Cutting, Following]),
        (SEARCH, vec![Following]),
    ] {
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let watch: Watch = Arc::new(move |report: &Report| _ = tell.send(report.clone()));
        replay(&parts(&world), &plan, watch).await.unwrap();
        let mut reports = Vec::new();
        while let Ok(report) = told.try_recv() {
            reports.push(report);
        }
        let filling = reports.iter().position(|report| report.phase == Phase::Indexing).unwrap();
        assert_eq!(reports[filling].total, Some(19));
        let phases = reports[filling + 1..].iter().map(|report| report.phase);
        let mut phases: Vec<_> = phases.skip_while(|phase| *phase == Phase::Indexing).collect();
        phases.dedup();
        assert_eq!(phases, rest);
        let last = reports.last().unwrap();
        assert_eq!((last.total, last.partitions.len()), (None, 3));
    }
}

/// Nothing is left of what was built, and the wish is not kept for whoever comes next.
#[tokio::test]
async fn building_an_index_is_cancelled() {
    let world = World::folded(&lives(1..20)).await;
    world.break_index().await;
    let before = indexed(&world).await;
    let upsert = (Call::Upsert, When::After);
    let cancelling = wanting(&world, upsert, 2, Wanted::Cancel);
    let error = replay(&cancelling, &ALL, unwatched()).await.unwrap_err();
    assert!(matches!(error, ReplayError::Cancelled(2)), "{error}");
    assert_eq!(stages(&world).await, [(1, Stage::Live)]);
    assert_eq!(world.indices_beside().await, Vec::<String>::new());

    let cancelling = wanting(&world, upsert, 1, Wanted::Cancel);
    let error = replay(&cancelling, &SEARCH, unwatched()).await.unwrap_err();
    assert!(matches!(error, ReplayError::SearchCancelled), "{error}");
    assert_eq!(world.indices_beside().await, Vec::<String>::new());
    assert_eq!((indexed(&world).await, live(&world).await.wanted), (before, Wanted::Run));
    // As if someone had cancelled when there was nothing to cancel.
    world.store.want(1, Wanted::Cancel).await.unwrap();
    replayed(&world, &SEARCH).await.unwrap();
    assert_eq!((world.good().await.documents, indexed(&world).await), (19, 19));
}

/// It is too late to stop half-way.
#[tokio::test]
async fn nothing_is_cancelled_after_the_cut() {
    for (plan, number) in [(ALL, 2), (SEARCH, 1)] {
        let world = World::folded(&lives(1..20)).await;
        world.break_index().await;
        let late = wanting(&world, (Call::TakeWrites, When::Before), number, Wanted::Cancel);
        let done = replay(&late, &plan, unwatched()).await.unwrap();
        assert_eq!(done.generation, number);
        assert_eq!(live(&world).await.wanted, Wanted::Run);
        assert_eq!((world.good().await.documents, indexed(&world).await), (19, 19));
    }
}

/// The new generation is live, and says that its index is yet to follow.
#[tokio::test]
async fn an_index_that_fails_after_the_cut_is_told() {
    let world = World::folded(&lives(1..20)).await;
    let away: Hook =
        Arc::new(|_, _, _| async { Err(ports::SearchError::Unfit("gone".to_owned())) }.boxed());
    let failing = at(&world, (Call::TakeReads, When::Before), away);
    let error = replay(&failing, &ALL, unwatched()).await.unwrap_err();
    assert!(matches!(error, ReplayError::SearchPending { number: 2, .. }), "{error}");
    let live = live(&world).await;
    assert_eq!((live.number, live.search_pending), (2, true));
}
