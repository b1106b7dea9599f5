//! Orders that wait for a decision on a dead letter: what is stored of them must say so.

use bytes::Bytes;
use codec::event_record;
use ports::{
    DeadLetters as _, LetterFilter, LetterStatus, NewRecord, OrderStore as _, partition_for_key,
};
use replay::{Ledger, Verification, verify};
use testkit::{sample, wait_for};

use crate::world::{PARTITIONS, World, blob, of_order};

/// What nothing can be made of, filed under that key.
fn garbage(key: impl Into<Bytes>) -> NewRecord {
    let placed = event_record(&sample::placed(sample::order_id(0)), None);
    NewRecord { key: key.into(), value: Bytes::from_static(b"\xff"), ..placed }
}

/// An order's first two events, something unreadable, and the rest of its life; another order beside it, and one that
/// begins with something unreadable.
async fn parked() -> World {
    let world = World::open().await;
    let id = sample::order_id(1);
    let life: Vec<_> =
        sample::lifecycle(id).iter().map(|event| event_record(event, None)).collect();
    world.append_records(life[..2].to_vec()).await;
    world.append_records(vec![garbage(id.to_string())]).await;
    world.append_records(life[2..].to_vec()).await;
    world.append(&sample::lifecycle(sample::order_id(2))).await;
    world.append_records(vec![garbage(sample::order_id(3).to_string())]).await;
    world.append(&sample::lifecycle(sample::order_id(3))[..2]).await;
    world.fold().await;
    world
}

#[tokio::test]
async fn what_waits_is_no_difference() {
    let world = parked().await;
    let expected = Verification {
        records: 16,
        applied: 8,
        parked: 6,
        dead_letters: 2,
        orders: 2,
        documents: 2,
        ..Verification::default()
    };
    assert_eq!(world.good().await, expected);
}

/// Another spelling of an order's id is another key, and so is an id in a partition that is not its home.
#[tokio::test]
async fn other_keys_park_no_one() {
    let world = World::open().await;
    let id = sample::order_id(1);
    world.append(&[sample::placed(id)]).await;
    let upper = id.to_string().to_uppercase();
    world.append_records(vec![garbage(upper), garbage("nobody")]).await;
    world.append(&sample::lifecycle(id)[1..]).await;
    world.fold().await;
    assert_eq!((world.good().await.parked, world.good().await.applied), (0, 6));
}

#[tokio::test]
async fn a_key_away_from_its_home_parks_no_one() {
    let world = World::open().await;
    let id = sample::order_id(1);
    let home = |key: &str| partition_for_key(key.as_bytes(), PARTITIONS);
    let mut keys = (0..).map(|n| format!("nobody {n}"));
    let elsewhere = keys.find(|key| home(key) != home(&id.to_string())).unwrap();
    world.append_records(vec![garbage(elsewhere)]).await;
    world
        .sql_in("log.db", &format!("UPDATE records SET key = {}", blob(id.to_string().as_bytes())))
        .await;
    world.append(&sample::lifecycle(id)).await;
    world.fold().await;
    let good = world.good().await;
    assert_eq!((good.parked, good.dead_letters, good.applied), (0, 1, 6));
}

#[tokio::test]
async fn an_event_that_should_have_waited_is_found() {
    let world = parked().await;
    let id = sample::order_id(1);
    let shipped = format!("WHERE order_id = '{id}' AND event = 'OrderShipped'");
    world
        .sql(&format!(
            "UPDATE order_history SET outcome = 'applied', version = 4, to_state = 'Shipped' {shipped}"
        ))
        .await;
    assert_eq!(world.wrong().await, [of_order(1, "row.version"), of_order(1, "row.outcome")]);
}

#[tokio::test]
async fn one_that_waits_for_nothing_is_found() {
    let world = World::folded(&sample::lifecycle(sample::order_id(1))).await;
    world
        .sql("UPDATE order_history SET outcome = 'parked', from_state = to_state WHERE version = 6")
        .await;
    assert_eq!(world.wrong().await, [of_order(1, "row.outcome")]);
}

/// Whom a letter parks follows from the record; what someone has decided does not.
#[tokio::test]
async fn a_letter_that_parks_someone_else_is_found() {
    let world = parked().await;
    for parks in ["NULL", "'00000000-0000-0000-0000-000000000000'"] {
        world.sql("CREATE TABLE kept AS SELECT * FROM dead_letters").await;
        let id = sample::order_id(1);
        world.sql(&format!("UPDATE dead_letters SET parks = {parks} WHERE parks = '{id}'")).await;
        assert_eq!(world.wrong().await, [(None, "dead_letter.parks")]);
        world.sql("INSERT OR REPLACE INTO dead_letters SELECT * FROM kept").await;
        world.sql("DROP TABLE kept").await;
    }
    for status in ["retry", "discard"] {
        world.sql(&format!("UPDATE dead_letters SET status = '{status}'")).await;
        assert_eq!(world.good().await.parked, 6);
    }
    // As if the orders had gone on.
    world.sql("UPDATE dead_letters SET status = 'discarded'").await;
    let wrong = world.wrong().await;
    assert!(wrong.contains(&of_order(1, "row.outcome")), "{wrong:?}");
    assert!(wrong.contains(&of_order(1, "snapshot.state")), "{wrong:?}");
    assert!(wrong.contains(&of_order(3, "snapshot")), "{wrong:?}");
}

async fn discard(world: &World) {
    for letter in world.store.letters(&LetterFilter::default(), None, 10).await.unwrap() {
        world.store.decide(letter.key(), LetterStatus::Discard).await.unwrap();
    }
}

pub(crate) async fn all_are_discarded(world: &World) {
    let open = LetterFilter {
        statuses: vec![LetterStatus::Open, LetterStatus::Discard],
        ..LetterFilter::default()
    };
    wait_for("the letters are discarded", std::time::Duration::from_secs(60), async || {
        world.store.letters(&open, None, 1).await.unwrap().is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_order_that_went_on_without_a_record_is_good() {
    let world = parked().await;
    discard(&world).await;
    let projector = world.projector();
    all_are_discarded(&world).await;
    projector.stop().await;
    world.index().await;
    let good = world.good().await;
    assert_eq!((good.applied, good.parked, good.dead_letters, good.orders), (14, 0, 2, 3));
    // One row of it says that it waits.
    world.sql("UPDATE order_history SET outcome = 'parked' WHERE event = 'OrderShipped'").await;
    assert!(world.wrong().await.contains(&of_order(1, "row.outcome")));
}

/// Decisions while it is verified: the same rows say now this, now that, and neither is wrong.
#[tokio::test]
async fn decisions_meanwhile_are_no_differences() {
    let world = World::open().await;
    for n in 0..200 {
        let id = sample::order_id(n);
        world.append(&sample::lifecycle(id)[..2]).await;
        world.append_records(vec![garbage(id.to_string())]).await;
        world.append(&sample::lifecycle(id)[2..]).await;
    }
    world.fold_without_index().await;
    let projector = world.projector();
    let deciding = async {
        let open = LetterFilter { statuses: vec![LetterStatus::Open], ..LetterFilter::default() };
        loop {
            let letters = world.store.letters(&open, None, 5).await.unwrap();
            if letters.is_empty() {
                break;
            }
            for letter in letters {
                world.store.decide(letter.key(), LetterStatus::Discard).await.unwrap();
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        all_are_discarded(&world).await;
    };
    let verifying = async {
        loop {
            let (log, store) = (world.log.as_ref(), world.store.as_ref());
            let ledger =
                Ledger { log, store, dead_letters: store, search: None, transitions: None };
            let found = verify(ledger, &mut |difference| panic!("{difference}")).await.unwrap();
            if found.parked == 0 {
                return found;
            }
        }
    };
    let ((), found) = tokio::join!(deciding, verifying);
    projector.stop().await;
    assert_eq!((found.applied, found.dead_letters), (1_200, 200));
    assert_eq!(world.store.load(&[sample::order_id(7)]).await.unwrap().len(), 1);
}
