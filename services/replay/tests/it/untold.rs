//! What can't be in the stream of transitions yet, or need not be there any more, is not missing from it.

use events::Event;
use ports::{
    DeadLetters as _, EventLog as _, LetterFilter, LetterStatus, NewRecord, Offset, Position, Topic,
};
use replay::{Ledger, Share};
use testkit::{log, sample};

use crate::{
    parking::all_are_discarded,
    transitions::{FEW, fields, row},
    world::{World, lives},
};

#[tokio::test]
async fn what_the_search_role_has_not_read_is_not_missing() {
    let world = World::open().await;
    world.append(&lives(1..4)).await;
    world.fold().await;
    assert_eq!(world.good_transitions().await, [0, 18, 0], "it never ran");
    world.stream().await;
    assert_eq!(world.good_transitions().await, [18, 0, 0]);
    world.append(&lives(4..8)).await;
    world.fold().await;
    assert_eq!(world.good_transitions().await, [18, 24, 0]);
    // What is missing of what it has read is found all the same.
    world.stream_sql(&format!("DELETE FROM transitions {}", row(1, 1))).await;
    assert_eq!(fields(&world.differing().await), ["transition"]);
}

/// Changes can be told again, long after, and are on their way until they are read again.
#[tokio::test]
async fn what_is_told_again_and_not_read_yet_is_not_missing() {
    let world = World::streamed(&lives(1..2)).await;
    let Position { partition, .. } = world.position_of(sample::order_id(1)).await;
    let (from, until) = (Offset(2), Offset(3));
    let mut reader = world.log.read(Topic::StateChanged, partition, from, until).await.unwrap();
    let told = reader.next().await.unwrap().remove(0);
    let (key, value) = (told.key.unwrap(), told.value.unwrap());
    let again = NewRecord { key, value, headers: told.headers };
    log::append(world.log.as_ref(), Topic::StateChanged, vec![again]).await;
    world.stream_sql(&format!("DELETE FROM transitions {}", row(1, 3))).await;
    assert_eq!(world.good_transitions().await, [2, 4, 0]);
    world.stream().await;
    assert_eq!(world.good_transitions().await, [6, 0, 0]);
}

/// The stream began later than the log: what there is of the time before is compared, and nothing is missed.
#[tokio::test]
async fn what_is_older_than_the_stream_need_not_be_there() {
    let world = World::streamed(&lives(1..4)).await;
    world.stream_sql(&format!("DELETE FROM transitions {}", row(2, 1))).await;
    world.stream_sql(&format!("DELETE FROM transitions {}", row(3, 6))).await;
    assert_eq!(fields(&world.differing().await), ["transition", "transition"]);
    world.stream_begins_later().await;
    assert_eq!(world.good_transitions().await, [16, 0, 2]);
    let wrong = "document = json_set(document, '$.region', 'nowhere')";
    world.stream_sql(&format!("UPDATE transitions SET {wrong} {}", row(2, 2))).await;
    assert_eq!(fields(&world.differing().await), ["transition.region"]);
}

/// An order's first two events, something unreadable, and the rest of its life.
async fn append_parked(world: &World, n: u64) {
    let id = sample::order_id(n);
    let life = sample::lifecycle(id);
    world.append(&life[..2]).await;
    world.park(id).await;
    world.append(&life[2..]).await;
}

async fn discard(world: &World, letters: usize) -> usize {
    let open = LetterFilter { statuses: vec![LetterStatus::Open], ..LetterFilter::default() };
    let letters = world.store.letters(&open, None, letters).await.unwrap();
    for letter in &letters {
        world.store.decide(letter.key(), LetterStatus::Discard).await.unwrap();
    }
    letters.len()
}

#[tokio::test]
async fn orders_that_wait_and_orders_that_went_on_are_compared() {
    let world = World::open().await;
    append_parked(&world, 1).await;
    append_parked(&world, 2).await;
    world.fold_without_index().await;
    world.stream().await;
    assert_eq!(world.good_transitions().await, [4, 0, 0]);
    assert_eq!(discard(&world, 10).await, 2);
    let projector = world.projector();
    all_are_discarded(&world).await;
    world.append(&[event_of_later(1)]).await;
    world.all_is_folded().await;
    projector.stop().await;
    world.index().await;
    let (found, differences) = world.verify_transitions(Share::All).await;
    assert_eq!(differences, []);
    assert_eq!(found.transitions + found.transitions_behind, 13);
    assert!(found.transitions_behind >= 9, "{found:?}");
    world.stream().await;
    assert_eq!(world.good_transitions().await, [13, 0, 0]);
    for version in [1, 5, 7] {
        world.stream_sql(&format!("DELETE FROM transitions {}", row(1, version))).await;
    }
    let differences = world.differing().await;
    let told: Vec<_> = differences.iter().map(|one| one.expected.as_str()).collect();
    assert_eq!(
        told,
        ["version 1, OrderPlaced", "version 5, OrderDelivered", "version 7, OrderCancelled"]
    );
    world.stream_begins_later().await;
    assert_eq!(world.good_transitions().await, [10, 0, 3]);
}

/// One that is rejected: the order is done.
fn event_of_later(n: u64) -> Event {
    sample::cancelled(sample::order_id(n))
}

/// Beside projectors that work on, and someone who decides: nothing is found that is not there.
#[tokio::test]
async fn a_stream_that_moves_meanwhile_is_found_good() {
    let world = World::streamed(&lives(0..100)).await;
    let (projector, searcher) = (world.projector(), world.searcher());
    let moving = async {
        for n in 0..20 {
            world.append(&lives(100 + n * 10..110 + n * 10)).await;
            append_parked(&world, 1_000 + n).await;
            world.all_is_folded().await;
            discard(&world, 1).await;
        }
        while discard(&world, 5).await > 0 {}
        all_are_discarded(&world).await;
    };
    let verifying = async {
        loop {
            let ledger = Ledger { search: None, ..world.with_transitions(Share::All) };
            let (found, differences) = world.verify_ledger(ledger, FEW).await;
            assert_eq!(differences, []);
            // 300 orders and the 20 that waited.
            if found.transitions == 1_920 {
                return found;
            }
        }
    };
    let ((), found) = tokio::join!(moving, verifying);
    assert_eq!((found.transitions_behind, found.dead_letters), (0, 20));
    projector.stop().await;
    searcher.stop().await;
}
