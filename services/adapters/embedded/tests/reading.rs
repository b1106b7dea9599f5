//! What readers of the log get if its records are large, or damaged.

#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

use std::{path::Path, sync::Arc};

use adapter_embedded::SqliteLog;
use async_trait::async_trait;
use bytes::Bytes;
use ports::{
    EventLog as _, Group, GroupOffsets, LogError, NewRecord, Offset, Partition, Position,
    StartOffsets, SubscriptionEvent, Topic, TopicSettings,
};
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

async fn open(path: &Path) -> SqliteLog {
    let log = SqliteLog::open(path).await.unwrap();
    log.prepare(TopicSettings { partitions: Some(1), replication: None }).await.unwrap();
    log
}

async fn append(log: &SqliteLog, size: usize) -> Position {
    let key = Bytes::from_static(b"key");
    let record = NewRecord { key, value: Bytes::from(vec![7; size]), headers: Vec::new() };
    log.append(Topic::Events, record).unwrap().await.unwrap()
}

/// A batch is bounded in bytes, not only in records.
#[tokio::test]
async fn large_records_come_in_small_batches() {
    const SIZE: usize = 1_000_000;
    let folder = TempDir::new().unwrap();
    let log = open(&folder.path().join("log.db")).await;
    let mut last = append(&log, SIZE).await;
    for _ in 1..30 {
        last = append(&log, SIZE).await;
    }
    let end = last.offset.next();
    let mut reader = log.read(Topic::Events, last.partition, Offset::START, end).await.unwrap();
    let mut batches = Vec::new();
    loop {
        let records = reader.next().await.unwrap();
        if records.is_empty() {
            break;
        }
        batches.push(records.len());
    }
    assert_eq!(batches.iter().sum::<usize>(), 30);
    assert!(batches.iter().all(|records| *records <= 10), "{batches:?}");
}

/// Trying again won't help, and to go on behind the damage would skip a record: an operator must act.
#[tokio::test]
async fn a_damaged_record_ends_its_readers() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("log.db");
    let log = open(&path).await;
    let at = append(&log, 10).await;
    drop(log);
    let options = SqliteConnectOptions::new().filename(&path);
    let mut file = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query("UPDATE records SET headers = x'000000ff'").execute(&mut file).await.unwrap();
    file.close().await.unwrap();

    let log = open(&path).await;
    let read = log.read(Topic::Events, at.partition, at.offset, at.offset.next()).await;
    let read = read.unwrap().next().await;
    assert!(matches!(read, Err(LogError::Unfit(_))), "{read:?}");

    let mut follower = log.follow(Topic::Events, &[at]).await.unwrap();
    let followed = follower.next().await;
    assert!(matches!(followed, Err(LogError::Unfit(_))), "{followed:?}");

    let member = log.subscribe(Topic::Events, Group::Search, StartOffsets::Group).await;
    let mut member = member.unwrap();
    let first = member.next().await.unwrap();
    assert!(matches!(first, SubscriptionEvent::Assigned(_)), "{first:?}");
    let second = member.next().await;
    assert!(matches!(second, Err(LogError::Unfit(_))), "{second:?}");
}

/// A log that was put back from a copy, beside a store that was not: what is appended next would never be folded.
#[tokio::test]
async fn a_place_beyond_the_end_is_refused() {
    struct Beyond(Position);

    #[async_trait]
    impl GroupOffsets for Beyond {
        async fn next_offsets(&self, _: &[Partition]) -> Vec<Position> {
            vec![self.0]
        }
    }

    let folder = TempDir::new().unwrap();
    let log = open(&folder.path().join("log.db")).await;
    let last = append(&log, 10).await;
    for (beyond, is_fine) in [(1, true), (2, false)] {
        let offset = Offset(last.offset.0 + beyond);
        let start = StartOffsets::External(Arc::new(Beyond(Position { offset, ..last })));
        let mut member = log.subscribe(Topic::Events, Group::Projector, start).await.unwrap();
        match member.next().await {
            Ok(SubscriptionEvent::Assigned(_)) => assert!(is_fine, "{offset:?}"),
            Err(LogError::Unfit(why)) => assert!(!is_fine, "{why}"),
            other => panic!("{other:?}"),
        }
    }
}
