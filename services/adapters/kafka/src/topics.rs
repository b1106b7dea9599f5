//! The topics: how they are laid out, made if missing and checked if there. What a fit topic is, [`crate::topics_check`] says.

use std::time::Duration;

use ports::{LogError, Offset, Partition, Position, Topic, TopicSettings};
use rdkafka::{
    ClientContext,
    admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication},
    client::Client,
    error::{KafkaError, RDKafkaErrorCode},
    metadata::MetadataTopic,
};
use tokio::time::Instant;

use crate::{
    assignment::native,
    client::Plain,
    error::{unavailable, unfit_settings},
    options::KafkaOptions,
    topics_check::{Found, check, settings_of_new},
};

/// How long a question to the cluster may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How long a topic may take to be made, and to be seen by all brokers.
const MADE_WITHIN: Duration = Duration::from_secs(15);
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How many partitions a new topic gets if no one says.
const PARTITIONS: u32 = 6;
/// How many replicas a new topic gets if no one says and there are enough brokers.
const REPLICAS: u16 = 3;

/// How a topic is spread over the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) partitions: u32,
    /// Of the partition that has the fewest.
    pub(crate) replicas: u16,
}

/// How many partitions a topic has. Blocks.
pub(crate) fn partitions<C: ClientContext>(
    client: &Client<C>,
    name: &str,
) -> Result<u32, LogError> {
    match look(client, name)?.0 {
        Some(layout) => Ok(layout.partitions),
        None => Err(LogError::Unavailable(format!("the topic {name} does not exist yet"))),
    }
}

/// What a partition holds: from its first record that is still there to where the next one will stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) start: Offset,
    pub(crate) end: Offset,
}

/// What a partition holds. Blocks.
pub(crate) fn bounds<C: ClientContext>(
    client: &Client<C>,
    name: &str,
    partition: Partition,
) -> Result<Bounds, LogError> {
    let (low, high) = client
        .fetch_watermarks(name, native(partition), ANSWER_WITHIN)
        .map_err(|error| unavailable("ask for the bounds of a partition", &error))?;
    Ok(Bounds { start: Offset(low), end: Offset(high) })
}

/// One bound of each partition of a topic. Blocks.
pub(crate) fn each<C: ClientContext>(
    client: &Client<C>,
    name: &str,
    bound: impl Fn(Bounds) -> Offset,
) -> Result<Vec<Position>, LogError> {
    let partitions = (0..partitions(client, name)?).map(Partition);
    partitions
        .map(|partition| {
            Ok(Position { partition, offset: bound(bounds(client, name, partition)?) })
        })
        .collect()
}

/// A topic's layout, if it exists, and how many brokers there are. Blocks.
fn look<C: ClientContext>(
    client: &Client<C>,
    name: &str,
) -> Result<(Option<Layout>, usize), LogError> {
    let metadata = client
        .fetch_metadata(Some(name), ANSWER_WITHIN)
        .map_err(|error| unavailable("reach the brokers", &error))?;
    let brokers = metadata.brokers().len();
    let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == name) else {
        return Ok((None, brokers));
    };
    match topic.error().map(RDKafkaErrorCode::from) {
        None if topic.partitions().is_empty() => Ok((None, brokers)),
        None => Ok((Some(layout(topic)), brokers)),
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
            Ok((None, brokers))
        }
        Some(code @ RDKafkaErrorCode::TopicAuthorizationFailed) => {
            Err(LogError::Unfit(format!("the topic {name} may not be used by this client: {code}")))
        }
        Some(code) => Err(LogError::Unavailable(format!("the topic {name}: {code}"))),
    }
}

fn layout(topic: &MetadataTopic) -> Layout {
    let replicas = topic.partitions().iter().map(|partition| partition.replicas().len()).min();
    Layout {
        partitions: u32::try_from(topic.partitions().len()).unwrap_or(u32::MAX),
        replicas: u16::try_from(replicas.unwrap_or(0)).unwrap_or(u16::MAX),
    }
}

/// Makes what is missing and checks what is there; the number of partitions that both topics have.
pub(crate) async fn prepare(
    options: &KafkaOptions,
    settings: TopicSettings,
) -> Result<u32, LogError> {
    let mut cluster = Cluster::connect(options)?;
    let prepared = async {
        let events = cluster.prepare(options, Topic::Events, settings).await?;
        let settings = TopicSettings { partitions: Some(events), ..settings };
        cluster.prepare(options, Topic::StateChanged, settings).await
    };
    let prepared = prepared.await;
    cluster.close().await;
    prepared
}

/// The cluster, for as long as topics are prepared.
struct Cluster(std::sync::Arc<AdminClient<Plain>>);

impl Cluster {
    fn connect(options: &KafkaOptions) -> Result<Self, LogError> {
        let admin = options
            .admin()
            .create_with_context::<_, AdminClient<Plain>>(Plain)
            .map_err(|error| unfit_settings(&error))?;
        Ok(Self(std::sync::Arc::new(admin)))
    }

    /// Closing joins a thread: not here.
    async fn close(self) {
        if tokio::task::spawn_blocking(move || drop(self)).await.is_err() {
            tracing::debug!("the admin client was not closed: the process is ending");
        }
    }

    async fn prepare(
        &mut self,
        options: &KafkaOptions,
        topic: Topic,
        settings: TopicSettings,
    ) -> Result<u32, LogError> {
        let name = options.topic(topic);
        let layout = match self.look(&name).await? {
            (Some(layout), _) => layout,
            (None, brokers) => {
                self.make(topic, &name, settings, brokers).await?;
                self.appeared(&name).await?
            }
        };
        let settings_found = self.describe(&name).await?;
        let found = Found { topic, name: &name, layout, settings: &settings_found };
        check(&found, settings).map_err(LogError::Unfit)?;
        Ok(layout.partitions)
    }

    async fn look(&self, name: &str) -> Result<(Option<Layout>, usize), LogError> {
        let (admin, name) = (std::sync::Arc::clone(&self.0), name.to_owned());
        tokio::task::spawn_blocking(move || look(admin.inner(), &name))
            .await
            .map_err(|error| LogError::Unavailable(format!("the process is ending: {error}")))?
    }

    async fn make(
        &self,
        topic: Topic,
        name: &str,
        settings: TopicSettings,
        brokers: usize,
    ) -> Result<(), LogError> {
        let enough = u16::try_from(brokers).unwrap_or(u16::MAX).clamp(1, REPLICAS);
        let replicas = settings.replication.unwrap_or(enough);
        let partitions = settings.partitions.unwrap_or(PARTITIONS);
        let with = settings_of_new(topic, replicas);
        let count = i32::try_from(partitions).unwrap_or(i32::MAX);
        let mut new = NewTopic::new(name, count, TopicReplication::Fixed(replicas.into()));
        for (setting, value) in &with {
            new = new.set(setting, value);
        }
        let made = self.0.create_topics([&new], &within(MADE_WITHIN)).await;
        let made = made.map_err(|error| unavailable("create topics", &error))?;
        match made.into_iter().next() {
            // Another process may have been faster; what it made is checked.
            Some(Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => {
                tracing::info!(topic = name, partitions, replicas, "topic created");
                Ok(())
            }
            Some(Err((_, code))) if needs_an_operator(code) => Err(LogError::Unfit(format!(
                "the topic {name} can't be created with {partitions} partitions and {replicas} replicas on {brokers} \
                 brokers: {code}"
            ))),
            Some(Err((_, code))) => {
                Err(LogError::Unavailable(format!("could not create the topic {name}: {code}")))
            }
            None => Err(LogError::Unavailable(format!("no answer about the topic {name}"))),
        }
    }

    /// Waits until a topic that was made is seen.
    async fn appeared(&self, name: &str) -> Result<Layout, LogError> {
        let until = Instant::now() + MADE_WITHIN;
        loop {
            if let (Some(layout), _) = self.look(name).await? {
                return Ok(layout);
            }
            if Instant::now() >= until {
                let why = format!("the topic {name} was created, but is not seen yet");
                return Err(LogError::Unavailable(why));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// The settings in effect for a topic.
    async fn describe(&self, name: &str) -> Result<Vec<(String, String)>, LogError> {
        let described = self
            .0
            .describe_configs([&ResourceSpecifier::Topic(name)], &within(ANSWER_WITHIN))
            .await
            .map_err(|error| not_described(name, &error))?;
        match described.into_iter().next() {
            Some(Ok(resource)) => Ok(resource
                .entries
                .into_iter()
                .filter_map(|entry| Some((entry.name, entry.value?)))
                .collect()),
            Some(Err(code)) => Err(not_described(name, &KafkaError::AdminOp(code))),
            None => Err(LogError::Unavailable(format!("no answer about the topic {name}"))),
        }
    }
}

fn not_described(name: &str, error: &KafkaError) -> LogError {
    match error.rdkafka_error_code() {
        Some(code) if needs_an_operator(code) => LogError::Unfit(format!(
            "the settings of the topic {name} can't be read, so whether it keeps everything is unknown; allow this \
             client to describe it: {code}"
        )),
        _ => unavailable("read a topic's settings", error),
    }
}

fn within(limit: Duration) -> AdminOptions {
    AdminOptions::new().request_timeout(Some(limit)).operation_timeout(Some(limit))
}

const fn needs_an_operator(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::InvalidReplicationFactor
            | RDKafkaErrorCode::InvalidPartitions
            | RDKafkaErrorCode::InvalidConfig
            | RDKafkaErrorCode::InvalidTopic
            | RDKafkaErrorCode::InvalidRequest
            | RDKafkaErrorCode::PolicyViolation
            | RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
    )
}
