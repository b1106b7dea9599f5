//! [`KafkaLog`]: the port, put together from producer, topics, members and readers.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use ports::{
    Ack, AppendError, EventLog, Follower, Group, LogError, NewRecord, Offset, Partition, Position,
    Reader, StartOffsets, Subscription, Topic, TopicSettings, partition_for_key,
};
use rdkafka::{
    TopicPartitionList,
    client::Client,
    consumer::{BaseConsumer, Consumer as _},
    producer::Producer as _,
};
use tokio::sync::mpsc;

use crate::{
    assignment::{Membership, Place, native, places},
    client::Plain,
    delivery::Deliveries,
    error::{unavailable, unfit_settings},
    follower::{Following, KafkaFollower},
    mailbox::Mailbox,
    member::Member,
    options::KafkaOptions,
    producer::Producer,
    reader::KafkaReader,
    subscription::KafkaSubscription,
    threads::Threads,
    topics,
};

/// How long the coordinator of a group may take to say where it stands.
const OFFSETS_WITHIN: Duration = Duration::from_secs(10);

/// The event log on an Apache Kafka cluster.
pub struct KafkaLog {
    options: KafkaOptions,
    names: Names,
    producer: Producer,
    /// How many partitions each topic had when it was first asked: an order stays where it is while this process runs.
    counted: [OnceLock<u32>; 2],
    threads: Threads,
}

/// The topics' names on this cluster.
struct Names {
    events: String,
    state_changed: String,
}

impl Names {
    fn of(&self, topic: Topic) -> &str {
        match topic {
            Topic::Events => &self.events,
            Topic::StateChanged => &self.state_changed,
        }
    }
}

impl KafkaLog {
    /// Makes a log; its brokers need not be there yet.
    ///
    /// # Errors
    /// [`LogError::Unfit`] names the option that is wrong.
    pub fn new(options: KafkaOptions) -> Result<Self, LogError> {
        options.check()?;
        Ok(Self {
            names: Names {
                events: options.topic(Topic::Events),
                state_changed: options.topic(Topic::StateChanged),
            },
            producer: Producer::new(options.producer())?,
            counted: [OnceLock::new(), OnceLock::new()],
            threads: Threads::default(),
            options,
        })
    }

    const fn counted(&self, topic: Topic) -> &OnceLock<u32> {
        let [events, state_changed] = &self.counted;
        match topic {
            Topic::Events => events,
            Topic::StateChanged => state_changed,
        }
    }

    /// Asks the cluster something, on a thread where waiting is allowed.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Client<Deliveries>) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let native = self.producer.native();
        blocking(move || question(native.client())).await
    }
}

#[async_trait]
impl EventLog for KafkaLog {
    async fn prepare(&self, settings: TopicSettings) -> Result<(), LogError> {
        let partitions = topics::prepare(&self.options, settings).await?;
        for topic in Topic::ALL {
            self.counted(topic).get_or_init(|| partitions);
        }
        Ok(())
    }

    fn append(&self, topic: Topic, record: NewRecord) -> Result<Ack, AppendError> {
        let partition = self.counted(topic).get().map(|n| partition_for_key(&record.key, *n));
        self.producer.append(topic, self.names.of(topic), partition, &record)
    }

    async fn flush(&self) {
        self.producer.flush().await;
    }

    async fn partitions(&self, topic: Topic) -> Result<u32, LogError> {
        let name = self.names.of(topic).to_owned();
        let partitions = self.ask(move |client| topics::partitions(client, &name)).await?;
        self.counted(topic).get_or_init(|| partitions);
        Ok(partitions)
    }

    async fn end_offsets(&self, topic: Topic) -> Result<Vec<Position>, LogError> {
        let name = self.names.of(topic).to_owned();
        self.ask(move |client| topics::each(client, &name, |bounds| bounds.end)).await
    }

    async fn end_offset(&self, topic: Topic, partition: Partition) -> Result<Offset, LogError> {
        let name = self.names.of(topic).to_owned();
        let bounds = self.ask(move |client| topics::bounds(client, &name, partition)).await?;
        Ok(bounds.end)
    }

    async fn start_offsets(&self, topic: Topic) -> Result<Vec<Position>, LogError> {
        let name = self.names.of(topic).to_owned();
        self.ask(move |client| topics::each(client, &name, |bounds| bounds.start)).await
    }

    async fn group_offsets(&self, topic: Topic, group: Group) -> Result<Vec<Position>, LogError> {
        let partitions = self.partitions(topic).await?;
        let (options, name) = (self.options.clone(), self.names.of(topic).to_owned());
        blocking(move || group_offsets(&options, (topic, &name), group, partitions)).await
    }

    async fn subscribe(
        &self,
        topic: Topic,
        group: Group,
        start: StartOffsets,
    ) -> Result<Box<dyn Subscription>, LogError> {
        let config = self.options.member(topic, group);
        let topic_name = self.names.of(topic).to_owned();
        let subscribed = topic_name.clone();
        let consumer: BaseConsumer<Membership> = blocking(move || {
            let consumer: BaseConsumer<Membership> = config
                .create_with_context(Membership::new(group))
                .map_err(|error| unfit_settings(&error))?;
            consumer
                .subscribe(&[&subscribed])
                .map_err(|error| unavailable("join a group", &error))?;
            Ok(consumer)
        })
        .await?;
        let consumer = Arc::new(consumer);
        let mailbox = Arc::new(Mailbox::new());
        let subscription = KafkaSubscription {
            consumer: Arc::downgrade(&consumer),
            mailbox: Arc::clone(&mailbox),
            topic_name: topic_name.clone(),
            start,
            asked: None,
        };
        let asks = matches!(subscription.start, StartOffsets::External(_));
        let member = Member::new(consumer, Arc::clone(&mailbox), (topic, topic_name), group, asks);
        let name = group.name().trim_start_matches("order-ledger.");
        self.threads.start(name, move || mailbox.is_closed(), move || member.run())?;
        Ok(Box::new(subscription))
    }

    async fn read(
        &self,
        topic: Topic,
        partition: Partition,
        from: Offset,
        until: Offset,
    ) -> Result<Box<dyn Reader>, LogError> {
        let options = self.options.clone();
        let reader =
            blocking(move || KafkaReader::open(&options, topic, partition, from, until)).await?;
        Ok(Box::new(reader))
    }

    async fn follow(&self, topic: Topic, from: &[Position]) -> Result<Box<dyn Follower>, LogError> {
        let partitions = self.partitions(topic).await?;
        if let Some(unknown) = from.iter().find(|place| place.partition.0 >= partitions) {
            let (name, unknown) = (self.names.of(topic), unknown.partition);
            return Err(LogError::Unfit(format!("{name} has no partition {unknown}")));
        }
        let (options, from) = (self.options.clone(), from.to_vec());
        let following = blocking(move || Following::open(&options, topic, &from)).await?;
        // One batch waits here, another one is read meanwhile.
        let (sender, batches) = mpsc::channel(1);
        let weak = sender.downgrade();
        let is_over = move || weak.upgrade().is_none_or(|sender| sender.is_closed());
        self.threads.start("follower", is_over, move || following.run(&sender))?;
        Ok(Box::new(KafkaFollower { batches }))
    }
}

/// Asks for a group's places under its name, without joining it. Blocks.
fn group_offsets(
    options: &KafkaOptions,
    (topic, name): (Topic, &str),
    group: Group,
    partitions: u32,
) -> Result<Vec<Position>, LogError> {
    let config = options.member(topic, group);
    let consumer: BaseConsumer<Plain> =
        config.create_with_context(Plain).map_err(|error| unfit_settings(&error))?;
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition(name, native(Partition(partition)));
    }
    let committed = consumer
        .committed_offsets(list, OFFSETS_WITHIN)
        .and_then(|committed| places(&committed))
        .map_err(|error| unavailable("ask for the places of a group", &error))?;
    let position = |(partition, offset): Place| Position {
        partition,
        offset: offset.unwrap_or(Offset::START),
    };
    Ok(committed.into_iter().map(position).collect())
}

/// Runs what waits on a thread where that is allowed.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| LogError::Unavailable(format!("the process is ending: {error}")))?
}
