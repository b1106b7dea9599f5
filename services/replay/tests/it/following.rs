//! Orders that move although no record comes for them: a new index follows these, too.

use std::{sync::Arc, time::Duration};

use events::OrderId;
use futures::future::FutureExt as _;
use ports::{DeadLetters as _, LetterFilter, LetterStatus, OrderStore, SearchIndex as _};
use replay::{Parts, replay};
use testkit::sample;

use crate::{
    hooked::{Call, Hook, HookedGenerations, When},
    reindexing::{SEARCH, at},
    replaying::{ALL, parts, unwatched},
    world::{World, lives},
};

async fn version_of(store: &dyn OrderStore, order: OrderId) -> u64 {
    let stored = store.load(&[order]).await.unwrap();
    codec::decode_snapshot(&stored[0].bytes).unwrap().version.get()
}

/// No record comes for it: it moves because someone decides on a record of long ago.
#[tokio::test]
async fn an_order_that_is_parked_no_longer_is_followed() {
    let order = sample::order_id(1);
    let events = sample::lifecycle(order);
    let world = World::folded(&events[..1]).await;
    world.park(order).await;
    world.append(&events[1..]).await;
    world.append(&lives(2..20)).await;
    world.fold().await;
    let projector = world.projector();
    let (store, last) = (world.store.clone(), events.len() as u64);
    let decide: Hook = Arc::new(move |_, _, _| {
        let store = store.clone();
        async move {
            let letters = store.letters(&LetterFilter::default(), None, 9).await.unwrap();
            store.decide(letters[0].key(), LetterStatus::Discard).await.unwrap();
            // The projector carries it out; not `wait_for`, whose future can't be sent to another thread.
            while version_of(store.as_ref(), order).await < last {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Ok(())
        }
        .boxed()
    });
    let deciding = at(&world, (Call::Upsert, When::After), decide);
    replay(&deciding, &SEARCH, unwatched()).await.unwrap();
    projector.stop().await;
    assert_eq!(world.index.versions(&[order]).await.unwrap(), [(order, last)].into());
    world.good().await;
}

/// Nor does one come for an order that came to wait when the filling had begun: what is read of it while it waits is not the
/// last of it.
#[tokio::test]
async fn an_order_that_waits_for_a_while_is_followed() {
    for plan in [ALL, SEARCH] {
        let order = sample::order_id(1);
        let events = sample::lifecycle(order);
        let world = Arc::new(World::folded(&events[..1]).await);
        world.append(&lives(2..20)).await;
        world.fold().await;
        let projector = world.projector();
        let (waiting, last) = (Arc::clone(&world), events.len() as u64);
        let park_and_decide: Hook = Arc::new(move |_, call, when| {
            let (world, events) = (Arc::clone(&waiting), events.clone());
            async move {
                match (call, when) {
                    (Call::Create, When::After) => {
                        world.park(order).await;
                        world.append(&events[1..]).await;
                        while world.store.history(order).await.unwrap().len() < events.len() {
                            tokio::time::sleep(Duration::from_millis(10)).await;
                        }
                    }
                    (Call::TakeWrites, When::Before) => {
                        let letters = LetterFilter::default();
                        let letters = world.store.letters(&letters, None, 9).await.unwrap();
                        world.store.decide(letters[0].key(), LetterStatus::Discard).await.unwrap();
                        while version_of(world.store.as_ref(), order).await < last {
                            tokio::time::sleep(Duration::from_millis(10)).await;
                        }
                    }
                    _ => {}
                }
                Ok(())
            }
            .boxed()
        });
        let search = HookedGenerations::new(world.index.clone(), park_and_decide);
        replay(&Parts { search, ..parts(&world) }, &plan, unwatched()).await.unwrap();
        projector.stop().await;
        assert_eq!(world.index.versions(&[order]).await.unwrap(), [(order, last)].into());
        world.good().await;
    }
}
