//! Where a part lives, by URL.

use std::path::PathBuf;

/// The event log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LogLocation {
    Sqlite(PathBuf),
    /// `host:port[,host:port…]`.
    Kafka(String),
}

/// Snapshots, history, deliveries, timers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StateLocation {
    Sqlite(PathBuf),
    Postgres(String),
}

/// The search index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SearchLocation {
    Sqlite(PathBuf),
    Elasticsearch(String),
}

/// Where mails go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MailLocation {
    Folder(PathBuf),
    Smtp(String),
}

impl LogLocation {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Some(path) = path_after("sqlite:", text) {
            return Some(Self::Sqlite(path));
        }
        let brokers = text.strip_prefix("kafka://")?.trim_end_matches('/');
        brokers.split(',').all(is_host_and_port).then(|| Self::Kafka(brokers.to_owned()))
    }
}

impl StateLocation {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Some(path) = path_after("sqlite:", text) {
            return Some(Self::Sqlite(path));
        }
        has_host(text, &["postgres", "postgresql"]).then(|| Self::Postgres(text.to_owned()))
    }
}

impl SearchLocation {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Some(path) = path_after("sqlite:", text) {
            return Some(Self::Sqlite(path));
        }
        has_host(text, &["http", "https"]).then(|| Self::Elasticsearch(text.to_owned()))
    }
}

impl MailLocation {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Some(path) = path_after("file:", text) {
            return Some(Self::Folder(path));
        }
        has_host(text, &["smtp", "smtps"]).then(|| Self::Smtp(text.to_owned()))
    }
}

/// A collector of spans; none if nothing is said. Only the outer `None` is wrong.
#[expect(clippy::option_option, reason = "outer: whether it parses; inner: whether there is one")]
pub(crate) fn endpoint(text: &str) -> Option<Option<String>> {
    let is_one = text.is_empty() || has_host(text, &["http", "https"]);
    is_one.then(|| Some(text.to_owned()).filter(|text| !text.is_empty()))
}

fn path_after(scheme: &str, text: &str) -> Option<PathBuf> {
    let path = text.strip_prefix(scheme)?;
    (!path.is_empty()).then(|| PathBuf::from(path))
}

fn has_host(text: &str, schemes: &[&str]) -> bool {
    url::Url::parse(text).is_ok_and(|url| schemes.contains(&url.scheme()) && url.has_host())
}

fn is_host_and_port(broker: &str) -> bool {
    broker
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|p| p > 0))
}
