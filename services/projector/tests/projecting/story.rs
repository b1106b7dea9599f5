//! A small log that has everything in it.

use bytes::Bytes;
use codec::event_record;
use events::{Event, OrderId};
use ports::{NewRecord, Partition, partition_for_key};
use testkit::sample;

/// How many partitions the tests' logs have.
pub(crate) const PARTITIONS: u32 = 3;

pub(crate) fn record(event: &Event) -> NewRecord {
    event_record(event, None)
}

/// Four lives, interleaved, with everything that can be wrong with a record that a producer of ours could write.
pub(crate) fn story() -> Vec<NewRecord> {
    let [straight, repeated, cancelled, early] = [1, 2, 3, 4].map(sample::order_id);
    let repeats = sample::lifecycle(repeated).into_iter().flat_map(|event| [event.clone(), event]);
    let placed = sample::placed(cancelled).id;
    let reused = sample::encoded_anew(Event { id: placed, ..sample::delivered(cancelled) });
    let cancelled = vec![
        sample::placed(cancelled),
        sample::captured(cancelled),
        sample::cancelled(cancelled),
        sample::shipped(cancelled),
        reused.clone(),
        sample::shipped(cancelled),
        reused,
    ];
    let early = vec![
        sample::captured(early),
        sample::placed(early),
        sample::delivered(early),
        sample::placed(early),
        sample::captured(early),
    ];
    let lives = [sample::lifecycle(straight), repeats.collect(), cancelled, early];
    let mut lives: Vec<_> =
        lives.map(|life| life.iter().map(record).collect::<Vec<_>>().into_iter()).into();
    lives.push(unreadable(straight).into_iter());
    interleave(lives)
}

/// Filed under an order's key, or what looks like one, but not to be read.
fn unreadable(order: OrderId) -> Vec<NewRecord> {
    let good = record(&sample::placed(order));
    let headers = Vec::new;
    vec![
        NewRecord { value: Bytes::from_static(b"\xff no protobuf"), ..good.clone() },
        NewRecord { value: Bytes::new(), headers: headers(), ..good.clone() },
        NewRecord { key: Bytes::from_static(b"someone else"), ..good.clone() },
        NewRecord { key: Bytes::new(), headers: headers(), ..good },
    ]
}

/// One of each in turn.
pub(crate) fn interleave<T>(mut each: Vec<impl Iterator<Item = T>>) -> Vec<T> {
    let mut all = Vec::new();
    loop {
        let round: Vec<_> = each.iter_mut().filter_map(Iterator::next).collect();
        if round.is_empty() {
            return all;
        }
        all.extend(round);
    }
}

/// An order in every partition, each with its first event.
pub(crate) fn one_in_each_partition() -> Vec<NewRecord> {
    let lives_in = |order: &OrderId, partition| {
        partition_for_key(order.to_string().as_bytes(), PARTITIONS) == Partition(partition)
    };
    let first = |partition| (100..).map(sample::order_id).find(|order| lives_in(order, partition));
    (0..PARTITIONS).filter_map(first).map(|order| record(&sample::placed(order))).collect()
}
