//! Replay on embedded parts: what comes out is what the log says, whatever was there and whatever happens meanwhile.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use events::EventBody;
use ports::{
    EventLog as _, Generations as _, NewGeneration, NewRecord, Offset, OrderStore as _, Partition,
    Stage, Topic, Wanted,
};
use replay::{Parts, Phase, Plan, ReplayError, Replayed, Report, Source, Until, Watch, replay};
use testkit::{TestClock, log, sample};

use crate::world::{PARTITIONS, World, lives};

pub(crate) const ALL: Plan = Plan::WHOLE;

pub(crate) fn parts(world: &World) -> Parts {
    Parts {
        log: world.log.clone(),
        live: world.store.clone(),
        dead_letters: world.store.clone(),
        generations: world.store.clone(),
        search: world.index.clone(),
        transitions: world.index.clone(),
        clock: Arc::new(TestClock::default()),
    }
}

pub(crate) fn unwatched() -> Watch {
    Arc::new(|_: &Report| {})
}

pub(crate) async fn replayed(world: &World, plan: &Plan) -> Result<Replayed, ReplayError> {
    replay(&parts(world), plan, unwatched()).await
}

pub(crate) async fn stages(world: &World) -> Vec<(u32, Stage)> {
    let all = world.store.generations().await.unwrap();
    all.iter().map(|generation| (generation.number, generation.stage)).collect()
}

async fn announced(world: &World) -> usize {
    log::read_all(world.log.as_ref(), Topic::StateChanged).await.len()
}

/// Whatever is wrong with the live one; and nothing is told to anyone.
#[tokio::test]
async fn a_replay_mends_everything() {
    let world = World::folded(&lives(1..40)).await;
    let garbage = NewRecord {
        key: Bytes::from_static(b"nobody"),
        value: Bytes::from_static(b"\xff"),
        headers: Vec::new(),
    };
    world.append_records(vec![garbage]).await;
    world.fold().await;
    let (good, told) = (world.good().await, announced(&world).await);
    world.sql("UPDATE orders SET snapshot = x'00', state = 'Placed' WHERE rowid % 3 = 0").await;
    world.sql("DELETE FROM order_history WHERE rowid % 5 = 0").await;
    world.sql("DELETE FROM dead_letters").await;
    assert!(!world.wrong().await.is_empty());

    let done = replayed(&world, &ALL).await.unwrap();
    assert_eq!((done.generation, done.live), (2, true));
    assert_eq!(done.verified.unwrap().records, good.records);
    assert_eq!(world.good().await, good);
    assert_eq!(announced(&world).await, told);
    assert_eq!(stages(&world).await, [(1, Stage::Retired), (2, Stage::Live)]);
}

/// More than is read at once, so that orders are let go of, and events that come when they are: each is read back.
#[tokio::test]
async fn late_events_find_their_order() {
    let late = |n| {
        let (amount, reference, pieces) = (sample::minor(1), None, events::Pieces::default());
        let amount = events::Money { amount, currency: sample::details().currency() };
        let body = EventBody::PaymentRefunded { amount, reference, pieces };
        [sample::event(sample::order_id(n), 99, body), sample::placed(sample::order_id(n))]
    };
    let mut events = lives(1..4_000);
    events.extend((1..4_000).step_by(7).flat_map(late));
    events.extend(lives(4_000..4_100));
    events.extend((1..4_000).step_by(5).flat_map(late));
    let world = World::folded(&events).await;
    let good = world.good().await;
    let done = replayed(&world, &ALL).await.unwrap();
    let verified = done.verified.unwrap();
    assert!(verified.duplicates > 1_000, "{verified:?}");
    assert_eq!(world.good().await, good);
}

/// Two projectors fold and orders come in all the while.
#[tokio::test]
async fn the_ledger_goes_on_meanwhile() {
    let world = World::folded(&lives(1..200)).await;
    let projectors = [world.projector(), world.projector()];
    let done = AtomicBool::new(false);
    let appending = async {
        let mut n = 200;
        while !done.load(Ordering::Relaxed) {
            // As fast as the projectors fold, so that there is an end to catching up.
            world.append(&lives(n..n + 10)).await;
            world.all_is_folded().await;
            n += 10;
        }
        n - 1
    };
    let replaying = async {
        for expected in 2..5 {
            assert_eq!(replayed(&world, &ALL).await.unwrap().generation, expected);
        }
        done.store(true, Ordering::Relaxed);
    };
    let (orders, ()) = tokio::join!(appending, replaying);
    world.all_is_folded().await;
    for projector in projectors {
        projector.stop().await;
    }
    world.index().await;
    assert_eq!(world.good().await.orders, orders);
    let all = log::read_all(world.log.as_ref(), Topic::StateChanged).await;
    let mut ids: Vec<_> = all.iter().map(|record| record.headers.clone()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len() as u64, orders * lives(1..2).len() as u64, "each change is announced");
}

/// Another fold made it: the projector does not go on, and does once it is replayed.
#[tokio::test]
async fn what_another_fold_made_is_replayed() {
    let world = World::folded(&lives(1..10)).await;
    world.sql("UPDATE progress SET fold_version = 1").await;
    world.sql("UPDATE orders SET snapshot = x'01'").await;
    world.store.bind_partitions(PARTITIONS).await.unwrap_err();
    world.append(&lives(10..20)).await;
    replayed(&world, &ALL).await.unwrap();
    world.fold().await;
    assert_eq!(world.good().await.orders, 19);
}

/// To be looked at: the live one stays, and no later replay takes it up.
#[tokio::test]
async fn one_that_is_kept_stays_beside() {
    let world = World::folded(&lives(1..20)).await;
    let ends = world.log.end_offsets(Topic::Events).await.unwrap();
    world.append(&lives(20..30)).await;
    world.fold().await;

    let offsets: BTreeMap<_, _> = ends.iter().map(|end| (end.partition, end.offset)).collect();
    let beyond = |partition, offset| {
        let offsets = BTreeMap::from([(Partition(partition), offset)]);
        Plan { swap: false, until: Until::Offsets(offsets), ..ALL }
    };
    let error = replayed(&world, &beyond(PARTITIONS, Offset(0))).await.unwrap_err();
    assert!(matches!(error, ReplayError::NoSuchPartition(_)), "{error}");
    let error = replayed(&world, &beyond(0, Offset(1 << 40))).await.unwrap_err();
    assert!(matches!(error, ReplayError::BeyondTheEnd { .. }), "{error}");
    assert_eq!(stages(&world).await, [(1, Stage::Live)], "nothing is kept");
    let past = Plan { swap: false, until: Until::Offsets(offsets), ..ALL };
    let kept = replayed(&world, &past).await.unwrap();
    assert_eq!((kept.generation, kept.live, &kept.offsets), (2, false, &ends));
    let beside = world.store.open(2).await.unwrap();
    assert_eq!(beside.scan(None, 100).await.unwrap().len(), 19);
    assert_eq!(world.good().await.orders, 29);

    let long_ago = Plan { swap: false, until: Until::Time(sample::at(-1)), ..ALL };
    let empty = replayed(&world, &long_ago).await.unwrap();
    assert_eq!(empty.verified.unwrap().orders, 0);

    assert_eq!(replayed(&world, &ALL).await.unwrap().generation, 4);
    let named = Plan { source: Source::Generation(2), ..ALL };
    assert_eq!(replayed(&world, &named).await.unwrap().verified.unwrap().orders, 29);
    assert_eq!(world.good().await.orders, 29);
}

#[tokio::test]
async fn the_previous_one_comes_back_with_what_came_since() {
    let world = World::folded(&lives(1..20)).await;
    let back = Plan { source: Source::Previous, ..ALL };
    let nothing = replayed(&world, &back).await.unwrap_err();
    assert!(matches!(nothing, ReplayError::NothingRetired), "{nothing}");
    replayed(&world, &ALL).await.unwrap();
    world.append(&lives(20..40)).await;
    world.fold().await;
    assert_eq!(replayed(&world, &back).await.unwrap().generation, 1);
    assert_eq!(stages(&world).await, [(1, Stage::Live), (2, Stage::Retired)]);
    assert_eq!(world.good().await.orders, 39);
    let unknown = Plan { source: Source::Generation(9), ..ALL };
    let unknown = replayed(&world, &unknown).await.unwrap_err();
    assert!(matches!(unknown, ReplayError::NoSuchGeneration(9)), "{unknown}");
}

/// One that had not loaded is removed, one that had is gone on with.
#[tokio::test]
async fn what_was_interrupted_is_cleaned_up_or_continued() {
    let world = World::folded(&lives(1..20)).await;
    let new = NewGeneration { partitions: PARTITIONS, kept: false, created_at: sample::at(0) };
    let half = world.store.create(new).await.unwrap();
    assert_eq!(replayed(&world, &ALL).await.unwrap().generation, half, "its number is free again");

    let loaded = world.store.create(new).await.unwrap();
    world.store.loaded(loaded).await.unwrap();
    assert_eq!(replayed(&world, &ALL).await.unwrap().generation, loaded);
    assert_eq!(world.good().await.orders, 19);
}

/// By whoever watches, from elsewhere; the live one stays as it is.
#[tokio::test]
async fn a_replay_is_paused_and_cancelled() {
    let world = World::folded(&lives(1..20)).await;
    let new = NewGeneration { partitions: PARTITIONS, kept: false, created_at: sample::at(0) };
    let number = world.store.create(new).await.unwrap();
    world.store.loaded(number).await.unwrap();
    world.store.want(number, Wanted::Pause).await.unwrap();
    let (seen, paused) = tokio::sync::mpsc::unbounded_channel();
    let mut paused = paused;
    let watch: Watch = Arc::new(move |report: &Report| {
        _ = seen.send((report.phase, report.paused));
    });
    let parts = parts(&world);
    let running = tokio::spawn(async move { replay(&parts, &ALL, watch).await });
    while paused.recv().await.unwrap() != (Phase::CatchingUp, true) {}
    let busy = replayed(&world, &ALL).await.unwrap_err();
    assert!(matches!(busy, ReplayError::Busy), "{busy}");
    world.store.want(number, Wanted::Cancel).await.unwrap();
    let cancelled = running.await.unwrap().unwrap_err();
    assert!(matches!(cancelled, ReplayError::Cancelled(n) if n == number), "{cancelled}");
    assert_eq!(stages(&world).await, [(1, Stage::Live)]);
    assert_eq!(world.good().await.orders, 19);
}

/// It is looked at before it counts.
#[tokio::test]
async fn what_is_not_as_the_log_says_does_not_become_live() {
    let world = World::folded(&lives(1..20)).await;
    let new = NewGeneration { partitions: PARTITIONS, kept: false, created_at: sample::at(0) };
    let number = world.store.create(new).await.unwrap();
    let beside = world.store.open(number).await.unwrap();
    let partition = Partition(0);
    let skips = ports::PartitionCommit {
        partition,
        expected: ports::Place { next: Offset::START, epoch: ports::Epoch::FIRST },
        next: Offset(3),
        announced: Offset::START,
        digest: events::Digest::ZERO,
    };
    let skips = ports::Commit { partitions: vec![skips], ..ports::Commit::default() };
    beside.commit(&skips).await.unwrap();
    drop(beside);
    world.store.loaded(number).await.unwrap();
    let error = replayed(&world, &ALL).await.unwrap_err();
    assert!(matches!(error, ReplayError::Differs { .. }), "{error}");
    assert_eq!(stages(&world).await, [(1, Stage::Live)]);
    assert_eq!(world.good().await.orders, 19);
}

/// It was there before anyone wanted it live, and is there afterwards.
#[tokio::test]
async fn cancelling_a_rollback_keeps_what_was_to_come_back() {
    let world = World::folded(&lives(1..20)).await;
    replayed(&world, &ALL).await.unwrap();
    let rollback = Plan { source: Source::Previous, ..ALL };
    world.store.want(1, Wanted::Cancel).await.unwrap();
    let cancelled = replayed(&world, &rollback).await.unwrap_err();
    assert!(matches!(cancelled, ReplayError::CancelledKept(1)), "{cancelled}");
    assert_eq!(stages(&world).await, [(1, Stage::Retired), (2, Stage::Live)]);
    // The wish is forgotten.
    assert!(replayed(&world, &rollback).await.unwrap().live);
    assert_eq!(stages(&world).await, [(1, Stage::Live), (2, Stage::Retired)]);
    assert_eq!(world.good().await.orders, 19);
}

/// One step back is enough: each generation takes its room.
#[tokio::test]
async fn the_generation_before_the_last_is_removed() {
    let world = World::folded(&lives(1..5)).await;
    for generation in 2..5 {
        assert_eq!(replayed(&world, &ALL).await.unwrap().generation, generation);
    }
    assert_eq!(stages(&world).await, [(3, Stage::Retired), (4, Stage::Live)]);
    let back = replayed(&world, &Plan { source: Source::Previous, ..ALL }).await.unwrap();
    assert_eq!(back.generation, 3);
    assert_eq!(stages(&world).await, [(3, Stage::Live), (4, Stage::Retired)]);
    assert_eq!(world.good().await.orders, 4);
}
