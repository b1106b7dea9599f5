//! Whoever changes the log after it was folded is found out, whatever else they change alike.

use events::{Event, OrderId};
use ports::{HistoryRow, OrderStore as _, Partition, Position, SnapshotRow};
use testkit::sample;

use crate::world::{World, blob, lives, of_order, place};

/// The third record of an order with another actor: as it is, and as it would be.
async fn forged(world: &World, id: OrderId) -> (HistoryRow, Vec<u8>) {
    let row = world.store.history(id).await.unwrap().remove(2);
    let event = codec::decode_event(&row.event).unwrap();
    let value = codec::encode_event(&Event { actor: Some(sample::text("mallory")), ..event });
    (row, value.into())
}

async fn change_log(world: &World, at: Position, value: &[u8]) {
    let (value, place) = (blob(value), place(at));
    let statement =
        format!("UPDATE records SET value = {value} {place} AND topic = 'orders.events'");
    world.sql_in("log.db", &statement).await;
}

async fn change_history(world: &World, at: Position, value: &[u8]) {
    let (value, place) = (blob(value), place(at));
    let change = format!("record = {value}, actor = 'mallory'");
    world.sql(&format!("UPDATE order_history SET {change} {place}")).await;
}

/// The snapshot that would come of it.
async fn change_snapshot(world: &World, id: OrderId) {
    let rows = world.store.history(id).await.unwrap();
    let events: Vec<_> = rows.iter().map(|row| codec::decode_event(&row.event).unwrap()).collect();
    let (order, position) = (sample::folded(&events), world.position_of(id).await);
    let SnapshotRow { order, bytes, position } =
        SnapshotRow { bytes: codec::encode_snapshot(&order), order, position };
    world.tamper(order, bytes, position).await;
}

#[tokio::test]
async fn a_record_changed_in_the_log_alone_is_found() {
    let world = World::folded(&lives(1..4)).await;
    let (row, value) = forged(&world, sample::order_id(2)).await;
    change_log(&world, row.position, &value).await;
    assert_eq!(
        world.wrong().await,
        [
            of_order(2, "row.actor"),
            of_order(2, "row.record"),
            (None, "progress.digest"),
            of_order(2, "snapshot.head"),
        ]
    );
}

/// Another actor, the same in the log and in the history: the snapshot's chain tells, and the partition's.
#[tokio::test]
async fn a_record_changed_alike_in_log_and_history_is_found() {
    let world = World::folded(&lives(1..4)).await;
    let (row, value) = forged(&world, sample::order_id(2)).await;
    change_log(&world, row.position, &value).await;
    change_history(&world, row.position, &value).await;
    let expected = [(None, "progress.digest"), of_order(2, "snapshot.head")];
    assert_eq!(world.wrong().await, expected);
}

/// And the partition's head as well: the order's is left to tell.
#[tokio::test]
async fn a_record_changed_alike_in_all_but_the_snapshot_is_found() {
    let world = World::folded(&lives(1..4)).await;
    let (row, value) = forged(&world, sample::order_id(2)).await;
    change_log(&world, row.position, &value).await;
    change_history(&world, row.position, &value).await;
    let (_, differences) = world.verify().await;
    let head = differences[0].expected.split(':').next().unwrap();
    let partition = row.position.partition;
    let forge = format!("UPDATE progress SET digest = x'{head}' WHERE partition = {partition}");
    world.sql(&forge).await;
    assert_eq!(world.wrong().await, [of_order(2, "snapshot.head")]);
}

/// And in the snapshot: only the partition's chain is left to tell.
#[tokio::test]
async fn a_record_changed_alike_everywhere_is_found() {
    let world = World::folded(&lives(1..4)).await;
    let id = sample::order_id(2);
    let (row, value) = forged(&world, id).await;
    let partition = row.position.partition;
    let stored = world.store.progress(&[partition]).await.unwrap()[0];
    change_log(&world, row.position, &value).await;
    change_history(&world, row.position, &value).await;
    change_snapshot(&world, id).await;
    let (_, differences) = world.verify().await;
    let [difference] = differences.try_into().unwrap();
    assert_eq!(difference.field, "progress.digest");
    assert_eq!(difference.position, Some(Position { partition, offset: stored.next }));
    assert_eq!(difference.stored, stored.digest.to_string());
    let why = format!(
        "a record from 0 on and below {} was changed, added, removed or moved after it was folded",
        stored.next
    );
    assert!(difference.expected.ends_with(&why), "{difference}");
}

/// Headers and keys count as well, though nothing is folded from headers.
#[tokio::test]
async fn a_changed_header_is_found() {
    let world = World::folded(&lives(1..4)).await;
    let at = world.position_of(sample::order_id(2)).await;
    world.sql_in("log.db", &format!("UPDATE records SET headers = x'' {}", place(at))).await;
    assert_eq!(world.wrong().await, [(None, "progress.digest")]);
}

/// The last record, gone from the log and from everything that was made of it.
#[tokio::test]
async fn a_record_removed_everywhere_is_found() {
    let world = World::folded(&lives(1..4)).await;
    let id = sample::order_id(2);
    let last = world.store.history(id).await.unwrap().pop().unwrap().position;
    let before = sample::folded(&sample::lifecycle(id)[..5]);
    world.sql_in("log.db", &format!("DELETE FROM records {}", place(last))).await;
    world.sql(&format!("DELETE FROM order_history {}", place(last))).await;
    let rows = world.store.history(id).await.unwrap();
    let (position, bytes) = (rows.last().unwrap().position, codec::encode_snapshot(&before));
    world.sql(&format!("DELETE FROM orders WHERE order_id = '{id}'")).await;
    world.tamper(before, bytes, position).await;
    let wrong = world.wrong().await;
    assert!(wrong.contains(&(None, "progress.digest")), "{wrong:?}");
    assert!(wrong.iter().all(|(_, field)| matches!(*field, "progress.digest" | "document")));
}

/// More than two checkpoints, in one partition.
async fn long() -> World {
    let mut events = lives(1..2);
    let id = sample::order_id(1);
    // Repeats: the cheapest records there are.
    events.extend((0..23_000).map(|_| sample::completed(id)));
    let world = World::open().await;
    world.append(&events).await;
    world.fold_without_index().await;
    world.index().await;
    world
}

/// Only the first one that is wrong is named, and between what it lies.
#[tokio::test]
async fn checkpoints_tell_where() {
    let world = long().await;
    let Position { partition, .. } = world.position_of(sample::order_id(1)).await;
    assert_eq!(world.good().await.records, 23_006);
    let header = |offset: i64, header: &str| {
        let at = Position { partition, offset: ports::Offset(offset) };
        format!("UPDATE records SET headers = {header} {}", place(at))
    };
    for (offset, field, at, good) in [
        (15_000, "checkpoint", 20_000, 10_000),
        (9_999, "checkpoint", 10_000, 0),
        (10_000, "checkpoint", 20_000, 10_000),
        (22_000, "progress.digest", 23_006, 20_000),
    ] {
        world.sql_in("log.db", "CREATE TABLE kept AS SELECT * FROM records").await;
        world.sql_in("log.db", &header(offset, "x''")).await;
        let (_, differences) = world.verify().await;
        let [difference] = differences.try_into().unwrap();
        assert_eq!((difference.field, difference.position.unwrap().offset.0), (field, at));
        let between = format!("a record from {good} on and below {at} was changed");
        assert!(difference.expected.contains(&between), "{difference}");
        world.sql_in("log.db", "INSERT OR REPLACE INTO records SELECT * FROM kept").await;
        world.sql_in("log.db", "DROP TABLE kept").await;
    }
    checkpoints_themselves(&world, partition).await;
}

/// One that is changed itself, removed, or added.
async fn checkpoints_themselves(world: &World, partition: Partition) {
    let first = format!("WHERE partition = {partition} AND next_offset = 10000");
    world.sql("CREATE TABLE kept AS SELECT * FROM checkpoints").await;
    world.sql(&format!("UPDATE checkpoints SET digest = zeroblob(32) {first}")).await;
    let (_, differences) = world.verify().await;
    let [difference] = differences.try_into().unwrap();
    assert_eq!(difference.field, "checkpoint");
    assert!(difference.expected.contains("the checkpoint itself was changed"), "{difference}");
    world.sql(&format!("DELETE FROM checkpoints {first}")).await;
    assert_eq!(world.wrong().await, [(None, "checkpoint")]);
    world.sql("INSERT OR REPLACE INTO checkpoints SELECT * FROM kept").await;
    assert_eq!(world.wrong().await, []);
    world.sql(&format!("INSERT INTO checkpoints VALUES ({partition}, 12345, zeroblob(32))")).await;
    assert_eq!(world.wrong().await, [(None, "checkpoint")]);
}

/// Rows of the same order in each other's place.
#[tokio::test]
async fn reordered_rows_are_found() {
    let world = World::folded(&lives(1..4)).await;
    let rows = world.store.history(sample::order_id(2)).await.unwrap();
    let (first, second) = (rows[1].position, rows[2].position);
    let to = |at: Position, offset: i64| {
        format!("UPDATE order_history SET \"offset\" = {offset} {}", place(at))
    };
    let aside = Position { offset: ports::Offset(999), ..first };
    for statement in
        [to(first, aside.offset.0), to(second, first.offset.0), to(aside, second.offset.0)]
    {
        world.sql(&statement).await;
    }
    let wrong = world.wrong().await;
    let fields: Vec<_> = wrong.iter().map(|(_, field)| *field).collect();
    let of_row = [
        "row.version",
        "row.outcome",
        "row.event_id",
        "row.event",
        "row.occurred_at",
        "row.record",
    ];
    assert_eq!(fields, [of_row, of_row].concat());
    assert!(wrong.iter().all(|(order, _)| *order == Some(sample::order_id(2))));
}
