//! A record that an older program could not read, and that someone discarded: it can be read by now, and stays discarded.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use events::EventKind;
use futures::future::FutureExt as _;
use ports::{
    Consumer, DeadLetter, DeadLetterReason, DeadLetters, EventLog as _, Generations as _,
    LetterFilter, LetterStatus, NewGeneration, OrderStore, Stage, Topic,
};
use projection::{Discarded, Known, Projected, Projection};
use replay::{Parts, Plan, ReplayError, Until, Verification, replay};
use testkit::{log, sample, wait_for};

use crate::{
    hooked::{Call, Hook, HookedGenerations, When},
    replaying::{ALL, parts, replayed, stages, unwatched},
    world::{PARTITIONS, World, of_order},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// Two lives, in the first of which there is a cancellation that would end it.
async fn with_cancellation() -> World {
    let world = World::open().await;
    let mut life = sample::lifecycle(sample::order_id(1));
    life.insert(2, sample::cancelled(sample::order_id(1)));
    world.append(&life).await;
    world.append(&sample::lifecycle(sample::order_id(2))).await;
    world
}

/// What is stored of them with the cancellation discarded.
fn without_cancellation() -> Verification {
    let (records, applied, dead_letters, orders) = (13, 12, 1, 2);
    Verification { records, applied, dead_letters, orders, documents: 2, ..Verification::default() }
}

/// Folds all there is as a program does that knows no cancellations.
async fn fold_as_older(world: &World) {
    world.store.bind_partitions(PARTITIONS).await.unwrap();
    let progress = world.store.progress(&[]).await.unwrap();
    let progress: BTreeMap<_, _> = progress.into_iter().map(|at| (at.partition, at)).collect();
    let mut unknown = Discarded::default();
    let records = log::read_all(world.log.as_ref(), Topic::Events).await;
    for record in &records {
        let event = codec::decode_event(record.value.as_ref().unwrap()).unwrap();
        if event.body.kind() == EventKind::OrderCancelled {
            unknown.heed(DeadLetter {
                consumer: Consumer::Projector,
                record: record.clone(),
                reason: DeadLetterReason::UnknownType,
                detail: "the value is of a time to come".to_owned(),
                at: sample::at(77),
                parks: Some(event.order_id),
                status: LetterStatus::Discard,
            });
        }
    }
    let projection = Projection::decode(records, PARTITIONS, sample::at(99), &unknown);
    let Projected { mut commit, .. } = projection.fold(Known::default(), &progress);
    for letter in &mut commit.dead_letters {
        letter.status = LetterStatus::Open;
    }
    world.store.commit(&commit).await.unwrap();
}

async fn letters(letters: &dyn DeadLetters) -> Vec<DeadLetter> {
    letters.letters(&LetterFilter::default(), None, 10).await.unwrap()
}

async fn discard(world: &World) {
    let letter = letters(world.store.as_ref()).await.remove(0);
    world.store.decide(letter.key(), LetterStatus::Discard).await.unwrap();
}

/// Lets a projector carry out what was decided.
async fn carry_out(world: &World) {
    let projector = world.projector();
    wait_for("the letter is discarded", PATIENCE, async || {
        let letters = letters(world.store.as_ref()).await;
        (letters[0].status == LetterStatus::Discarded).then_some(())
    })
    .await;
    world.all_is_announced().await;
    projector.stop().await;
    world.index().await;
}

async fn discarded() -> World {
    let world = with_cancellation().await;
    fold_as_older(&world).await;
    discard(&world).await;
    carry_out(&world).await;
    world
}

/// The letter as it was kept, and the order as it stands without its record.
async fn is_heeded(store: &(impl OrderStore + DeadLetters + ?Sized), before: &DeadLetter) {
    let order = sample::order_id(1);
    let stored = store.load(&[order]).await.unwrap();
    let expected = sample::folded(&sample::lifecycle(order));
    assert_eq!(stored[0].bytes, codec::encode_snapshot(&expected));
    let all = store.letters(&LetterFilter::default(), None, 10).await.unwrap();
    assert_eq!(all, std::slice::from_ref(before));
}

#[tokio::test]
async fn a_letter_that_is_discarded_is_the_account_of_its_record() {
    let world = discarded().await;
    assert_eq!(world.good().await, without_cancellation());
    // The wish alone is enough: the order waits for it.
    let parked = with_cancellation().await;
    fold_as_older(&parked).await;
    discard(&parked).await;
    parked.index().await;
    let good = parked.good().await;
    assert_eq!((good.applied, good.parked, good.dead_letters), (8, 4, 1));
    // What must not have been folded, and what must not have waited any more.
    world.sql("UPDATE dead_letters SET parks = NULL").await;
    assert_eq!(world.wrong().await, [(None, "dead_letter.parks")]);
    parked.sql("UPDATE dead_letters SET status = 'discarded'").await;
    assert!(parked.wrong().await.contains(&of_order(1, "row.outcome")));
}

/// One that no one decided on can be read by now, and is to be folded.
#[tokio::test]
async fn a_letter_that_is_open_is_no_account_of_what_can_be_read() {
    let world = with_cancellation().await;
    fold_as_older(&world).await;
    world.index().await;
    let wrong = world.wrong().await;
    assert!(wrong.contains(&(None, "dead_letter")) && wrong.contains(&(None, "row")), "{wrong:?}");
    replayed(&world, &ALL).await.unwrap();
    assert_eq!(world.good().await.dead_letters, 0);
}

#[tokio::test]
async fn a_replay_does_not_fold_what_was_discarded() {
    let world = discarded().await;
    let before = letters(world.store.as_ref()).await.remove(0);
    let done = replayed(&world, &ALL).await.unwrap();
    assert_eq!((done.generation, done.verified.unwrap().dead_letters), (2, 1));
    assert_eq!(world.good().await, without_cancellation());
    is_heeded(world.store.as_ref(), &before).await;
}

/// As one does that takes up a generation that was interrupted, or goes back to one that was live.
#[tokio::test]
async fn catching_up_does_not_fold_what_was_discarded() {
    let world = discarded().await;
    let before = letters(world.store.as_ref()).await.remove(0);
    let new = NewGeneration { partitions: PARTITIONS, kept: false, created_at: sample::at(0) };
    let empty = world.store.create(new).await.unwrap();
    world.store.loaded(empty).await.unwrap();
    assert_eq!(replayed(&world, &ALL).await.unwrap().generation, empty);
    assert_eq!(world.good().await, without_cancellation());
    is_heeded(world.store.as_ref(), &before).await;
}

#[tokio::test]
async fn a_look_at_the_past_does_not_fold_what_was_discarded() {
    let world = discarded().await;
    let before = letters(world.store.as_ref()).await.remove(0);
    let ends = world.log.end_offsets(Topic::Events).await.unwrap();
    let until = Until::Offsets(ends.iter().map(|end| (end.partition, end.offset)).collect());
    let past = Plan { swap: false, until, ..ALL };
    assert_eq!(replayed(&world, &past).await.unwrap().generation, 2);
    is_heeded(world.store.open(2).await.unwrap().as_ref(), &before).await;
}

/// More letters than are read at once, each of them in the middle of other records.
#[tokio::test]
async fn however_many_were_discarded_all_are_heeded() {
    let world = World::open().await;
    for n in 0..300 {
        let mut life = sample::lifecycle(sample::order_id(n));
        life.insert(2, sample::cancelled(sample::order_id(n)));
        world.append(&life).await;
    }
    fold_as_older(&world).await;
    world.sql("UPDATE dead_letters SET status = 'discard'").await;
    let projector = world.projector();
    let wished = LetterFilter { statuses: vec![LetterStatus::Discard], ..LetterFilter::default() };
    wait_for("all are discarded", PATIENCE, async || {
        world.store.letters(&wished, None, 1).await.unwrap().is_empty().then_some(())
    })
    .await;
    world.all_is_announced().await;
    projector.stop().await;
    world.index().await;
    let good = world.good().await;
    assert_eq!((good.applied, good.dead_letters), (1_800, 300));
    replayed(&world, &ALL).await.unwrap();
    assert_eq!(world.good().await, good);
}

/// A replay tells nobody anything: the order goes on when the projector carries out what is wanted, and is told then.
#[tokio::test]
async fn what_is_yet_to_be_discarded_waits_until_it_is() {
    let world = with_cancellation().await;
    fold_as_older(&world).await;
    let projector = world.projector();
    world.all_is_announced().await;
    projector.stop().await;
    discard(&world).await;
    let told = async || log::read_all(world.log.as_ref(), Topic::StateChanged).await.len();
    assert_eq!(told().await, 8);
    replayed(&world, &ALL).await.unwrap();
    let good = world.good().await;
    assert_eq!((good.applied, good.parked, good.dead_letters), (8, 4, 1));
    carry_out(&world).await;
    assert_eq!(world.good().await, without_cancellation());
    assert_eq!(told().await, 12);
}

/// It was folded when no one had decided yet. What is discarded meanwhile is not taken back.
#[tokio::test]
async fn what_is_discarded_while_it_is_folded_stays_discarded() {
    let world = Arc::new(with_cancellation().await);
    fold_as_older(&world).await;
    let before = letters(world.store.as_ref()).await.remove(0);
    let before = DeadLetter { status: LetterStatus::Discarded, ..before };
    let store = world.store.clone();
    let projector = world.projector();
    let key = before.key();
    let discarding: Hook = Arc::new(move |_, call, when| {
        let store = store.clone();
        async move {
            if (call, when) == (Call::Create, When::Before) {
                store.decide(key, LetterStatus::Discard).await.unwrap();
                // Not `wait_for`, whose future can't be sent to another thread.
                while letters(store.as_ref()).await[0].status != LetterStatus::Discarded {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
            Ok(())
        }
        .boxed()
    });
    let search = HookedGenerations::new(world.index.clone(), discarding);
    let error = replay(&Parts { search, ..parts(&world) }, &ALL, unwatched()).await.unwrap_err();
    assert!(
        matches!(error, ReplayError::Discarded { position, .. } if position == before.key().position),
        "{error}"
    );
    projector.stop().await;
    assert_eq!(stages(&world).await, [(1, Stage::Live)]);
    assert_eq!(world.indices_beside().await, Vec::<String>::new());
    replayed(&world, &ALL).await.unwrap();
    assert_eq!(world.good().await, without_cancellation());
    is_heeded(world.store.as_ref(), &before).await;
}
