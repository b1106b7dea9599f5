//! Reading a part of a partition, outside of any group.

use std::collections::BTreeMap;

use ports::{EventLog, Offset, Partition, Position, Topic};

use super::{append, append_many, positions, read, record};

/// `from` is in, `until` is not.
pub async fn a_read_is_bounded_on_both_sides(log: &dyn EventLog) {
    let mut appended = Vec::new();
    for n in 0..10 {
        appended.push(append(log, Topic::Events, record("a", n)).await);
    }
    let partition = appended[0].partition;
    let part = read(log, Topic::Events, partition, appended[3].offset, appended[7].offset).await;
    assert_eq!(positions(&part), appended[3..7]);
    let one = appended[9].offset;
    let last = read(log, Topic::Events, partition, one, one.next()).await;
    assert_eq!(positions(&last), appended[9..]);
}

/// Where the log ended when the read began: a read always ends.
pub async fn a_read_beyond_the_end_ends_there(log: &dyn EventLog) {
    let appended = append(log, Topic::Events, record("a", 0)).await;
    let beyond = Offset(appended.offset.0 + 1_000);
    let all = read(log, Topic::Events, appended.partition, Offset::START, beyond).await;
    assert_eq!(positions(&all), [appended]);
}

/// Of an empty partition, of an empty part of one.
pub async fn a_read_of_nothing_ends_at_once(log: &dyn EventLog) {
    for partition in (0..3).map(Partition) {
        let none = read(log, Topic::StateChanged, partition, Offset::START, Offset::START).await;
        assert!(none.is_empty());
    }
    let Position { partition, offset } = append(log, Topic::Events, record("a", 0)).await;
    let none = read(log, Topic::Events, partition, offset, offset).await;
    assert!(none.is_empty());
}

/// However long, memory stays bounded.
pub async fn a_long_read_comes_in_batches(log: &dyn EventLog) {
    let appended = append_many(log, 10_000).await;
    let mut expected: BTreeMap<Partition, Vec<Position>> = BTreeMap::new();
    for position in appended {
        expected.entry(position.partition).or_default().push(position);
    }
    for (partition, expected) in expected {
        let end = log.end_offset(Topic::Events, partition).await.unwrap();
        let mut reader = log.read(Topic::Events, partition, Offset::START, end).await.unwrap();
        let mut found = Vec::new();
        loop {
            let records = reader.next().await.unwrap();
            if records.is_empty() {
                break;
            }
            assert!(records.len() <= 4_096, "{} at once", records.len());
            found.extend(positions(&records));
        }
        assert_eq!(found, expected);
        assert!(reader.next().await.unwrap().is_empty(), "the end stays the end");
    }
}
