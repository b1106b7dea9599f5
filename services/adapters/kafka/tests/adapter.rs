//! What is Kafka's alone: other writers, a full queue, topics that lose history, members that come and go under load,
//! brokers that are away.

#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

mod cluster;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use adapter_kafka::{KafkaLog, KafkaOptions};
use async_trait::async_trait;
use bytes::Bytes;
use cluster::{admin, on_fresh_log, on_log, options};
use contract::event_log::SETTINGS;
use ports::{
    AppendError, EventLog, Group, GroupOffsets, LogError, LogRecord, NewRecord, Offset, Partition,
    Position, StartOffsets, Subscription, SubscriptionEvent, Topic,
};
use rdkafka::{
    ClientConfig, TopicPartitionList,
    admin::{AdminOptions, NewTopic, TopicReplication},
    message::{Header, OwnedHeaders},
    mocking::MockCluster,
    producer::{BaseProducer, BaseRecord, Producer as _},
    types::{RDKafkaApiKey, RDKafkaRespErr},
};
use testkit::wait_for;

const PATIENCE: Duration = Duration::from_secs(60);

fn record(key: &str, value: &str) -> NewRecord {
    NewRecord {
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: Bytes::copy_from_slice(value.as_bytes()),
        headers: Vec::new(),
    }
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(PATIENCE, future).await;
    waited.unwrap_or_else(|_| panic!("waited {PATIENCE:?} for {what}"))
}

/// Reads records until there are so many, letting go of whatever is taken away.
async fn next_records(subscription: &mut dyn Subscription, count: usize) -> Vec<LogRecord> {
    let mut read = Vec::new();
    within("records", async {
        while read.len() < count {
            if let SubscriptionEvent::Records(records) = subscription.next().await.unwrap() {
                read.extend(records);
            }
        }
    })
    .await;
    read
}

/// Whoever writes in transactions leaves marks, which have offsets and are no records.
#[tokio::test]
async fn a_partition_that_ends_with_a_mark_is_read_to_its_end() {
    let options = options();
    let topic = format!("{}{}", options.topic_prefix, Topic::Events.name());
    let brokers = options.brokers.clone();
    on_log(options, async |log| {
        let others: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("transactional.id", &topic)
            .create()
            .unwrap();
        others.init_transactions(PATIENCE).unwrap();
        others.begin_transaction().unwrap();
        for value in ["one", "two"] {
            others.send(BaseRecord::<[u8], str>::to(&topic).partition(1).payload(value)).unwrap();
        }
        others.commit_transaction(PATIENCE).unwrap();
        let (partition, end) = (Partition(1), Offset(3));
        wait_for("two records and a mark", PATIENCE, async || {
            let now = log.end_offset(Topic::Events, partition).await.unwrap();
            (now == end).then_some(())
        })
        .await;
        let mut reader = log.read(Topic::Events, partition, Offset::START, end).await.unwrap();
        let mut values = Vec::new();
        within("the end", async {
            loop {
                let records = reader.next().await.unwrap();
                if records.is_empty() {
                    break;
                }
                values.extend(records.into_iter().filter_map(|record| record.value));
            }
        })
        .await;
        assert_eq!(values, ["one", "two"]);
    })
    .await;
}

#[tokio::test]
async fn what_others_wrote_is_handed_over_as_it_is() {
    let options = options();
    let topic = format!("{}{}", options.topic_prefix, Topic::Events.name());
    let brokers = options.brokers.clone();
    on_log(options, async |log| {
        let others: BaseProducer =
            ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
        let to = || BaseRecord::<[u8], [u8]>::to(&topic).partition(1);
        let odd = OwnedHeaders::new()
            .insert(Header { key: "null", value: None::<&[u8]> })
            .insert(Header { key: "ñ", value: Some(b"\xff\x00".as_slice()) });
        others.send(to()).unwrap();
        others.send(to().payload(b"\xff\xfe".as_slice())).unwrap();
        others.send(to().key(b"".as_slice()).payload(b"".as_slice())).unwrap();
        others.send(to().key(b"\x00\xff".as_slice()).headers(odd).timestamp(7)).unwrap();
        others.flush(PATIENCE).unwrap();

        let start = StartOffsets::Group;
        let mut subscription = log.subscribe(Topic::Events, Group::Projector, start).await.unwrap();
        let read = next_records(subscription.as_mut(), 4).await;
        let part = |bytes: &'static [u8]| Some(Bytes::from_static(bytes));
        let parts: Vec<_> = read.iter().map(|r| (r.key.clone(), r.value.clone())).collect();
        assert_eq!(
            parts,
            [
                (None, None),
                (None, part(b"\xff\xfe")),
                (part(b""), part(b"")),
                (part(b"\x00\xff"), None)
            ]
        );
        assert!(read[..3].iter().all(|record| record.headers.is_empty()));
        let headers: Vec<_> = read[3].headers.iter().map(|(n, v)| (n.as_str(), &v[..])).collect();
        assert_eq!(headers, [("null", &b""[..]), ("ñ", &b"\xff\x00"[..])]);
        assert_eq!(read[3].appended_at.unwrap().timestamp_millis(), 7);
    })
    .await;
}

#[tokio::test]
async fn a_full_queue_refuses_and_recovers() {
    let options = KafkaOptions { queue_records_max: 100, ..options() };
    on_log(options, async |log| {
        let mut acks = Vec::new();
        let refused = loop {
            match log.append(Topic::Events, record("a", "1")) {
                Ok(ack) => acks.push(ack),
                Err(error) => break error,
            }
            assert!(acks.len() < 1_000_000, "the queue never fills");
        };
        assert!(matches!(refused, AppendError::QueueFull), "{refused:?}");
        let queued = acks.len();
        for ack in acks {
            within("an acknowledgement", ack).await.unwrap();
        }
        log.append(Topic::Events, record("a", "2")).unwrap().await.unwrap();
        let ends = log.end_offsets(Topic::Events).await.unwrap();
        let appended: i64 = ends.iter().map(|end| end.offset.0).sum();
        assert_eq!(usize::try_from(appended).unwrap(), queued + 1, "nothing refused was queued");
    })
    .await;
}

#[tokio::test]
async fn a_topic_that_forgets_is_unfit() {
    let options = options();
    let topic = format!("{}{}", options.topic_prefix, Topic::Events.name());
    let admin = admin(&options);
    let forgetful =
        NewTopic::new(&topic, 3, TopicReplication::Fixed(1)).set("retention.ms", "3600000");
    admin.create_topics([&forgetful], &AdminOptions::new()).await.unwrap();
    let log = KafkaLog::new(options).unwrap();
    match log.prepare(SETTINGS).await {
        Err(LogError::Unfit(why)) => assert!(why.contains("retention.ms=3600000"), "{why}"),
        other => panic!("{other:?}"),
    }
    admin.delete_topics(&[&topic], &AdminOptions::new()).await.unwrap();
}

/// Keeps places in memory, as a store does.
struct Places(Mutex<Vec<Position>>);

#[async_trait]
impl GroupOffsets for Places {
    async fn next_offsets(&self, partitions: &[Partition]) -> Vec<Position> {
        let places = self.0.lock().unwrap();
        places.iter().filter(|place| partitions.contains(&place.partition)).copied().collect()
    }
}

impl Places {
    fn at_start() -> Arc<Self> {
        let start = |p| Position { partition: Partition(p), offset: Offset::START };
        Arc::new(Self(Mutex::new((0..3).map(start).collect())))
    }

    /// Moves a place if it is where `from` says, as the store does when it commits.
    fn advance(&self, from: Position, next: Offset) -> bool {
        let mut places = self.0.lock().unwrap();
        let place = places.iter_mut().find(|place| place.partition == from.partition).unwrap();
        let fits = place.offset == from.offset;
        if fits {
            place.offset = next;
        }
        fits
    }
}

#[tokio::test]
async fn history_that_is_gone_is_noticed() {
    let options = options();
    let topic = format!("{}{}", options.topic_prefix, Topic::Events.name());
    let admin = admin(&options);
    on_log(options, async |log| {
        let mut gone = TopicPartitionList::new();
        for n in 0..20 {
            let ack = log.append(Topic::Events, record(&n.to_string(), "")).unwrap();
            let Position { partition, offset } = ack.await.unwrap();
            let native = i32::try_from(partition.0).unwrap();
            let next = rdkafka::Offset::Offset(offset.0 + 1);
            match gone.find_partition(&topic, native) {
                Some(mut place) => place.set_offset(next).unwrap(),
                None => gone.add_partition_offset(&topic, native, next).unwrap(),
            }
        }
        admin.delete_records(&gone, &AdminOptions::new()).await.unwrap();

        let start = Offset::START;
        let read = log.read(Topic::Events, Partition(0), start, Offset(1)).await.map(drop);
        assert!(matches!(read, Err(LogError::Unfit(_))), "{read:?}");
    })
    .await;
}

#[tokio::test]
async fn a_place_that_the_log_does_not_hold_ends_the_subscription() {
    let options = options();
    let topic = format!("{}{}", options.topic_prefix, Topic::Events.name());
    let admin = admin(&options);
    on_log(options, async |log| {
        log.append(Topic::Events, record("a", "")).unwrap().await.unwrap();
        let partition = ports::partition_for_key(b"a", 3);
        let mut gone = TopicPartitionList::new();
        let native = i32::try_from(partition.0).unwrap();
        gone.add_partition_offset(&topic, native, rdkafka::Offset::End).unwrap();
        admin.delete_records(&gone, &AdminOptions::new()).await.unwrap();
        let start = StartOffsets::External(Places::at_start());
        let mut subscription = log.subscribe(Topic::Events, Group::Projector, start).await.unwrap();
        let ended = within("the end", subscription.next()).await;
        match ended {
            Err(LogError::Unfit(why)) => assert!(why.contains("history is gone"), "{why}"),
            other => panic!("{other:?}"),
        }
    })
    .await;
}

/// Three members that keep their places themselves come and go while records are written: with a compare-and-set on
/// the place, every record counts exactly once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_come_and_go_under_load() {
    const COUNT: usize = 30_000;
    on_fresh_log(async |log| {
        let places = Places::at_start();
        let counted = Mutex::new(BTreeSet::new());
        let follow = async |records_at_least: usize| {
            let start = StartOffsets::External(Arc::clone(&places) as Arc<dyn GroupOffsets>);
            let group = Group::Projector;
            let mut subscription = log.subscribe(Topic::Events, group, start).await.unwrap();
            let mut read = 0;
            while read < records_at_least && counted.lock().unwrap().len() < COUNT {
                let next = tokio::time::timeout(Duration::from_millis(200), subscription.next());
                let Ok(event) = next.await else { continue };
                let SubscriptionEvent::Records(records) = event.unwrap() else { continue };
                read += records.len();
                for record in records {
                    let at = record.position;
                    if places.advance(at, at.offset.next()) {
                        let number = record.value.unwrap();
                        assert!(counted.lock().unwrap().insert(number), "{at:?} counted twice");
                    }
                }
            }
        };
        let write = async {
            for n in 0..COUNT {
                let record = record(&format!("key {}", n % 50), &n.to_string());
                while let Err(error) = log.append(Topic::Events, record.clone()) {
                    assert!(matches!(error, AppendError::QueueFull), "{error:?}");
                    tokio::task::yield_now().await;
                }
                if n % 1_000 == 0 {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            log.flush().await;
        };
        let come_and_go = async {
            for _ in 0..3 {
                follow(3_000).await;
            }
        };
        within("all records", async {
            tokio::join!(write, follow(usize::MAX), come_and_go);
        })
        .await;
        assert_eq!(counted.lock().unwrap().len(), COUNT);
    })
    .await;
}

#[tokio::test]
async fn a_producer_that_failed_for_good_is_replaced() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(Topic::Events.name(), 3, 1).unwrap();
    // What a broker answers to a client that may not write idempotently: fatal to librdkafka.
    let forbidden = RDKafkaRespErr::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
    cluster.request_errors(RDKafkaApiKey::InitProducerId, &[forbidden]);
    let log =
        KafkaLog::new(KafkaOptions { brokers: cluster.bootstrap_servers(), ..Default::default() })
            .unwrap();
    let mut refused = 0;
    let position = wait_for("an acknowledgement", PATIENCE, async || {
        match log.append(Topic::Events, record("a", "1")).unwrap().await {
            Ok(position) => Some(position),
            Err(AppendError::Unacknowledged(_)) => {
                refused += 1;
                None
            }
            Err(other) => panic!("{other:?}"),
        }
    })
    .await;
    assert!(refused > 0, "the first producer was to fail");
    assert_eq!(position.offset, Offset::START);
    within("a flush", log.flush()).await;
}

#[tokio::test]
async fn brokers_that_are_away_are_waited_for() {
    // Nothing listens on the discard port.
    let options = KafkaOptions {
        brokers: "127.0.0.1:9".to_owned(),
        ack_timeout: Duration::from_millis(500),
        ..KafkaOptions::default()
    };
    let log = KafkaLog::new(options).unwrap();
    let prepared = within("an answer", log.prepare(SETTINGS)).await;
    assert!(matches!(prepared, Err(LogError::Unavailable(_))), "{prepared:?}");
    let asked = within("an answer", log.end_offsets(Topic::Events)).await;
    assert!(matches!(asked, Err(LogError::Unavailable(_))), "{asked:?}");
    let ack = log.append(Topic::Events, record("a", "1")).unwrap();
    let lost = within("a refusal", ack).await;
    assert!(matches!(lost, Err(AppendError::Unacknowledged(_))), "{lost:?}");
    within("a flush", log.flush()).await;

    let start = StartOffsets::Group;
    let mut subscription = log.subscribe(Topic::Events, Group::Search, start).await.unwrap();
    let waited = tokio::time::timeout(Duration::from_secs(1), subscription.next()).await;
    assert!(waited.is_err(), "{waited:?}");
}

#[tokio::test]
async fn wrong_properties_are_named() {
    let with = |name: &str, value: &str| {
        let properties = vec![(name.to_owned(), value.to_owned())];
        KafkaLog::new(KafkaOptions { properties, ..KafkaOptions::default() }).map(drop)
    };
    for (name, value) in
        [("no.such.setting", "1"), ("acks", "1"), ("security.protocol", "carrier pigeon")]
    {
        match with(name, value) {
            Err(LogError::Unfit(why)) => assert!(why.contains(name), "{why}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}
