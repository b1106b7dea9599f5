//! Verification holds few orders, whatever number there are: nothing is found that is not there, and nothing escapes.

use std::sync::Mutex;

use events::{EventBody, Money, Pieces};
use ports::{EventLog as _, OrderStore as _, Position, Topic};
use replay::{Compared, Ledger, Verification, VerifySettings, verify_with};
use testkit::sample;

use crate::world::{World, lives, of_order};

/// So few that orders are let go of again and again.
const FEW: VerifySettings<'static> =
    VerifySettings { held_max: 20, page: 64, filter_bits_max: 1 << 20, progress: None };

/// A filter that takes every order for one that was there.
const BLIND: VerifySettings<'static> = VerifySettings { filter_bits_max: 64, ..FEW };

/// Events of an order that is done.
fn late(n: u64) -> [events::Event; 2] {
    let amount = Money { amount: sample::minor(1), currency: sample::details().currency() };
    let body = EventBody::PaymentRefunded { amount, reference: None, pieces: Pieces::default() };
    [sample::event(sample::order_id(n), 99, body), sample::placed(sample::order_id(n))]
}

/// Step by step, so that all orders are open at once, and with events that come late.
fn entangled(orders: u64) -> Vec<events::Event> {
    let lives: Vec<_> = (0..orders).map(|n| sample::lifecycle(sample::order_id(n))).collect();
    let steps = (0..6).flat_map(|step| lives.iter().map(move |life| life[step].clone()));
    steps.chain((0..orders).step_by(7).flat_map(late)).collect()
}

#[tokio::test]
async fn orders_that_were_let_go_of_are_verified_all_the_same() {
    let world = World::folded(&entangled(400)).await;
    let good = world.good().await;
    assert_eq!((good.orders, good.applied, good.duplicates), (400, 2_458, 58));
    for settings in [FEW, BLIND] {
        let (found, differences) = world.verify_with(settings).await;
        assert_eq!(differences, []);
        assert_eq!(found, good);
    }
}

/// As many orders as there are, one after the other: memory does not grow with them.
#[tokio::test]
async fn what_is_held_is_bounded() {
    let orders = 6_000;
    let world = World::open().await;
    world.append(&lives(0..orders)).await;
    world.fold_without_index().await;
    world.index().await;
    let told = Mutex::new(Vec::new());
    let progress = |compared: Compared| told.lock().unwrap().push(compared);
    let (found, differences) =
        world.verify_with(VerifySettings { progress: Some(&progress), ..FEW }).await;
    assert_eq!((found.orders, differences.len()), (orders, 0));
    let told = told.into_inner().unwrap();
    let held = told.iter().map(|compared| compared.held).max().unwrap();
    assert!(held <= 2 * (20 + 64), "{held} orders were held");
    let last = told.last().unwrap();
    assert_eq!((last.records, last.of, last.held), (6 * orders, 6 * orders, 0));
    assert!(told.is_sorted_by_key(|compared| compared.records));
}

/// Open ones that are let go of because there are too many, one of which is stored wrong.
#[tokio::test]
async fn what_is_wrong_with_one_of_many_is_found() {
    let world = World::folded(&entangled(300)).await;
    let id = sample::order_id(123);
    world.sql(&format!("UPDATE orders SET snapshot = x'00' WHERE order_id = '{id}'")).await;
    let id = sample::order_id(200);
    world.sql(&format!("DELETE FROM orders WHERE order_id = '{id}'")).await;
    let captured = format!("WHERE order_id = '{}' AND event = 'OrderShipped'", sample::order_id(7));
    world.sql(&format!("DELETE FROM order_history {captured}")).await;
    for settings in [VerifySettings::default(), FEW, BLIND] {
        let (_, differences) = world.verify_with(settings).await;
        let mut wrong: Vec<_> = differences.iter().map(|d| (d.order_id, d.field)).collect();
        wrong.sort_unstable();
        let mut expected = [(None, "row"), of_order(123, "snapshot"), of_order(200, "snapshot")];
        expected.sort_unstable();
        assert_eq!(wrong, expected);
    }
}

/// By name where the filter tells them from those of the log, by number where it does not.
#[tokio::test]
async fn surplus_orders_are_found_by_name_or_by_number() {
    let placed = |n| sample::placed(sample::order_id(n));
    let world = World::folded(&(0..300).map(placed).collect::<Vec<_>>()).await;
    let position = world.position_of(sample::order_id(1)).await;
    for n in 900..905 {
        let order = sample::folded(&[placed(n)]);
        world.tamper(order.clone(), codec::encode_snapshot(&order), position).await;
    }
    let mut wrong = world.wrong().await;
    wrong.sort_unstable();
    let mut expected: Vec<_> = (900..905).map(|n| of_order(n, "snapshot")).collect();
    expected.sort_unstable();
    assert_eq!(wrong, expected);

    let (_, differences) = world.verify_with(BLIND).await;
    let (named, counted): (Vec<_>, Vec<_>) =
        differences.iter().partition(|difference| difference.order_id.is_some());
    let surplus: u64 = counted
        .iter()
        .map(|difference| {
            let count = |text: &str| text.split(' ').next().unwrap().parse::<u64>().unwrap();
            assert_eq!(difference.field, "snapshot");
            count(&difference.stored) - count(&difference.expected)
        })
        .sum();
    assert_eq!(named.len() as u64 + surplus, 5, "{differences:?}");
    assert!(surplus > 0, "the filter is blind");
}

/// Beside a projector that folds on, with old orders that move and new ones that come.
#[tokio::test]
async fn beside_a_projector_nothing_is_found_that_is_not_there() {
    let world = World::folded(&entangled(200)).await;
    let moving = async {
        for n in 0..12 {
            world.append(&lives(1_000 + n * 10..1_010 + n * 10)).await;
            let step = 200 + u32::try_from(n).unwrap();
            let known: Vec<_> = (0..200)
                .map(|k| sample::event(sample::order_id(k), step, EventBody::PreparationStarted))
                .collect();
            world.append(&known).await;
            world.fold_without_index().await;
        }
    };
    let verifying = async {
        let mut last = Verification::default();
        for n in 0..16 {
            let (log, store) = (world.log.as_ref(), world.store.as_ref());
            let ledger =
                Ledger { log, store, dead_letters: store, search: None, transitions: None };
            let settings = [FEW, BLIND][n % 2];
            let mut tell = |difference| panic!("{difference}");
            last = verify_with(ledger, settings, &mut tell).await.unwrap();
        }
        last
    };
    let ((), found) = tokio::join!(moving, verifying);
    assert!(found.orders >= 200);
    let ends = world.log.end_offsets(Topic::Events).await.unwrap();
    let progress = world.store.progress(&[]).await.unwrap();
    let next: Vec<_> =
        progress.iter().map(|p| Position { partition: p.partition, offset: p.next }).collect();
    assert_eq!(next, ends);
}
