//! An order of which a record can't be read waits; all others go on; a decision lets it go on.

use std::sync::Arc;

use bytes::Bytes;
use events::{Digest, OrderId, State};
use ports::{
    Commit, Consumer, DeadLetter, DeadLetterReason, EventLog as _, HistoryOutcome, LetterStatus,
    NewRecord, OrderStore as _, Partition, PartitionCommit, Topic, partition_for_key,
};
use projector::Settings;
use testkit::{
    log,
    sample::{self, at, order_id},
    wait_for,
};

use crate::{
    faults::{Fault, Plan},
    faulty_log::FaultyLog,
    story::{PARTITIONS, record},
    world::{PATIENCE, Running, World, parts},
};

/// A record that no one can read, filed under an order.
fn garbage(order: OrderId) -> NewRecord {
    NewRecord { value: Bytes::from_static(b"\xff"), ..record(&sample::placed(order)) }
}

/// Where an order stands, and what became of each of its records.
async fn story_of(world: &World, order: OrderId) -> (Option<State>, Vec<&'static str>) {
    let stored = world.store.load(&[order]).await.unwrap();
    let state = stored.first().map(|s| codec::decode_snapshot(&s.bytes).unwrap().state);
    let history = world.store.history(order).await.unwrap();
    (state, history.iter().map(|row| row.outcome.name()).collect())
}

async fn fold(world: &World) {
    let running = world.start(Settings::default());
    world.until_folded().await;
    world.until_decided().await;
    running.stop().await;
    world.check(false).await;
}

#[tokio::test]
async fn only_its_order_waits_and_goes_on_without_what_is_discarded() {
    let world = World::open().await;
    let (parked, other) = (order_id(1), order_id(2));
    let [first, rest @ ..] = &sample::lifecycle(parked)[..] else { panic!("a life has events") };
    world.append(vec![record(first), garbage(parked)]).await;
    world.append(rest.iter().map(record).collect()).await;
    world.append(sample::lifecycle(other).iter().map(record).collect()).await;
    fold(&world).await;
    let waiting = vec!["applied", "parked", "parked", "parked", "parked", "parked"];
    assert_eq!(story_of(&world, parked).await, (Some(State::Placed), waiting));
    assert_eq!(story_of(&world, other).await.0, Some(State::Completed));

    world.decide(&[LetterStatus::Discard]).await;
    fold(&world).await;
    assert_eq!(story_of(&world, parked).await, (Some(State::Completed), vec!["applied"; 6]));
    let told = log::read_all(world.log.as_ref(), Topic::StateChanged).await;
    assert_eq!(told.len(), 12, "each change once");
}

/// Even if its very first record is the one that can't be read.
#[tokio::test]
async fn an_order_that_is_not_known_yet_waits_too() {
    let world = World::open().await;
    let order = order_id(1);
    let life = sample::lifecycle(order);
    world.append(vec![garbage(order), record(&life[0]), record(&life[1])]).await;
    fold(&world).await;
    assert_eq!(story_of(&world, order).await, (None, vec!["parked"; 2]));
    world.decide(&[LetterStatus::Discard]).await;
    fold(&world).await;
    assert_eq!(story_of(&world, order).await, (Some(State::Paid), vec!["applied"; 2]));
}

/// Up to the next record of it that can't be read.
#[tokio::test]
async fn an_order_goes_on_as_far_as_it_is_decided() {
    let world = World::open().await;
    let order = order_id(1);
    let life: Vec<_> = sample::lifecycle(order).iter().map(record).collect();
    let mut records = vec![life[0].clone(), garbage(order), life[1].clone()];
    records.extend([garbage(order), life[2].clone()]);
    world.append(records).await;
    fold(&world).await;
    let [first, second] = &world.letters(LetterStatus::Open).await[..] else { panic!("of two") };
    let (first, second) = (first.key(), second.key());
    let decide = async |key, wanted| {
        ports::DeadLetters::decide(world.store.as_ref(), key, wanted).await.unwrap();
        fold(&world).await;
        story_of(&world, order).await
    };
    // It can be read no better than before.
    let still = (Some(State::Placed), vec!["applied", "parked", "parked"]);
    assert_eq!(decide(first, LetterStatus::Retry).await, still);
    // The one before it parks the order still.
    assert_eq!(decide(second, LetterStatus::Discard).await, still);
    let all = (Some(State::Preparing), vec!["applied"; 3]);
    assert_eq!(decide(first, LetterStatus::Discard).await, all);
}

/// However many they are, and though they come first.
#[tokio::test]
async fn what_waits_where_no_one_serves_hides_no_decision() {
    let world = World::open().await;
    let unserved = Partition(0);
    let elsewhere =
        |order: &OrderId| partition_for_key(order.to_string().as_bytes(), PARTITIONS) != unserved;
    let order = (1..).map(order_id).find(elsewhere).unwrap();
    let captured = record(&sample::captured(order));
    world.append(vec![record(&sample::placed(order)), garbage(order), captured]).await;
    world.rival().fold(usize::MAX).await;
    world.decide(&[LetterStatus::Discard]).await;
    let mut waits = world.letters(LetterStatus::Discard).await.remove(0);
    (waits.parks, waits.record.position.partition) = (None, unserved);
    let waiting: Vec<_> = (0..250)
        .map(|offset| {
            waits.record.position.offset = ports::Offset(1_000 + offset);
            waits.clone()
        })
        .collect();
    ports::DeadLetters::keep(world.store.as_ref(), &waiting).await.unwrap();

    let plan = Arc::new(Plan::new(Fault::Fails, usize::MAX, world.rival()));
    let log = FaultyLog { inner: world.log.clone(), plan, unserved: Some(unserved) };
    let parts = parts(Arc::new(log), world.store.clone(), world.store.clone());
    let running = Running::start(parts, Settings::default());
    wait_for("the order goes on", PATIENCE, async || {
        (story_of(&world, order).await.0 == Some(State::Paid)).then_some(())
    })
    .await;
    running.stop().await;
    assert_eq!(world.letters(LetterStatus::Discard).await, waiting);
}

/// As of a type of the future, once the future is there: the whole history is folded in order.
#[tokio::test]
async fn what_can_be_read_by_now_takes_its_place() {
    let world = World::open().await;
    let order = order_id(1);
    let life = sample::lifecycle(order);
    world.append(life[..3].iter().map(record).collect()).await;
    let records = log::read_all(world.log.as_ref(), Topic::Events).await;
    let [placed, captured, prepared] = &records[..] else { panic!("there are three") };
    let partition = placed.position.partition;
    // What an older program has made of it, which did not know the second.
    let after = Some(sample::folded(&life[..1]));
    let state = Some(State::Placed);
    let waits = projection::parked(after.as_ref(), prepared.clone(), &life[2]);
    assert_eq!(waits.outcome, HistoryOutcome::Parked { state });
    let first = projection::step(None, placed.clone(), &life[0]);
    let letter = DeadLetter {
        consumer: Consumer::Projector,
        record: captured.clone(),
        reason: DeadLetterReason::UnknownType,
        detail: "a type of the future".to_owned(),
        at: at(9),
        parks: Some(order),
        status: LetterStatus::Open,
    };
    let step = PartitionCommit {
        partition,
        expected: ports::Place { next: ports::Offset::START, epoch: ports::Epoch::FIRST },
        next: world.log.end_offset(Topic::Events, partition).await.unwrap(),
        announced: captured.position.offset,
        digest: Digest::ZERO,
    };
    let older = Commit {
        partitions: vec![step],
        snapshots: after
            .map(|order| ports::SnapshotRow {
                bytes: codec::encode_snapshot(&order),
                order,
                position: placed.position,
            })
            .into_iter()
            .collect(),
        history: vec![first.row, waits],
        dead_letters: vec![letter],
        ..Commit::default()
    };
    world.store.commit(&older).await.unwrap();
    world.decide(&[LetterStatus::Retry]).await;
    let running = world.start(Settings::default());
    world.until_decided().await;
    running.stop().await;
    assert_eq!(story_of(&world, order).await, (Some(State::Preparing), vec!["applied"; 3]));
    assert_eq!(ports::DeadLetters::count(world.store.as_ref()).await.unwrap(), 0);
    // The first was told by the older one.
    let told = log::read_all(world.log.as_ref(), Topic::StateChanged).await;
    assert_eq!(told.len(), 2);
}
