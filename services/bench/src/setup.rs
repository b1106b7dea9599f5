//! The product's parts in this process, on the servers of the tests; gone afterwards.

use std::{fs, sync::Arc, time::Duration};

use adapter_elasticsearch::{ElasticsearchIndex, ElasticsearchOptions};
use adapter_kafka::{KafkaLog, KafkaOptions};
use adapter_postgres::{PostgresOptions, PostgresStore};
use events::Currency;
use ports::{Clock, EventLog, Health, IdSource, OrderStore as _, Topic, TopicSettings};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
};
use testkit::{TestClock, servers};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use uuid::Uuid;

use crate::{Failure, observed};

/// Partitions of the topics, as many as an installation gets by default.
pub(crate) const PARTITIONS: u32 = 6;

/// A log and a store that nobody else uses.
pub(crate) struct Installation {
    name: String,
    pub(crate) log: Arc<KafkaLog>,
    pub(crate) store: Arc<PostgresStore>,
}

impl Installation {
    pub(crate) async fn new() -> Result<Self, Failure> {
        let name = servers::unique("bench");
        let log = KafkaLog::new(KafkaOptions {
            brokers: servers::kafka(),
            topic_prefix: format!("{name}."),
            ..KafkaOptions::default()
        })?;
        log.prepare(TopicSettings { partitions: Some(PARTITIONS), replication: None }).await?;
        let store = PostgresStore::new(PostgresOptions {
            url: servers::postgres(),
            schema: name.clone(),
            connections_max: 16,
        })?;
        store.prepare().await?;
        store.bind_partitions(PARTITIONS).await?;
        Ok(Self { name, log: Arc::new(log), store: Arc::new(store) })
    }

    /// What its topics, its schema and its indices begin with.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// A client for its search index, which nothing has made yet.
    pub(crate) fn index(&self) -> Result<ElasticsearchIndex, Failure> {
        Ok(ElasticsearchIndex::new(ElasticsearchOptions {
            url: servers::elasticsearch(),
            index_prefix: self.search_prefix(),
            ..ElasticsearchOptions::default()
        })?)
    }

    /// Removes what [`Self::index`] made.
    pub(crate) async fn remove_search(&self) -> Result<(), Failure> {
        let (server, prefix) = (servers::elasticsearch(), self.search_prefix());
        let client = reqwest::Client::new();
        for path in [
            format!("_data_stream/{prefix}order-transitions"),
            format!("{prefix}orders-g1"),
            format!("_index_template/{prefix}*"),
            format!("_component_template/{prefix}*"),
        ] {
            client.delete(format!("{server}/{path}")).send().await?.error_for_status()?;
        }
        Ok(())
    }

    /// What the names of its indices begin with.
    pub(crate) fn search_prefix(&self) -> String {
        format!("{}-", self.name)
    }

    /// The topic's full name.
    pub(crate) fn topic(&self, topic: Topic) -> String {
        format!("{}.{}", self.name, topic.name())
    }

    pub(crate) async fn remove(self) -> Result<(), Failure> {
        let config = ClientConfig::new().set("bootstrap.servers", servers::kafka()).clone();
        let admin: AdminClient<DefaultClientContext> = config.create()?;
        let topics = Topic::ALL.map(|topic| self.topic(topic));
        admin.delete_topics(&topics.each_ref().map(String::as_str), &AdminOptions::new()).await?;
        let pool = sqlx::PgPool::connect(&servers::postgres()).await?;
        let drop_schema = format!("DROP SCHEMA {} CASCADE", self.name);
        sqlx::raw_sql(sqlx::AssertSqlSafe(drop_schema)).execute(&pool).await?;
        Ok(())
    }
}

/// The api, listening on loopback.
pub(crate) struct Server {
    pub(crate) address: String,
    pub(crate) installation: Installation,
    running: JoinHandle<Result<(), api::Error>>,
    stop: CancellationToken,
}

impl Server {
    pub(crate) async fn start() -> Result<Self, Failure> {
        let installation = Installation::new().await?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("http://{}", listener.local_addr()?);
        let stop = CancellationToken::new();
        let log: Arc<KafkaLog> = Arc::clone(&installation.log);
        let store: Arc<PostgresStore> = Arc::clone(&installation.store);
        let index = installation.index()?;
        let parts = api::Parts {
            log,
            store,
            index: Arc::new(index),
            clock: clock(),
            ids: Arc::new(RandomIds),
            health: Health::default().reporter("api"),
            measures: observed::measures(),
        };
        let settings = api::Settings { seed_currency: Currency::CLP, ..api::Settings::default() };
        let running = tokio::spawn(api::run(parts, settings, listener, stop.clone()));
        Ok(Self { address, installation, running, stop })
    }

    pub(crate) async fn stop(self) -> Result<(), Failure> {
        self.stop.cancel();
        self.running.await??;
        self.installation.remove().await
    }
}

/// A projector on an installation.
pub(crate) struct Projecting {
    running: JoinHandle<Result<(), projector::Error>>,
    stop: CancellationToken,
}

impl Projecting {
    pub(crate) fn start(installation: &Installation) -> Self {
        let parts = projector::Parts {
            log: Arc::<KafkaLog>::clone(&installation.log),
            store: Arc::<PostgresStore>::clone(&installation.store),
            dead_letters: Arc::<PostgresStore>::clone(&installation.store),
            clock: clock(),
            health: Health::default().reporter("projector"),
            measures: observed::measures(),
        };
        let stop = CancellationToken::new();
        let run = projector::run(parts, projector::Settings::default(), stop.clone());
        Self { running: tokio::spawn(run), stop }
    }

    pub(crate) async fn stop(self) -> Result<(), Failure> {
        self.stop.cancel();
        Ok(self.running.await??)
    }
}

/// Waits until everything that is logged by now is folded.
pub(crate) async fn caught_up(installation: &Installation) -> Result<(), Failure> {
    let ends = installation.log.end_offsets(Topic::Events).await?;
    loop {
        let progress = installation.store.progress(&[]).await?;
        let done = ends.iter().all(|end| {
            progress.iter().any(|at| at.partition == end.partition && at.next >= end.offset)
        });
        if done {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A clock that stands still: what time it is does not matter here.
pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(TestClock::default())
}

struct RandomIds;

impl IdSource for RandomIds {
    #[expect(clippy::disallowed_methods, reason = "this is the bench's source of ids")]
    fn fresh(&self) -> Uuid {
        Uuid::now_v7()
    }
}

/// Lets [`peak_resident_mib`] start anew (`/proc/self/clear_refs`, see proc(5)).
pub(crate) fn forget_peak() -> Result<(), Failure> {
    Ok(fs::write("/proc/self/clear_refs", "5")?)
}

/// The most memory that this process ever held, in MiB, as Linux tells it.
pub(crate) fn peak_resident_mib() -> Result<u64, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    let kib: u64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kib / 1024)
}

/// The channel of the n-th caller.
pub(crate) fn pick(channels: &[Channel], n: usize) -> Channel {
    #[expect(clippy::indexing_slicing, reason = "the index is taken modulo the length")]
    channels[n % channels.len()].clone()
}

/// How many a second.
#[expect(clippy::cast_precision_loss, reason = "a rate is shown to the last thousand")]
pub(crate) fn rate(count: usize, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64()
}
