//! What another fold would change. The live generation plays the older one: its rows are written by hand.

use events::{EventKind, MinorUnits, Rejection, State};
use ports::{Generations as _, HistoryOutcome};
use replay::{Diff, Plan, Standing, diff};
use testkit::sample;

use crate::{
    replaying::{parts, unwatched},
    world::{World, lives},
};

const KEPT: Plan = Plan { swap: false, ..Plan::WHOLE };

/// As the mailer says it: of every state that is newly entered.
fn mail_of(outcome: &HistoryOutcome) -> Option<&'static str> {
    match outcome {
        HistoryOutcome::Applied { from, to } => (*from != Some(*to)).then(|| to.name()),
        HistoryOutcome::Rejected { .. }
        | HistoryOutcome::Duplicate { .. }
        | HistoryOutcome::Parked { .. } => None,
    }
}

async fn compared(world: &World) -> Diff {
    let replayed = replay::replay(&parts(world), &KEPT, unwatched()).await.unwrap();
    let kept = world.store.open(replayed.generation).await.unwrap();
    diff(world.store.as_ref(), kept.as_ref(), &mail_of).await.unwrap()
}

#[tokio::test]
async fn the_same_fold_changes_nothing() {
    let world = World::folded(&lives(1..1_200)).await;
    let same = compared(&world).await;
    assert_eq!((same.records, same.orders), (1_199 * 6, 1_199));
    let counted = Diff { records: same.records, orders: same.orders, ..Diff::default() };
    assert_eq!(same, counted);
}

#[tokio::test]
async fn orders_that_end_otherwise_are_told_with_the_event_at_which_they_part() {
    let world = World::folded(&lives(1..10)).await;
    // The older fold would not let the first be delivered, and so not completed; and it charged the second otherwise.
    let (first, second) = (sample::order_id(1), sample::order_id(2));
    world
        .sql(&format!(
            "UPDATE order_history SET outcome = 'rejected', reason = 'IllegalTransition', to_state = 'Shipped',
                 from_state = 'Shipped'
             WHERE order_id = '{first}' AND event IN ('OrderDelivered', 'OrderCompleted')"
        ))
        .await;
    let life = sample::lifecycle(first);
    world.store_as(&sample::folded(&life[..4])).await;
    let mut charged = sample::folded(&sample::lifecycle(second));
    charged.refunded = MinorUnits::ZERO;
    charged.captured = sample::minor(1);
    world.store_as(&charged).await;

    let found = compared(&world).await;
    assert_eq!((found.orders, found.ends_otherwise), (9, 2));
    let states = [
        ((Some(State::Shipped), Some(State::Completed)), 1),
        ((Some(State::Completed), Some(State::Completed)), 1),
    ];
    assert_eq!(found.states, states.into_iter().collect());
    let why = Rejection::IllegalTransition;
    let now_applied =
        [((EventKind::OrderDelivered, why), 1), ((EventKind::OrderCompleted, why), 1)];
    assert_eq!(found.now_applied, now_applied.into_iter().collect());
    assert_eq!((found.now_rejected.len(), found.otherwise), (0, 0));
    assert_eq!((found.would_send, found.would_not_send), (2, 0));
    let example = found.examples.iter().find(|example| example.order_id == first).unwrap();
    let parts_at = example.parts_at.unwrap();
    assert_eq!(parts_at.kind, EventKind::OrderDelivered);
    let to = State::Delivered;
    assert_eq!(parts_at.new, Some(HistoryOutcome::Applied { from: Some(State::Shipped), to }));
    let example = found.examples.iter().find(|example| example.order_id == second).unwrap();
    assert_eq!(example.parts_at, None, "no event of it went another way");
    let sums = example.live.unwrap().sums.unwrap();
    assert_eq!(sums[1], sample::minor(1));
}

/// Both are compared as of the same records.
#[tokio::test]
async fn orders_that_moved_on_since_are_no_difference() {
    let world = World::folded(&lives(1..4)).await;
    let order = sample::order_id(9);
    world.append(&[sample::placed(order)]).await;
    world.fold().await;
    let replayed = replay::replay(&parts(&world), &KEPT, unwatched()).await.unwrap();
    world.append(&[sample::captured(order), sample::placed(sample::order_id(10))]).await;
    world.fold().await;
    let kept = world.store.open(replayed.generation).await.unwrap();
    let found = diff(world.store.as_ref(), kept.as_ref(), &mail_of).await.unwrap();
    assert_eq!((found.records, found.orders, found.ends_otherwise), (19, 4, 0));

    // The other way round it would be seen.
    world
        .sql(&format!(
            "UPDATE order_history SET to_state = 'Paid' WHERE order_id = '{order}' AND version = 1"
        ))
        .await;
    let found = diff(world.store.as_ref(), kept.as_ref(), &mail_of).await.unwrap();
    assert_eq!((found.otherwise, found.ends_otherwise), (1, 1));
    let standing = Standing { state: State::Paid, sums: None };
    assert_eq!(found.examples[0].live, Some(standing));
}
