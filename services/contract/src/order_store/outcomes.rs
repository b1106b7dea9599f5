//! History rows of every shape.

use bytes::Bytes;
use events::{EventKind, Rejection, State};
use ports::{Commit, HistoryOutcome, HistoryRow, OrderStore};
use testkit::sample::{cancelled, folded, order_id, placed, shipped};

use super::batch::{batch, history_row, position, snapshot_row, step};

/// Applied, rejected with every reason, duplicate, and an event of an unknown order.
pub async fn every_outcome_is_kept(store: &dyn OrderStore) {
    store.bind_partitions(1).await.unwrap();
    let (order, unknown) = (order_id(1), order_id(2));
    let commit = batch(
        0,
        0,
        &[placed(order), shipped(order), placed(order), cancelled(order), shipped(unknown)],
    );
    store.commit(&commit).await.unwrap();
    let (of_unknown, of_order) = commit.history.split_last().unwrap();
    assert_eq!(store.history(order).await.unwrap(), of_order);
    assert_eq!(store.history(unknown).await.unwrap(), std::slice::from_ref(of_unknown));
    assert!(store.load(&[unknown]).await.unwrap().is_empty(), "an unknown order has no snapshot");

    let outcomes = Rejection::ALL.into_iter().flat_map(|reason| {
        [(None, false), (Some(State::Placed), false), (Some(State::Refunded), true)]
            .map(|(state, recorded)| HistoryOutcome::Rejected { reason, state, recorded })
    });
    round_trip(store, 5, outcomes.map(|outcome| (EventKind::OrderShipped, outcome)).collect())
        .await;
}

/// Every event kind, and every state as before and after.
pub async fn every_kind_and_state_is_kept(store: &dyn OrderStore) {
    store.bind_partitions(1).await.unwrap();
    let states = State::ALL.into_iter().flat_map(|state| {
        [
            HistoryOutcome::Applied { from: None, to: state },
            HistoryOutcome::Applied { from: Some(state), to: State::Placed },
            HistoryOutcome::Duplicate { state },
        ]
    });
    let kinds = EventKind::ALL.into_iter().cycle();
    round_trip(store, 0, kinds.zip(states).collect()).await;
}

/// Texts, bytes and instants come back as they went in.
pub async fn history_is_kept_to_the_microsecond_and_byte(store: &dyn OrderStore) {
    store.bind_partitions(1).await.unwrap();
    let order = order_id(1);
    let mut commit = batch(0, 0, &[placed(order), shipped(order), cancelled(order)]);
    let [first, second, third] = &mut commit.history[..] else {
        panic!("three events, three rows")
    };
    first.actor = None;
    second.actor = Some("Ñandú 🦤 'quoted' {a,b} \\ \"x\"".to_owned());
    second.event = Bytes::from((0..=u8::MAX).collect::<Vec<_>>());
    third.event = Bytes::new();
    first.occurred_at = chrono::DateTime::from_timestamp(-62_135_596_800, 1_000).unwrap();
    third.occurred_at = chrono::DateTime::from_timestamp(253_402_300_799, 999_999_000).unwrap();
    store.commit(&commit).await.unwrap();
    assert_eq!(store.history(order).await.unwrap(), commit.history);
}

async fn round_trip(store: &dyn OrderStore, from: i64, outcomes: Vec<(EventKind, HistoryOutcome)>) {
    let order = order_id(77);
    let event = placed(order);
    let history: Vec<HistoryRow> = outcomes
        .into_iter()
        .zip(from..)
        .map(|((kind, outcome), offset)| HistoryRow {
            kind,
            ..history_row(&event, position(0, offset), 3, outcome)
        })
        .collect();
    let next = from + i64::try_from(history.len()).unwrap();
    let commit = Commit {
        partitions: vec![step(0, from, next)],
        snapshots: vec![snapshot_row(&folded(&[event]), position(0, from))],
        history,
        ..Commit::default()
    };
    store.commit(&commit).await.unwrap();
    assert_eq!(store.history(order).await.unwrap(), commit.history);
}
