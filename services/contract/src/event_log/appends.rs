//! What happens to a record that is appended, and to the topics that hold it.

use bytes::Bytes;
use futures::FutureExt as _;
use ports::{AppendError, EventLog, LogError, NewRecord, Topic, TopicSettings, partition_for_key};

use super::{SETTINGS, append, append_many, positions, read_all, record, within};

/// A restart must not move or forget anything.
pub async fn preparing_again_changes_nothing(log: &dyn EventLog) {
    let appended = append(log, Topic::Events, record("a", 0)).await;
    log.prepare(SETTINGS).await.unwrap();
    log.prepare(TopicSettings { partitions: None, replication: None }).await.unwrap();
    for topic in Topic::ALL {
        assert_eq!(log.partitions(topic).await.unwrap(), 3);
    }
    assert_eq!(positions(&read_all(log, Topic::Events).await), [appended]);
}

/// Orders would be looked for in partitions where their events are not.
pub async fn another_number_of_partitions_is_refused(log: &dyn EventLog) {
    let refused = log.prepare(TopicSettings { partitions: Some(4), ..SETTINGS }).await;
    assert!(matches!(refused, Err(LogError::Unfit(_))), "{refused:?}");
    assert_eq!(log.partitions(Topic::Events).await.unwrap(), 3);
}

/// To the byte: repeated header names, empty and binary values.
pub async fn a_record_comes_back_as_it_was_appended(log: &dyn EventLog) {
    let header = |name: &str, value: &'static [u8]| (name.to_owned(), Bytes::from_static(value));
    let full = NewRecord {
        key: Bytes::from_static(b"0192f0c1-89ab-7def-8123-456789abcdef"),
        value: Bytes::from((0..=255).collect::<Vec<u8>>()),
        headers: vec![
            header("ce_id", b"1"),
            header("same", b"first"),
            header("same", b"second"),
            header("empty", b""),
            header("bytes", b"\x00\xff"),
        ],
    };
    let bare =
        NewRecord { key: Bytes::from_static(b"k"), value: Bytes::new(), headers: Vec::new() };
    for appended in [full, bare] {
        let position = append(log, Topic::Events, appended.clone()).await;
        let read = read_all(log, Topic::Events).await;
        let found = read.into_iter().find(|record| record.position == position).unwrap();
        assert_eq!(found.key, Some(appended.key));
        assert_eq!(found.value, Some(appended.value));
        assert_eq!(found.headers, appended.headers);
        assert!(found.appended_at.is_some(), "an adapter of ours knows when");
    }
}

/// Any Java client must find an order where we put it.
pub async fn a_key_chooses_its_partition_as_others_do(log: &dyn EventLog) {
    for n in 0..20 {
        let key = format!("key {n}");
        let position = append(log, Topic::Events, record(&key, 0)).await;
        assert_eq!(position.partition, partition_for_key(key.as_bytes(), 3), "{key}");
    }
}

/// Without waiting in between.
pub async fn records_of_a_key_keep_their_order(log: &dyn EventLog) {
    append_many(log, 2_000).await;
    let read = read_all(log, Topic::Events).await;
    assert_eq!(read.len(), 2_000);
    for key in 0..10 {
        let key = format!("key {key}");
        let found = read.iter().filter(|record| record.key.as_deref() == Some(key.as_bytes()));
        let found: Vec<_> = found.map(|record| record.value.clone().unwrap()).collect();
        let number = |n: &usize| format!("key {}", n % 10) == key;
        let expected: Vec<_> = (0..2_000).filter(number).map(|n| record(&key, n).value).collect();
        assert_eq!(found, expected, "{key}");
    }
}

/// Per partition and all together.
pub async fn acknowledged_records_are_below_the_end(log: &dyn EventLog) {
    let empty = log.end_offsets(Topic::Events).await.unwrap();
    assert_eq!(empty.iter().map(|end| end.partition.0).collect::<Vec<_>>(), [0, 1, 2]);
    for n in 0..5 {
        let position = append(log, Topic::Events, record(&format!("key {n}"), 0)).await;
        let end = log.end_offset(Topic::Events, position.partition).await.unwrap();
        assert_eq!(end, position.offset.next());
        let ends = log.end_offsets(Topic::Events).await.unwrap();
        assert!(ends.iter().any(|e| e.partition == position.partition && e.offset == end));
    }
}

/// And nothing of it is left behind.
pub async fn a_record_that_is_too_large_is_refused_at_once(log: &dyn EventLog) {
    let huge = NewRecord { value: Bytes::from(vec![7; 64 * 1024 * 1024]), ..record("a", 0) };
    let size_least = huge.value.len();
    match log.append(Topic::Events, huge).map(drop) {
        Err(AppendError::TooLarge { size, max }) => assert!(size >= size_least && max < size),
        other => panic!("{other:?}"),
    }
    let position = append(log, Topic::Events, record("a", 1)).await;
    assert_eq!(positions(&read_all(log, Topic::Events).await), [position]);
}

/// What a draining process relies on; nobody has to be waiting for the acknowledgements.
pub async fn a_flush_settles_everything_before_it(log: &dyn EventLog) {
    within("a flush of nothing", log.flush()).await;
    let acks: Vec<_> =
        (0..500).map(|n| log.append(Topic::Events, record("a", n)).unwrap()).collect();
    within("a flush", log.flush()).await;
    for ack in acks {
        // No matter how many were asked before it without a pause.
        let settled = tokio::task::unconstrained(ack).now_or_never();
        assert!(matches!(settled, Some(Ok(_))), "{settled:?}");
    }
    assert_eq!(read_all(log, Topic::Events).await.len(), 500);
}

/// The same key in both.
pub async fn topics_are_apart(log: &dyn EventLog) {
    let event = append(log, Topic::Events, record("a", 1)).await;
    let change = append(log, Topic::StateChanged, record("a", 2)).await;
    assert_eq!(event.partition, change.partition);
    for (topic, n) in [(Topic::Events, 1), (Topic::StateChanged, 2)] {
        let read = read_all(log, topic).await;
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].value, Some(record("a", n).value));
    }
}
