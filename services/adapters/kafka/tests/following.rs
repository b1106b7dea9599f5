//! Following, when what is to be read expires, and when brokers are away.

#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

mod cluster;

use std::{future::Future, time::Duration};

use adapter_kafka::{KafkaLog, KafkaOptions};
use bytes::Bytes;
use cluster::{admin, on_fresh_log, on_log, options};
use futures::FutureExt as _;
use ports::{
    AppendError, EventLog, Follower, LogError, NewRecord, Offset, Partition, Position, Topic,
    partition_for_key,
};
use rdkafka::{TopicPartitionList, admin::AdminOptions, mocking::MockCluster};
use testkit::wait_for;

const PATIENCE: Duration = Duration::from_secs(60);
const KEY: &[u8] = b"a";

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(PATIENCE, future).await;
    waited.unwrap_or_else(|_| panic!("waited {PATIENCE:?} for {what}"))
}

/// Appends a record, however often it takes.
async fn append(log: &KafkaLog, topic: Topic, size: usize) -> Position {
    wait_for("an acknowledgement", PATIENCE, async || {
        let key = Bytes::from_static(KEY);
        let record = NewRecord { key, value: Bytes::from(vec![7; size]), headers: Vec::new() };
        match log.append(topic, record).unwrap().await {
            Ok(position) => Some(position),
            Err(AppendError::Unacknowledged(_)) => None,
            Err(other) => panic!("{other:?}"),
        }
    })
    .await
}

/// Where the records of [`KEY`] begin.
fn start() -> Position {
    Position { partition: partition_for_key(KEY, 3), offset: Offset::START }
}

/// Makes the records of a partition expire up to (not including) `first`.
async fn expire(options: &KafkaOptions, topic: Topic, partition: Partition, first: Offset) {
    let mut gone = TopicPartitionList::new();
    let native = i32::try_from(partition.0).unwrap();
    let topic = format!("{}{}", options.topic_prefix, topic.name());
    gone.add_partition_offset(&topic, native, rdkafka::Offset::Offset(first.0)).unwrap();
    admin(options).delete_records(&gone, &AdminOptions::new()).await.unwrap();
}

/// Reads until a record stands at `last`.
async fn read_until(follower: &mut dyn Follower, last: Position) -> usize {
    let mut count = 0;
    within("records", async {
        loop {
            let records = follower.next().await.unwrap();
            count += records.len();
            if records.iter().any(|record| record.position == last) {
                return count;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_place_that_expired_is_refused() {
    let options = options();
    on_log(options.clone(), async |log| {
        let topic = Topic::StateChanged;
        let mut last = append(log, topic, 1).await;
        for _ in 1..20 {
            last = append(log, topic, 1).await;
        }
        let first = Offset(last.offset.0 - 4);
        let partition = last.partition;
        expire(&options, topic, partition, first).await;

        let starts = log.start_offsets(topic).await.unwrap();
        assert!(starts.contains(&Position { partition, offset: first }), "{starts:?}");
        match log.follow(topic, &[start()]).await.map(drop) {
            Err(LogError::Expired { partition: at, asked: Offset::START, first: now }) => {
                assert_eq!((at, now), (partition, first));
            }
            other => panic!("{other:?}"),
        }
        let read = log.read(topic, partition, Offset::START, last.offset.next()).await;
        match read.map(drop) {
            Err(LogError::Expired { first: now, .. }) => assert_eq!(now, first),
            other => panic!("{other:?}"),
        }
        let mut follower = log.follow(topic, &starts).await.unwrap();
        assert_eq!(read_until(follower.as_mut(), last).await, 5);
    })
    .await;
}

/// To go on with what is left would be to skip in silence.
#[tokio::test]
async fn a_follower_that_is_overtaken_by_expiry_ends() {
    let options = options();
    on_log(options.clone(), async |log| {
        let topic = Topic::StateChanged;
        let mut follower = log.follow(topic, &[start()]).await.unwrap();
        // More than is read ahead.
        let mut last = append(log, topic, 900_000).await;
        for _ in 1..80 {
            last = append(log, topic, 900_000).await;
        }
        expire(&options, topic, last.partition, last.offset).await;
        let mut next = Offset::START;
        let end = within("the end", async {
            loop {
                match follower.next().await {
                    Ok(records) => {
                        assert_eq!(records[0].position.offset, next, "nothing is skipped");
                        next = records[records.len() - 1].position.offset.next();
                    }
                    Err(end) => return end,
                }
            }
        });
        match end.await {
            LogError::Expired { partition, asked, first } => {
                assert_eq!((partition, asked, first), (last.partition, next, last.offset));
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(follower.next().await, Err(LogError::Unfit(_))), "it stays ended");
    })
    .await;
}

#[tokio::test]
async fn a_follower_waits_for_brokers_that_are_away() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(Topic::Events.name(), 3, 1).unwrap();
    let options = KafkaOptions {
        brokers: cluster.bootstrap_servers(),
        ack_timeout: Duration::from_millis(500),
        ..KafkaOptions::default()
    };
    let log = KafkaLog::new(options).unwrap();
    let first = append(&log, Topic::Events, 1).await;
    let mut follower = log.follow(Topic::Events, &[start()]).await.unwrap();
    read_until(follower.as_mut(), first).await;
    for _ in 0..2 {
        cluster.broker_down(1).unwrap();
        let waited = tokio::time::timeout(Duration::from_secs(1), follower.next()).await;
        assert!(waited.is_err(), "{waited:?}");
        cluster.broker_up(1).unwrap();
        let later = append(&log, Topic::Events, 1).await;
        read_until(follower.as_mut(), later).await;
    }
}

#[tokio::test]
async fn brokers_that_were_never_there_are_told_of() {
    // Nothing listens on the discard port.
    let options = KafkaOptions { brokers: "127.0.0.1:9".to_owned(), ..KafkaOptions::default() };
    let log = KafkaLog::new(options).unwrap();
    let refused = within("an answer", log.follow(Topic::Events, &[start()])).await.map(drop);
    assert!(matches!(refused, Err(LogError::Unavailable(_))), "{refused:?}");
    let refused = within("an answer", log.start_offsets(Topic::Events)).await;
    assert!(matches!(refused, Err(LogError::Unavailable(_))), "{refused:?}");
}

/// What was read ahead goes with it; those who stay are not disturbed.
#[tokio::test]
async fn followers_come_and_go() {
    on_fresh_log(async |log| {
        let starts = log.start_offsets(Topic::Events).await.unwrap();
        let mut stays = log.follow(Topic::Events, &starts).await.unwrap();
        let mut last = append(log, Topic::Events, 1).await;
        for _ in 0..20 {
            let mut goes = log.follow(Topic::Events, &starts).await.unwrap();
            // Polled once and given up, or never polled at all.
            _ = goes.next().now_or_never();
            last = append(log, Topic::Events, 1).await;
        }
        assert_eq!(read_until(stays.as_mut(), last).await, 21);
    })
    .await;
}
