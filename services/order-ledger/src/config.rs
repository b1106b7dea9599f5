//! Configuration: one table of keys, each settable by flag, by environment and in a TOML file, in that order of
//! precedence. Whoever reads a [`Config`] gets parsed, checked values.

mod keys;
mod location;
mod resolve;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use events::Currency;
use ports::Customers;

pub(crate) use keys::{KEYS, Key};
pub(crate) use location::{LogLocation, MailLocation, SearchLocation, StateLocation};
pub(crate) use resolve::{ConfigError, Resolved, duration};

/// A part of the product that a process can play.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Api,
    Projector,
    Search,
    Mailer,
    Fulfilment,
}

impl Role {
    pub(crate) const ALL: [Self; 5] =
        [Self::Api, Self::Projector, Self::Search, Self::Mailer, Self::Fulfilment];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Projector => "projector",
            Self::Search => "search",
            Self::Mailer => "mailer",
            Self::Fulfilment => "fulfilment",
        }
    }
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// Everything a process needs to know, parsed.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) data: PathBuf,
    pub(crate) log: LogLocation,
    pub(crate) state: StateLocation,
    pub(crate) search: SearchLocation,
    pub(crate) search_customers: Customers,
    pub(crate) mail: MailLocation,
    pub(crate) roles: Vec<Role>,
    pub(crate) grpc_addr: SocketAddr,
    pub(crate) http_addr: SocketAddr,
    pub(crate) log_partitions: Option<u32>,
    pub(crate) log_replication: Option<u16>,
    pub(crate) seed_currency: Currency,
    pub(crate) mail_from: String,
    pub(crate) projector_workers: usize,
    /// How often metrics are shipped; `None` means never.
    pub(crate) metrics_interval: Option<Duration>,
    pub(crate) claim_lease: Duration,
    pub(crate) mail_timeout: Duration,
    pub(crate) kafka: Kafka,
    pub(crate) postgres: Postgres,
    pub(crate) elasticsearch: Elasticsearch,
    pub(crate) fulfilment: Fulfilment,
    pub(crate) traces: Traces,
}

/// What only Kafka needs.
#[derive(Clone, Debug)]
pub(crate) struct Kafka {
    pub(crate) topic_prefix: String,
    pub(crate) properties: Vec<(String, String)>,
}

/// What only Postgres needs.
#[derive(Clone, Debug)]
pub(crate) struct Postgres {
    pub(crate) schema: String,
    pub(crate) connections_max: u32,
}

/// What only Elasticsearch needs.
#[derive(Clone, Debug)]
pub(crate) struct Elasticsearch {
    pub(crate) index_prefix: String,
    pub(crate) api_key: Option<String>,
}

/// Where spans go, and of how many calls.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Traces {
    /// A collector; none, no spans.
    pub(crate) otlp_endpoint: Option<String>,
    /// Of calls that bring no trace.
    pub(crate) sample_ratio: f64,
}

/// After how long in a state the next event is appended; `None` means never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fulfilment {
    pub(crate) pay_after: Option<Duration>,
    pub(crate) prepare_after: Option<Duration>,
    pub(crate) ship_after: Option<Duration>,
    pub(crate) deliver_after: Option<Duration>,
    pub(crate) complete_after: Option<Duration>,
    pub(crate) cancel_unpaid_after: Option<Duration>,
}
