//! The table of keys. Flags, environment variables, the TOML file, `order-ledger config` and the README all follow it.

/// One thing that can be configured.
#[derive(Debug)]
pub(crate) struct Key {
    /// The path in the TOML file, `kafka.topic_prefix`; flag and environment variable follow from it.
    pub(crate) name: &'static str,
    /// What holds if no one says anything; `{data}` stands for the data folder.
    pub(crate) default: &'static str,
    /// What can be said, for help and errors.
    pub(crate) allowed: &'static str,
    /// What it is for.
    pub(crate) help: &'static str,
    /// How much of it may be shown.
    pub(crate) secrecy: Secrecy,
}

/// How much of a value may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Secrecy {
    /// All of it.
    Open,
    /// All but a URL's user information.
    UserInfo,
    /// Nothing.
    Secret,
}

impl Key {
    /// `--kafka-topic-prefix`, without the dashes in front.
    pub(crate) fn flag(&self) -> String {
        self.name.replace(['.', '_'], "-")
    }

    /// `ORDER_LEDGER_KAFKA_TOPIC_PREFIX`.
    pub(crate) fn variable(&self) -> String {
        format!("ORDER_LEDGER_{}", self.name.replace('.', "_").to_uppercase())
    }
}

const fn key(
    name: &'static str,
    default: &'static str,
    allowed: &'static str,
    help: &'static str,
) -> Key {
    Key { name, default, allowed, help, secrecy: Secrecy::Open }
}

const fn secret(secrecy: Secrecy, key: Key) -> Key {
    Key { secrecy, ..key }
}

const AFTER: &str = "a duration such as 500ms, 90s, 15m, 12h or 30d, or off";

/// Every key, in the order in which people meet them.
pub(crate) const KEYS: &[Key] = &[
    key("data", "data", "a folder", "Where the embedded parts keep their files"),
    secret(
        Secrecy::UserInfo,
        key(
            "log",
            "sqlite:{data}/log.db",
            "sqlite:FILE or kafka://HOST:PORT[,HOST:PORT…]",
            "The event log",
        ),
    ),
    secret(
        Secrecy::UserInfo,
        key(
            "state",
            "sqlite:{data}/state.db",
            "sqlite:FILE or postgres://USER[:PASSWORD]@HOST[:PORT]/DATABASE",
            "Snapshots, history, deliveries, timers",
        ),
    ),
    secret(
        Secrecy::UserInfo,
        key(
            "search",
            "sqlite:{data}/search.db",
            "sqlite:FILE, or http://HOST:PORT or https://HOST:PORT of Elasticsearch",
            "The search index",
        ),
    ),
    key(
        "search_customer",
        "plain",
        "plain, hashed or masked",
        "How the search index keeps e-mail addresses and names of customers; another way takes a new index",
    ),
    secret(
        Secrecy::Secret,
        key(
            "search_customer_key",
            "",
            "16 characters or more, if search_customer is hashed",
            "What customers are hashed with: the same in every process",
        ),
    ),
    secret(
        Secrecy::UserInfo,
        key(
            "mail",
            "file:{data}/outbox",
            "file:FOLDER, smtp://HOST:PORT or smtps://USER:PASSWORD@HOST:PORT",
            "Where mails go",
        ),
    ),
    key(
        "roles",
        "all",
        "all, or some of api,projector,search,mailer,fulfilment",
        "Which roles this process plays",
    ),
    key("grpc_addr", "127.0.0.1:50051", "IP:PORT", "Where gRPC listens"),
    key(
        "http_addr",
        "127.0.0.1:9464",
        "IP:PORT",
        "Where /metrics, /healthz and /readyz are served",
    ),
    key("log_format", "text", "text or json", "How log lines are written to stderr"),
    key(
        "log_filter",
        "info",
        "a level (error, warn, info, debug, trace) or tracing directives",
        "Which log lines are written",
    ),
    key(
        "otlp_endpoint",
        "",
        "http://HOST:PORT or https://HOST:PORT, where OTLP over gRPC is taken",
        "Where spans are sent; without it none are made",
    ),
    key(
        "trace_sample_ratio",
        "0.01",
        "0 to 1",
        "How many of the calls that bring no trace begin one; a sampled one that comes in is always followed",
    ),
    key(
        "log_partitions",
        "auto",
        "auto, or 1 to 1000",
        "Partitions of new topics (auto: 6 on Kafka, 4 embedded); never changed afterwards",
    ),
    key(
        "log_replication",
        "auto",
        "auto, or 1 to 9",
        "Replicas of new topics (auto: 3, or as many as there are brokers)",
    ),
    key(
        "seed_currency",
        "CLP",
        "an ISO 4217 code",
        "Currency of the older contract's float prices",
    ),
    key(
        "mail_from",
        "Order Ledger <orders@order-ledger.example>",
        "a mail address, with or without a name",
        "Who mails come from",
    ),
    key(
        "projector_workers",
        "1",
        "1 to 64",
        "Members of the projector group that this process runs",
    ),
    key(
        "claim_lease",
        "60s",
        "a duration such as 500ms, 90s or 5m",
        "How long a timer that a dead process had claimed waits for another one; a mail waits as long as sending can take besides",
    ),
    key(
        "mail_timeout",
        "10m",
        "a duration of 1s to 1h",
        "How long the mail server may take to say that it took a mail; it gets a mail again if it takes longer",
    ),
    key(
        "metrics_interval",
        "10s",
        "a duration of 100ms to 1h, or off",
        "How often a process appends what it measured to the stream of metrics",
    ),
    key(
        "kafka.topic_prefix",
        "",
        "letters, digits, dot, dash, underscore",
        "Put before topic and group names",
    ),
    secret(
        Secrecy::Secret,
        key(
            "kafka.properties",
            "",
            "NAME=VALUE[,NAME=VALUE…], librdkafka's names",
            "More client settings, such as security.protocol and sasl.password",
        ),
    ),
    key("postgres.schema", "ledger", "a lower-case identifier", "The schema of every table"),
    key("postgres.connections_max", "16", "2 to 500", "Connections of this process"),
    key(
        "elasticsearch.index_prefix",
        "",
        "lower-case letters, digits, dash",
        "Put before index names",
    ),
    secret(
        Secrecy::Secret,
        key("elasticsearch.api_key", "", "an encoded API key", "Instead of a user in the URL"),
    ),
    key("fulfilment.pay_after", "off", AFTER, "Simulates the payment of a placed order"),
    key(
        "fulfilment.prepare_after",
        "off",
        AFTER,
        "Simulates the start of preparation of a paid order",
    ),
    key("fulfilment.ship_after", "off", AFTER, "Simulates shipping of a prepared order"),
    key("fulfilment.deliver_after", "off", AFTER, "Simulates delivery of a shipped order"),
    key(
        "fulfilment.complete_after",
        "off",
        AFTER,
        "Completes a delivered order: the return window",
    ),
    key("fulfilment.cancel_unpaid_after", "off", AFTER, "Cancels an order that no one paid"),
];

#[cfg(test)]
mod tests {
    use std::{fmt::Write as _, fs, path::Path};

    use super::*;

    /// The table of keys as the README has it.
    fn table() -> String {
        let mut table =
            "\n| key | flag | environment | default | allowed | what for |\n".to_owned();
        table.push_str("|---|---|---|---|---|---|\n");
        for key in KEYS {
            let default = if key.default.is_empty() {
                "none".to_owned()
            } else {
                format!("`{}`", key.default)
            };
            writeln!(
                table,
                "| `{}` | `--{}` | `{}` | {default} | {} | {} |",
                key.name,
                key.flag(),
                key.variable(),
                key.allowed.replace('|', "\\|"),
                key.help,
            )
            .unwrap();
        }
        table
    }

    #[test]
    fn the_readme_lists_every_key() {
        let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
        let text = fs::read_to_string(&readme).unwrap();
        let (before, rest) = text.split_once("by a test -->\n").unwrap();
        let (found, after) = rest.split_once("<!-- /keys -->").unwrap();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            let updated = format!("{before}by a test -->\n{}<!-- /keys -->{after}", table());
            fs::write(&readme, updated).unwrap();
            return;
        }
        assert_eq!(
            found,
            table(),
            "run the test with UPDATE_DOCS=1 to bring the README up to date"
        );
    }
}
