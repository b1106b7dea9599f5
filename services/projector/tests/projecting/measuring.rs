//! What the projector notes of its batches: each update once, by event and state, and how long it took.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::TimeDelta;
use events::{EventKind, State};
use ports::{LOAD_TEST_TYPE, Measures, MetricOf, NewRecord, Told, Topic};
use projector::{Parts, Settings};
use testkit::{
    TestClock, log,
    sample::{
        at, cancelled, captured, details_with, lifecycle, order_id, placed, placed_with, shipped,
        text,
    },
};

use crate::{
    story::record,
    world::{Running, World, parts},
};

#[tokio::test]
async fn each_update_is_noted_once_by_what_it_did() {
    let world = World::open().await;
    let (soak, plain, parked, unknown) = (order_id(1), order_id(2), order_id(3), order_id(4));
    let labelled = details_with(|draft| {
        draft.labels.insert(text(LOAD_TEST_TYPE), text("soak"));
    });
    let mut events = lifecycle(soak);
    events[0] = placed_with(soak, labelled);
    // A repeat, which is no update; one that comes too late; and one of an order that is not there.
    events.extend([shipped(soak), cancelled(soak), placed(plain), captured(unknown)]);
    world.append(events.iter().map(record).collect()).await;
    let unreadable = NewRecord { value: b"\xff".as_slice().into(), ..record(&placed(parked)) };
    world.append(vec![unreadable, record(&placed(parked))]).await;

    let appended = log::read_all(world.log.as_ref(), Topic::Events).await;
    let times = || appended.iter().filter_map(|record| record.appended_at);
    let (oldest, newest) = (times().min().unwrap(), times().max().unwrap());
    let measures = Measures::on();
    let running = Running::start(
        Parts {
            clock: Arc::new(TestClock::at(newest + TimeDelta::seconds(2))),
            measures: measures.clone(),
            ..parts(world.log.clone(), world.store.clone(), world.store.clone())
        },
        Settings::default(),
    );
    world.until_folded().await;
    running.stop().await;

    let longest = (newest - oldest).to_std().unwrap().as_secs_f64() + 2.0;
    let lasted = Duration::from_secs(10);
    let told = Told { node: "here", version: "1", until: at(0), lasted };
    let mut found = BTreeMap::new();
    for document in measures.take().documents(told) {
        let event = document.event;
        let MetricOf::Latency { state, load_test_type, count, latency_max_seconds, .. } =
            document.of
        else {
            panic!("{:?}", document.of)
        };
        assert_eq!(document.metric, "state_update");
        assert!((2.0..=longest).contains(&latency_max_seconds), "{latency_max_seconds}");
        let key = (event.action.unwrap(), event.outcome.unwrap(), state, load_test_type);
        found.insert(key, count);
    }
    let of_soak = |event: EventKind, outcome, state: State| {
        ((event.name(), outcome, Some(state.name()), Some("soak".to_owned())), 1)
    };
    let expected = [
        of_soak(EventKind::OrderPlaced, "success", State::Placed),
        of_soak(EventKind::PaymentCaptured, "success", State::Paid),
        of_soak(EventKind::PreparationStarted, "success", State::Preparing),
        of_soak(EventKind::OrderShipped, "success", State::Shipped),
        of_soak(EventKind::OrderDelivered, "success", State::Delivered),
        of_soak(EventKind::OrderCompleted, "success", State::Completed),
        of_soak(EventKind::OrderCancelled, "failure", State::Completed),
        (("OrderPlaced", "success", Some("Placed"), None), 1),
        (("PaymentCaptured", "failure", None, None), 1),
    ];
    assert_eq!(found, expected.into());
}
