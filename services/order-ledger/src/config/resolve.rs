//! From flags, environment and file to a checked [`Config`], with errors that say which key, what was given and what
//! is allowed.

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use events::Currency;
use ports::{CustomerKey, Customers};

use super::{
    Config, Elasticsearch, Fulfilment, KEYS, Kafka, Key, LogFormat, LogLocation, MailLocation,
    Postgres, Role, SearchLocation, StateLocation, Traces, keys::Secrecy, location::endpoint,
};

/// The file that is read if no other is named and it exists.
const DEFAULT_FILE: &str = "order-ledger.toml";

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("{origin} is {given:?}; allowed: {allowed}")]
    Value { origin: String, given: String, allowed: &'static str },
    #[error("{file} has the unknown key {key}; `order-ledger config` lists the known ones")]
    UnknownKey { file: String, key: String },
    #[error("can't read the configuration file {file}")]
    Read {
        file: String,
        #[source]
        source: io::Error,
    },
    #[error("{file}, line {line}: not valid TOML: {why}")]
    Syntax { file: String, line: usize, why: String },
}

/// Who set a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Flag,
    Environment,
    File(String),
    Default,
}

/// A value as it was given.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    pub(crate) text: String,
    pub(crate) source: Source,
}

/// Every key's value in effect, not parsed yet.
#[derive(Clone, Debug)]
pub(crate) struct Resolved(BTreeMap<&'static str, Value>);

impl Resolved {
    /// Looks each key up: flag, environment, file, default.
    pub(crate) fn new(
        file: Option<&Path>,
        flag: impl Fn(&Key) -> Option<String>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let file = match (file, environment("ORDER_LEDGER_CONFIG")) {
            (Some(file), _) => Some(file.to_owned()),
            (None, Some(file)) => Some(PathBuf::from(file)),
            (None, None) => Some(PathBuf::from(DEFAULT_FILE)).filter(|file| file.exists()),
        };
        let in_file = file.as_deref().map(read_file).transpose()?.unwrap_or_default();
        let value = |key: &Key| {
            let set = |source, text: Option<String>| Some(Value { text: text?, source });
            set(Source::Flag, flag(key))
                .or_else(|| set(Source::Environment, environment(&key.variable())))
                .or_else(|| {
                    let name = file.as_ref().map(|f| f.display().to_string()).unwrap_or_default();
                    set(Source::File(name), in_file.get(key.name).cloned())
                })
                .unwrap_or_else(|| Value { text: key.default.to_owned(), source: Source::Default })
        };
        Ok(Self(KEYS.iter().map(|key| (key.name, value(key))).collect()))
    }

    /// Puts a default of the caller's own where no one said anything.
    pub(crate) fn default_to(&mut self, name: &str, text: &str) {
        if let Some(value) = self.0.get_mut(name).filter(|v| v.source == Source::Default) {
            text.clone_into(&mut value.text);
        }
    }

    /// How log lines are written, and which. Parsed apart: it is needed before anything can be logged.
    pub(crate) fn logging(&self) -> Result<(LogFormat, String), ConfigError> {
        let format = self.parse("log_format", |text| match text {
            "text" => Some(LogFormat::Text),
            "json" => Some(LogFormat::Json),
            _ => None,
        })?;
        let filter = self.parse("log_filter", |text| {
            tracing_subscriber::EnvFilter::try_new(text).ok().map(|_| text.to_owned())
        })?;
        Ok((format, filter))
    }

    /// Parses every value.
    pub(crate) fn config(&self) -> Result<Config, ConfigError> {
        self.logging()?;
        Ok(Config {
            data: self.parse("data", folder)?,
            log: self.parse("log", LogLocation::parse)?,
            state: self.parse("state", StateLocation::parse)?,
            search: self.parse("search", SearchLocation::parse)?,
            search_customers: self.search_customers()?,
            mail: self.parse("mail", MailLocation::parse)?,
            roles: self.parse("roles", roles)?,
            grpc_addr: self.parse("grpc_addr", |text| text.parse().ok())?,
            http_addr: self.parse("http_addr", |text| text.parse().ok())?,
            log_partitions: self.parse("log_partitions", |text| auto(text, 1..=1000))?,
            log_replication: self.parse("log_replication", |text| auto(text, 1..=9))?,
            seed_currency: self.parse("seed_currency", Currency::from_code)?,
            mail_from: self.parse("mail_from", |t| t.contains('@').then(|| t.to_owned()))?,
            projector_workers: self.parse("projector_workers", |text| within(text, 1..=64))?,
            claim_lease: self.parse("claim_lease", |text| after(text).flatten())?,
            mail_timeout: self.parse("mail_timeout", mail_timeout)?,
            metrics_interval: self.parse("metrics_interval", interval)?,
            kafka: Kafka {
                topic_prefix: self.parse("kafka.topic_prefix", |text| {
                    name(text, |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
                })?,
                properties: self.parse("kafka.properties", properties)?,
            },
            postgres: Postgres {
                schema: self.parse("postgres.schema", |text| {
                    let starts = text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
                    name(text, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
                        .filter(|text| starts && text.len() <= 63)
                })?,
                connections_max: self
                    .parse("postgres.connections_max", |text| within(text, 2..=500))?,
            },
            elasticsearch: Elasticsearch {
                index_prefix: self.parse("elasticsearch.index_prefix", |text| {
                    name(text, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
                        .filter(|text| !text.starts_with('-'))
                })?,
                api_key: self.parse("elasticsearch.api_key", |text| {
                    Some((!text.is_empty()).then(|| text.to_owned()))
                })?,
            },
            fulfilment: Fulfilment {
                pay_after: self.parse("fulfilment.pay_after", after)?,
                prepare_after: self.parse("fulfilment.prepare_after", after)?,
                ship_after: self.parse("fulfilment.ship_after", after)?,
                deliver_after: self.parse("fulfilment.deliver_after", after)?,
                complete_after: self.parse("fulfilment.complete_after", after)?,
                cancel_unpaid_after: self.parse("fulfilment.cancel_unpaid_after", after)?,
            },
            traces: Traces {
                otlp_endpoint: self.parse("otlp_endpoint", endpoint)?,
                sample_ratio: self.parse("trace_sample_ratio", |text| within(text, 0.0..=1.0))?,
            },
        })
    }

    /// How the search index keeps customers. The key says nothing unless they are hashed, and must then be one.
    fn search_customers(&self) -> Result<Customers, ConfigError> {
        const KEY_CHARS_MIN: usize = 16;
        let hashed = |text: &str| {
            let is_long = text.chars().count() >= KEY_CHARS_MIN;
            is_long.then(|| Customers::Hashed(CustomerKey::new(text)))
        };
        let plain_or_masked = self.parse("search_customer", |text| match text {
            "plain" => Some(Some(Customers::Plain)),
            "masked" => Some(Some(Customers::Masked)),
            "hashed" => Some(None),
            _ => None,
        })?;
        match plain_or_masked {
            Some(customers) => Ok(customers),
            None => self.parse("search_customer_key", hashed),
        }
    }

    fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", |value| value.text.as_str())
    }

    fn parse<T>(
        &self,
        name: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, ConfigError> {
        let text = self.text(name).replace("{data}", self.text("data"));
        parse(&text).ok_or_else(|| {
            let key = KEYS.iter().find(|key| key.name == name);
            let source = self.0.get(name).map_or(&Source::Default, |value| &value.source);
            ConfigError::Value {
                origin: key.map_or_else(|| name.to_owned(), |key| origin(key, source)),
                given: key.map_or_else(String::new, |key| shown(key, &text)),
                allowed: key.map_or("", |key| key.allowed),
            }
        })
    }
}

impl fmt::Display for Resolved {
    /// A TOML file that says the same, secrets masked, each value with who set it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut section = "";
        for key in KEYS {
            let (table, name) = key.name.split_once('.').unwrap_or(("", key.name));
            if table != section {
                section = table;
                writeln!(f, "\n[{section}]")?;
            }
            let text = shown(key, &self.text(key.name).replace("{data}", self.text("data")));
            let source = self.0.get(key.name).map_or(&Source::Default, |value| &value.source);
            writeln!(f, "{name} = {}  # {}", toml::Value::String(text), origin(key, source))?;
        }
        Ok(())
    }
}

/// Who set a key, by the name under which it was set.
fn origin(key: &Key, source: &Source) -> String {
    match source {
        Source::Flag => format!("--{}", key.flag()),
        Source::Environment => key.variable(),
        Source::File(file) => format!("{} in {file}", key.name),
        Source::Default => format!("{} (default)", key.name),
    }
}

/// A value as it may be shown.
fn shown(key: &Key, text: &str) -> String {
    match key.secrecy {
        Secrecy::Open => text.to_owned(),
        Secrecy::Secret if text.is_empty() => String::new(),
        Secrecy::Secret => "***".to_owned(),
        Secrecy::UserInfo => mask_password(text),
    }
}

/// Hides the password between `user:` and the last `@`, whether or not the rest is a proper URL, and in a query.
fn mask_password(text: &str) -> String {
    let (text, query) = text.split_once('?').map_or((text, None), |(t, q)| (t, Some(q)));
    let masked = match (text.split_once("://"), text.rfind('@')) {
        (Some((scheme, rest)), Some(_)) => {
            let (user_info, host) = rest.rsplit_once('@').unwrap_or(("", rest));
            match user_info.split_once(':') {
                Some((user, _)) => format!("{scheme}://{user}:***@{host}"),
                None => text.to_owned(),
            }
        }
        _ => text.to_owned(),
    };
    match query {
        Some(query) if query.contains("password") => format!("{masked}?***"),
        Some(query) => format!("{masked}?{query}"),
        None => masked,
    }
}

/// One line: what the parser shows of the file may be a secret.
fn syntax(file: &str, text: &str, error: &toml::de::Error) -> ConfigError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let why = error.message().lines().collect::<Vec<_>>().join("; ");
    ConfigError::Syntax { file: file.to_owned(), line, why }
}

fn read_file(path: &Path) -> Result<BTreeMap<String, String>, ConfigError> {
    let file = path.display().to_string();
    let text = fs::read_to_string(path)
        .map_err(|source| ConfigError::Read { file: file.clone(), source })?;
    let table: toml::Table = text.parse().map_err(|error| syntax(&file, &text, &error))?;
    let mut values = BTreeMap::new();
    for (name, value) in table {
        match value {
            toml::Value::Table(section) => {
                for (inner, value) in section {
                    values.insert(format!("{name}.{inner}"), plain(&value));
                }
            }
            value => {
                values.insert(name, plain(&value));
            }
        }
    }
    match values.keys().find(|name| KEYS.iter().all(|key| key.name != *name)) {
        Some(key) => Err(ConfigError::UnknownKey { file, key: key.clone() }),
        None => Ok(values),
    }
}

/// A TOML value as a flag would have it: strings bare, lists with commas.
fn plain(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

fn folder(text: &str) -> Option<PathBuf> {
    (!text.is_empty()).then(|| PathBuf::from(text))
}

fn roles(text: &str) -> Option<Vec<Role>> {
    if text == "all" {
        return Some(Role::ALL.to_vec());
    }
    let role = |name: &str| Role::ALL.into_iter().find(|role| role.name() == name.trim());
    let mut roles: Vec<Role> = text.split(',').map(role).collect::<Option<_>>()?;
    roles.sort_unstable();
    roles.dedup();
    Some(roles)
}

fn within<T: std::str::FromStr + PartialOrd>(
    text: &str,
    range: std::ops::RangeInclusive<T>,
) -> Option<T> {
    text.parse().ok().filter(|number| range.contains(number))
}

#[expect(clippy::option_option, reason = "outer: whether it parses; inner: whether it is auto")]
fn auto<T: std::str::FromStr + PartialOrd>(
    text: &str,
    range: std::ops::RangeInclusive<T>,
) -> Option<Option<T>> {
    if text == "auto" { Some(None) } else { within(text, range).map(Some) }
}

fn name(text: &str, allowed: impl Fn(char) -> bool) -> Option<String> {
    (text.len() <= 100 && text.chars().all(allowed)).then(|| text.to_owned())
}

fn properties(text: &str) -> Option<Vec<(String, String)>> {
    text.split(',')
        .filter(|pair| !pair.trim().is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=')?;
            Some((name.trim().to_owned(), value.trim().to_owned()))
        })
        .collect()
}

#[expect(clippy::option_option, reason = "outer: whether it parses; inner: whether it is off")]
fn after(text: &str) -> Option<Option<Duration>> {
    if text == "off" { Some(None) } else { duration(text).map(Some) }
}

#[expect(clippy::option_option, reason = "outer: whether it parses; inner: whether it is off")]
fn interval(text: &str) -> Option<Option<Duration>> {
    const ALLOWED: std::ops::RangeInclusive<Duration> =
        Duration::from_millis(100)..=Duration::from_hours(1);
    after(text).filter(|interval| interval.is_none_or(|interval| ALLOWED.contains(&interval)))
}

fn mail_timeout(text: &str) -> Option<Duration> {
    const ALLOWED: std::ops::RangeInclusive<Duration> =
        Duration::from_secs(1)..=Duration::from_hours(1);
    duration(text).filter(|timeout| ALLOWED.contains(timeout))
}

/// `500ms`, `90s`, `15m`, `12h` or `30d`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let seconds = |each: u64| number.checked_mul(each).map(Duration::from_secs);
    let duration = match unit {
        "ms" => Duration::from_millis(number),
        "s" => seconds(1)?,
        "m" => seconds(60)?,
        "h" => seconds(3_600)?,
        "d" => seconds(86_400)?,
        _ => return None,
    };
    // A year is more than any return window.
    (duration <= Duration::from_hours(24 * 366)).then_some(duration)
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
