//! Verification on embedded parts: a good store is found good, and whatever is wrong with one is named.

use bytes::Bytes;
use codec::event_record;
use events::{EventBody, Order, State};
use ports::{
    Commit, Consumer, DeadLetter, DeadLetterReason, Epoch, EventLog as _, HistoryOutcome,
    HistoryRow, LetterStatus, NewRecord, Offset, OrderDocument, OrderStore as _, Partition,
    PartitionCommit, Place, Position, SearchIndex as _, SnapshotRow, Topic, partition_for_key,
};
use replay::{Ledger, Verification, verify};
use testkit::sample;

use crate::world::{PARTITIONS, World, lives, of_order};

#[tokio::test]
async fn a_good_store_is_found_good() {
    let world = World::folded(&lives(1..6)).await;
    let good = Verification {
        records: 30,
        applied: 30,
        orders: 5,
        documents: 5,
        ..Verification::default()
    };
    assert_eq!(world.good().await, good);
}

#[tokio::test]
async fn an_empty_log_and_an_empty_store_agree() {
    assert_eq!(World::folded(&[]).await.good().await, Verification::default());
}

/// Duplicates, misfits, unknown orders and what can't be read are no differences.
#[tokio::test]
async fn every_record_is_counted_for_what_it_is() {
    let world = World::open().await;
    world.append(&lives(1..3)).await;
    world.append(&lives(2..4)).await;
    world
        .append(&[sample::shipped(sample::order_id(9)), sample::cancelled(sample::order_id(1))])
        .await;
    let good = event_record(&sample::placed(sample::order_id(1)), None);
    let garbage = NewRecord { value: Bytes::from_static(b"\xff"), ..good.clone() };
    let foreign = NewRecord { key: Bytes::from_static(b"someone else"), ..good };
    world.append_records(vec![garbage, foreign]).await;
    world.fold().await;
    let expected = Verification {
        records: 28,
        applied: 18,
        rejected: 2,
        duplicates: 6,
        dead_letters: 2,
        orders: 3,
        documents: 3,
        ..Verification::default()
    };
    assert_eq!(world.good().await, expected);
}

#[tokio::test]
async fn more_orders_than_fit_a_page_are_all_compared() {
    let placed = |n| sample::placed(sample::order_id(n));
    let world = World::folded(&(0..3_500).map(placed).collect::<Vec<_>>()).await;
    let order = sample::folded(&[placed(3_456)]);
    let position = world.position_of(order.id).await;
    world.tamper(order, Bytes::from_static(b"\xff"), position).await;
    let (found, _) = world.verify().await;
    assert_eq!((found.orders, found.documents), (3_500, 3_500));
    assert_eq!(world.wrong().await, [of_order(3_456, "snapshot")]);
}

#[tokio::test]
async fn what_is_not_folded_yet_is_behind_and_no_difference() {
    let world = World::folded(&lives(1..3)).await;
    world.append(&lives(3..4)).await;
    world.append(&[sample::cancelled(sample::order_id(1))]).await;
    let found = world.good().await;
    assert_eq!((found.records, found.behind, found.orders), (12, 7, 2));
}

#[tokio::test]
async fn a_store_that_saw_nothing_is_behind() {
    let world = World::open().await;
    world.append(&lives(1..3)).await;
    let behind = Verification { behind: 12, ..Verification::default() };
    assert_eq!(world.good().await, behind, "not even the partitions are known");
    world.store.bind_partitions(PARTITIONS).await.unwrap();
    assert_eq!(world.good().await, behind);
}

#[tokio::test]
async fn a_changed_snapshot_is_told_field_by_field() {
    let world = World::folded(&lives(1..4)).await;
    let position = world.position_of(sample::order_id(2)).await;
    let good = sample::folded(&sample::lifecycle(sample::order_id(2)));
    let changed = Order { state: State::Shipped, anomalies: 3, ..good.clone() };
    world.tamper(changed.clone(), codec::encode_snapshot(&changed), position).await;
    let (_, differences) = world.verify().await;
    assert_eq!(
        differences.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [("state", "Shipped", "Completed"), ("anomalies", "3", "0")].map(|(field, stored, expected)| {
            let Position { partition, offset } = position;
            format!(
                "order {} at {partition}/{offset} snapshot.{field}: stored is {stored}, the log says {expected}",
                good.id
            )
        })
    );
}

#[tokio::test]
async fn a_changed_position_is_found() {
    let world = World::folded(&lives(1..4)).await;
    let order = sample::folded(&sample::lifecycle(sample::order_id(2)));
    let home = world.position_of(order.id).await;
    for offset in [Offset(0), Offset(1_000)] {
        let position = Position { offset, ..home };
        world.tamper(order.clone(), codec::encode_snapshot(&order), position).await;
        assert_eq!(world.wrong().await, [of_order(2, "snapshot.position")], "{offset}");
    }
}

/// A projector that moves on without storing what it folded: its lag reads zero.
#[tokio::test]
async fn a_skipped_record_is_found() {
    let world = World::folded(&lives(1..4)).await;
    let key = sample::order_id(7).to_string();
    let partition = partition_for_key(key.as_bytes(), PARTITIONS);
    let progress = world.store.progress(&[partition]).await.unwrap()[0];
    world.append(&[sample::placed(sample::order_id(7))]).await;
    let step = PartitionCommit {
        partition,
        expected: progress.place(),
        next: progress.next.next(),
        announced: progress.announced,
        digest: progress.digest,
    };
    let commit = Commit { partitions: vec![step], ..Commit::default() };
    world.store.commit(&commit).await.unwrap();
    let (found, _) = world.verify().await;
    assert_eq!((found.orders, found.behind), (4, 0));
    let expected = [
        (None, "row"),
        (None, "progress.digest"),
        of_order(7, "snapshot"),
        of_order(7, "document"),
    ];
    assert_eq!(world.wrong().await, expected);
}

#[tokio::test]
async fn every_changed_column_of_the_history_is_found() {
    let world = World::folded(&lives(1..4)).await;
    let id = sample::order_id(2);
    let captured = format!("WHERE order_id = '{id}' AND event = 'PaymentCaptured'");
    for (field, change) in [
        ("row.version", "version = version + 1"),
        ("row.event_id", "event_id = '00000000-0000-0000-0000-000000000000'"),
        ("row.event", "event = 'PaymentDeclined'"),
        ("row.outcome", "from_state = 'Paid'"),
        ("row.occurred_at", "occurred_at = occurred_at + 1"),
        ("row.actor", "actor = 'mallory'"),
        ("row.record", "record = x'00'"),
    ] {
        world.sql("CREATE TABLE kept AS SELECT * FROM order_history").await;
        world.sql(&format!("UPDATE order_history SET {change} {captured}")).await;
        assert_eq!(world.wrong().await, [of_order(2, field)], "{change}");
        world.sql("INSERT OR REPLACE INTO order_history SELECT * FROM kept").await;
        world.sql("DROP TABLE kept").await;
    }
}

#[tokio::test]
async fn missing_and_added_rows_are_found() {
    let world = World::folded(&lives(1..4)).await;
    let id = sample::order_id(2);
    let row = world.store.history(id).await.unwrap().remove(2);
    let Position { partition, offset } = row.position;
    world
        .sql(&format!(
            "DELETE FROM order_history WHERE partition = {partition} AND \"offset\" = {offset}"
        ))
        .await;
    assert_eq!(world.wrong().await, [(None, "row")]);
    let commit = Commit { history: vec![row.clone()], ..Commit::default() };
    world.store.commit(&commit).await.unwrap();
    assert_eq!(world.wrong().await, []);
    let beyond = Position { offset: Offset(1_000), ..row.position };
    let added = HistoryRow { position: beyond, ..row };
    world.store.commit(&Commit { history: vec![added], ..Commit::default() }).await.unwrap();
    assert_eq!(world.wrong().await, [of_order(2, "row")]);
}

#[tokio::test]
async fn dead_letters_are_compared_too() {
    let world = World::open().await;
    let good = event_record(&sample::placed(sample::order_id(1)), None);
    let garbage = NewRecord { value: Bytes::from_static(b"\xff"), ..good.clone() };
    world.append_records(vec![good, garbage]).await;
    world.fold().await;
    assert_eq!(world.wrong().await, []);
    world.sql("UPDATE dead_letters SET value = x'00'").await;
    assert_eq!(world.wrong().await, [(None, "dead_letter.value")]);
    world.sql("UPDATE dead_letters SET value = x'ff', \"offset\" = 0").await;
    // One for the event that is none, one for the garbage that has none.
    assert_eq!(world.wrong().await, [(None, "dead_letter"), (None, "dead_letter")]);
    world.sql("DELETE FROM dead_letters").await;
    assert_eq!(world.wrong().await, [(None, "dead_letter")]);
}

/// Wherever it claims to come from: another order's event, an event that was rejected, no event, no partition.
#[tokio::test]
async fn an_extra_snapshot_is_found() {
    let mut events = lives(1..4);
    events.push(sample::shipped(sample::order_id(7)));
    let world = World::folded(&events).await;
    let first = world.position_of(sample::order_id(1)).await;
    let key = sample::order_id(7).to_string();
    let home = partition_for_key(key.as_bytes(), PARTITIONS);
    let last = world.log.end_offset(Topic::Events, home).await.unwrap();
    for position in [
        first,
        Position { partition: home, offset: Offset(last.0 - 1) },
        Position { partition: home, offset: Offset(1_000) },
        Position { partition: Partition(99), offset: Offset(0) },
    ] {
        let order = sample::folded(&[sample::placed(sample::order_id(7))]);
        world.tamper(order.clone(), codec::encode_snapshot(&order), position).await;
        assert_eq!(world.wrong().await, [of_order(7, "snapshot")], "{position:?}");
    }
}

#[tokio::test]
async fn documents_that_differ_or_are_missing_are_found() {
    let world = World::folded(&lives(1..3)).await;
    let order = sample::folded(&sample::lifecycle(sample::order_id(2)));
    let newer = OrderDocument {
        version: 99,
        region: "Elsewhere".to_owned(),
        ..OrderDocument::from(&order)
    };
    world.index.upsert(&[newer]).await.unwrap();
    let (_, differences) = world.verify().await;
    let told: Vec<_> = differences.iter().map(|d| (d.field, d.stored.as_str())).collect();
    assert_eq!(told, [("document", "region: \"Elsewhere\""), ("document", "version: 99")]);

    world.append(&[sample::placed(sample::order_id(5))]).await;
    world.fold_without_index().await;
    let (_, differences) = world.verify().await;
    let missing = differences.iter().find(|d| d.order_id == Some(sample::order_id(5))).unwrap();
    assert_eq!((missing.stored.as_str(), missing.expected.as_str()), ("nothing", "version 1"));
}

/// An event of a type that a binary did not know is kept. One that knows it finds it missing, and folds it into a store
/// of its own.
#[tokio::test]
async fn what_was_not_understood_is_found_and_folded_by_a_rebuild() {
    let id = sample::order_id(1);
    let events = [sample::placed(id), sample::captured(id), sample::preparation_started(id)];
    let rebuilt = World::folded(&events).await;
    let [placed, captured, prepared] = rebuilt.store.history(id).await.unwrap().try_into().unwrap();

    let older = World::open().await;
    older.append(&events).await;
    older.store.bind_partitions(PARTITIONS).await.unwrap();
    let order = sample::folded(&[events[0].clone(), events[2].clone()]);
    let outcome = HistoryOutcome::Applied { from: Some(State::Placed), to: State::Preparing };
    let position = prepared.position;
    let not_understood = DeadLetter {
        consumer: Consumer::Projector,
        record: older.record(captured.position).await,
        reason: DeadLetterReason::UnknownType,
        detail: "a type of the future".to_owned(),
        at: sample::at(9),
        parks: None,
        status: LetterStatus::Open,
    };
    let commit = Commit {
        partitions: vec![PartitionCommit {
            partition: position.partition,
            expected: Place { next: Offset::START, epoch: Epoch::FIRST },
            next: position.offset.next(),
            announced: Offset::START,
            digest: events::Digest::ZERO,
        }],
        snapshots: vec![SnapshotRow { bytes: codec::encode_snapshot(&order), order, position }],
        history: vec![placed, HistoryRow { version: 2, outcome, ..prepared }],
        dead_letters: vec![not_understood],
        ..Commit::default()
    };
    older.store.commit(&commit).await.unwrap();
    let wrong = older.wrong().await;
    assert_eq!(wrong[..2], [(None, "row"), (None, "dead_letter")], "{wrong:?}");
    assert!(wrong.contains(&of_order(1, "snapshot.captured")));

    assert_eq!(rebuilt.good().await.applied, 3);
    let stored = rebuilt.store.load(&[id]).await.unwrap().remove(0);
    assert_eq!(stored.bytes, codec::encode_snapshot(&sample::folded(&events)));
}

/// Beside a projector that folds on nothing is found that is not there.
#[tokio::test]
async fn a_store_that_moves_meanwhile_is_found_good() {
    let world = World::folded(&lives(0..300)).await;
    let moving = async {
        for n in 0..20 {
            world.append(&lives(300 + n * 10..310 + n * 10)).await;
            let known: Vec<_> = (0..300)
                .map(|k| {
                    sample::event(
                        sample::order_id(k),
                        100 + n as u32,
                        EventBody::PreparationStarted,
                    )
                })
                .collect();
            world.append(&known).await;
            world.fold_without_index().await;
        }
    };
    let verifying = async {
        for _ in 0..20 {
            let ledger = Ledger {
                log: world.log.as_ref(),
                store: world.store.as_ref(),
                dead_letters: world.store.as_ref(),
                search: None,
                transitions: None,
            };
            let found = verify(ledger, &mut |difference| panic!("{difference}")).await.unwrap();
            assert!(found.orders >= 300);
        }
    };
    tokio::join!(moving, verifying);
}
