//! The parts that the configuration chose, behind their ports. The only place that knows every adapter.

mod there;

use std::{
    error::Error,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use adapter_elasticsearch::{ElasticsearchIndex, ElasticsearchMetrics, ElasticsearchOptions};
use adapter_embedded::{DataDir, DataDirLock, SqliteLog, SqliteSearch, SqliteStore};
use adapter_kafka::{KafkaLog, KafkaOptions};
use adapter_postgres::{PostgresOptions, PostgresStore};
use adapter_smtp::{FileMailer, SmtpMailer};
use ports::{
    AuditStore, Clock, Concealing, DeadLetters, DeliveryStore, EventLog, Generations, IdSource,
    KeptTransitions, Mailer, Measures, MetricStream, OrderStore, Pooled, SearchGenerations,
    SearchIndex, TimerStore, TopicSettings, TransitionStream,
};

use crate::{
    clock::{SystemClock, SystemIds},
    config::{Config, LogLocation, MailLocation, SearchLocation, StateLocation},
};

/// A part can't be put together from its configuration.
#[derive(Debug, thiserror::Error)]
#[error("can't open the {part}")]
pub(crate) struct OpenError {
    part: &'static str,
    #[source]
    source: Box<dyn Error + Send + Sync>,
}

/// Every part of a process. Servers need not be there yet.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) topics: TopicSettings,
    pub(crate) orders: Arc<dyn OrderStore>,
    pub(crate) deliveries: Arc<dyn DeliveryStore>,
    pub(crate) timers: Arc<dyn TimerStore>,
    pub(crate) dead_letters: Arc<dyn DeadLetters>,
    pub(crate) audits: Arc<dyn AuditStore>,
    pub(crate) generations: Arc<dyn Generations>,
    pub(crate) connections: Arc<dyn Pooled>,
    pub(crate) search: Arc<dyn SearchIndex>,
    pub(crate) search_generations: Arc<dyn SearchGenerations>,
    pub(crate) transitions: Arc<dyn TransitionStream>,
    pub(crate) kept_transitions: Arc<dyn KeptTransitions>,
    pub(crate) metrics: Arc<dyn MetricStream>,
    pub(crate) measures: Measures,
    pub(crate) mailer: Arc<dyn Mailer>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdSource>,
    /// Held as long as the parts are, by the one process that writes the embedded log.
    _lock: Option<Arc<DataDirLock>>,
}

/// What a process means to do with embedded parts; servers take everyone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// To play roles, or to write the log: one process at a time.
    Own,
    /// To look, and to write what SQLite itself keeps apart, beside whoever plays the roles.
    Beside,
}

impl Parts {
    /// Opens what is embedded, makes it if it is missing, and keeps other processes from doing so; makes clients for
    /// what is not embedded.
    pub(crate) async fn open(config: &Config) -> Result<Self, OpenError> {
        let lock = lock(config)?;
        Self::open_for(Use::Own, config, lock).await
    }

    /// As `open`, for a tool that may run beside a process which plays the roles: it appends nothing and joins no group.
    ///
    /// # Errors
    /// There is no ledger yet.
    pub(crate) async fn open_beside(config: &Config) -> Result<Self, OpenError> {
        there::files(config)?;
        Self::open_for(Use::Beside, config, None).await
    }

    /// As `open_beside`, for a tool that needs a state store which was prepared already.
    ///
    /// # Errors
    /// There is no ledger yet, or the store can't be asked.
    pub(crate) async fn open_to_look(config: &Config) -> Result<Self, OpenError> {
        there::tables(config).await?;
        Self::open_beside(config).await
    }

    async fn open_for(
        r#use: Use,
        config: &Config,
        lock: Option<Arc<DataDirLock>>,
    ) -> Result<Self, OpenError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let log = open_log(r#use, config).await?;
        let stores = Stores::open(config).await?;
        let Search { index: search, generations: search_generations, transitions, kept, metrics } =
            open_search(config).await?;
        let measures = config.metrics_interval.map_or_else(Measures::default, |_| Measures::on());
        let mailer = open_mailer(config, &clock)?;
        Ok(Self {
            log,
            topics: TopicSettings {
                partitions: config.log_partitions,
                replication: config.log_replication,
            },
            orders: stores.orders,
            deliveries: stores.deliveries,
            timers: stores.timers,
            dead_letters: stores.dead_letters,
            audits: stores.audits,
            generations: stores.generations,
            connections: stores.connections,
            search,
            search_generations,
            transitions,
            kept_transitions: kept,
            metrics,
            measures,
            mailer,
            clock,
            ids: Arc::new(SystemIds),
            _lock: lock,
        })
    }

    /// What a replay works with.
    pub(crate) fn of_replay(&self) -> replay::Parts {
        replay::Parts {
            log: Arc::clone(&self.log),
            live: Arc::clone(&self.orders),
            dead_letters: Arc::clone(&self.dead_letters),
            generations: Arc::clone(&self.generations),
            search: Arc::clone(&self.search_generations),
            transitions: Arc::clone(&self.transitions),
            clock: Arc::clone(&self.clock),
        }
    }
}

async fn open_log(r#use: Use, config: &Config) -> Result<Arc<dyn EventLog>, OpenError> {
    Ok(match &config.log {
        LogLocation::Sqlite(path) => {
            let log = match r#use {
                Use::Own => SqliteLog::open(path).await,
                Use::Beside => SqliteLog::open_beside(path).await,
            };
            Arc::new(log.map_err(failed("event log"))?)
        }
        LogLocation::Kafka(brokers) => Arc::new(
            KafkaLog::new(KafkaOptions {
                brokers: brokers.clone(),
                topic_prefix: config.kafka.topic_prefix.clone(),
                properties: config.kafka.properties.clone(),
                ..KafkaOptions::default()
            })
            .map_err(failed("event log"))?,
        ),
    })
}

/// One index, and the streams beside it, behind five ports.
struct Search {
    index: Arc<dyn SearchIndex>,
    generations: Arc<dyn SearchGenerations>,
    transitions: Arc<dyn TransitionStream>,
    kept: Arc<dyn KeptTransitions>,
    metrics: Arc<dyn MetricStream>,
}

impl Search {
    fn new<S>(config: &Config, index: S, metrics: Arc<dyn MetricStream>) -> Self
    where
        S: SearchIndex + SearchGenerations + TransitionStream + KeptTransitions + 'static,
    {
        let index = Arc::new(Concealing::new(index, config.search_customers.clone()));
        Self {
            index: Arc::<Concealing<S>>::clone(&index),
            generations: Arc::<Concealing<S>>::clone(&index),
            transitions: Arc::<Concealing<S>>::clone(&index),
            kept: index,
            metrics,
        }
    }
}

async fn open_search(config: &Config) -> Result<Search, OpenError> {
    Ok(match &config.search {
        SearchLocation::Sqlite(path) => {
            let index = SqliteSearch::open(path).await.map_err(failed("search index"))?;
            Search::new(config, index.clone(), Arc::new(index))
        }
        SearchLocation::Elasticsearch(url) => {
            let options = ElasticsearchOptions {
                url: url.clone(),
                index_prefix: config.elasticsearch.index_prefix.clone(),
                api_key: config.elasticsearch.api_key.clone(),
                ..ElasticsearchOptions::default()
            };
            let metrics = ElasticsearchMetrics::new(options.clone());
            let index = ElasticsearchIndex::new(options).map_err(failed("search index"))?;
            Search::new(config, index, Arc::new(metrics.map_err(failed("stream of metrics"))?))
        }
    })
}

fn open_mailer(config: &Config, clock: &Arc<dyn Clock>) -> Result<Arc<dyn Mailer>, OpenError> {
    let (from, clock) = (&config.mail_from, Arc::clone(clock));
    Ok(match &config.mail {
        MailLocation::Folder(path) => {
            Arc::new(FileMailer::new(path, from, clock).map_err(failed("outbox"))?)
        }
        MailLocation::Smtp(url) => {
            let mailer = SmtpMailer::new(url, from, config.mail_timeout, clock);
            Arc::new(mailer.map_err(failed("mail server"))?)
        }
    })
}

/// One database behind seven ports.
struct Stores {
    orders: Arc<dyn OrderStore>,
    deliveries: Arc<dyn DeliveryStore>,
    timers: Arc<dyn TimerStore>,
    dead_letters: Arc<dyn DeadLetters>,
    audits: Arc<dyn AuditStore>,
    generations: Arc<dyn Generations>,
    connections: Arc<dyn Pooled>,
}

impl Stores {
    async fn open(config: &Config) -> Result<Self, OpenError> {
        Ok(match &config.state {
            StateLocation::Sqlite(path) => {
                Self::of(SqliteStore::open(path).await.map_err(failed("state store"))?)
            }
            StateLocation::Postgres(url) => Self::of(postgres(url, config)?),
        })
    }

    fn of<S>(store: S) -> Self
    where
        S: OrderStore
            + DeliveryStore
            + TimerStore
            + DeadLetters
            + AuditStore
            + Generations
            + Pooled
            + 'static,
    {
        let store = Arc::new(store);
        Self {
            orders: Arc::<S>::clone(&store),
            deliveries: Arc::<S>::clone(&store),
            timers: Arc::<S>::clone(&store),
            dead_letters: Arc::<S>::clone(&store),
            audits: Arc::<S>::clone(&store),
            generations: Arc::<S>::clone(&store),
            connections: store,
        }
    }
}

fn postgres(url: &str, config: &Config) -> Result<PostgresStore, OpenError> {
    let store = PostgresStore::new(PostgresOptions {
        url: url.to_owned(),
        schema: config.postgres.schema.clone(),
        connections_max: config.postgres.connections_max,
    });
    store.map_err(failed("state store"))
}

/// Removes what earlier runs left in the embedded parts: the database files and the mails, nothing else.
///
/// # Errors
/// Another process holds the data folder, a part is not embedded, or a file can't be removed.
pub(crate) fn forget(config: &Config) -> Result<(), OpenError> {
    let (
        LogLocation::Sqlite(log),
        StateLocation::Sqlite(state),
        SearchLocation::Sqlite(search),
        MailLocation::Folder(outbox),
    ) = (&config.log, &config.state, &config.search, &config.mail)
    else {
        let source = "only embedded parts can be forgotten; leave --fresh out".into();
        return Err(OpenError { part: "data folder", source });
    };
    let _lock = lock(config)?;
    let forgotten = || {
        for database in [log, state, search] {
            remove_database(database)?;
        }
        for generation in generations(state)? {
            remove_database(&generation)?;
        }
        match fs::read_dir(outbox) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            files => {
                for file in files? {
                    let path = file?.path();
                    if path.extension().is_some_and(|extension| extension == "eml") {
                        remove(&path)?;
                    }
                }
            }
        }
        Ok::<(), io::Error>(())
    };
    forgotten().map_err(failed("data folder"))
}

/// The files of generations beside the live one.
fn generations(state: &Path) -> io::Result<Vec<PathBuf>> {
    let Some(folder) = state.parent() else { return Ok(Vec::new()) };
    let stem = state.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned());
    let is_one = |name: &str| {
        let number = name.strip_prefix(&stem).and_then(|rest| rest.strip_prefix("-g"));
        let number = number.and_then(|rest| rest.strip_suffix(".db"));
        number.is_some_and(|number| number.parse::<u32>().is_ok())
    };
    let files = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        files => files?,
    };
    let files = files.collect::<io::Result<Vec<_>>>()?.into_iter();
    Ok(files
        .filter(|file| is_one(&file.file_name().to_string_lossy()))
        .map(|file| file.path())
        .collect())
}

fn remove_database(path: &Path) -> io::Result<()> {
    for suffix in ["", "-wal", "-shm"] {
        let mut file = OsString::from(path);
        file.push(suffix);
        remove(Path::new(&file))?;
    }
    Ok(())
}

fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Whether anything that can't be lost is kept in the data folder.
pub(crate) const fn is_embedded(config: &Config) -> bool {
    matches!(config.log, LogLocation::Sqlite(_))
        || matches!(config.state, StateLocation::Sqlite(_))
        || matches!(config.search, SearchLocation::Sqlite(_))
}

fn lock(config: &Config) -> Result<Option<Arc<DataDirLock>>, OpenError> {
    if !is_embedded(config) {
        return Ok(None);
    }
    DataDir::lock(&config.data).map(|lock| Some(Arc::new(lock))).map_err(failed("data folder"))
}

fn failed<E: Error + Send + Sync + 'static>(part: &'static str) -> impl Fn(E) -> OpenError {
    move |source| OpenError { part, source: Box::new(source) }
}
