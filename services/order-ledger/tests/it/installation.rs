//! An installation of the product on the real servers that no other test shares.

use std::sync::Arc;

use sqlx::PgPool;
use testkit::servers;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use crate::process::Process;

/// Tests that use the servers share this; one that takes servers away has it alone.
static SERVERS: std::sync::LazyLock<Arc<RwLock<()>>> = std::sync::LazyLock::new(Arc::default);

#[expect(dead_code, reason = "held, not read")]
enum Use {
    Shared(OwnedRwLockReadGuard<()>),
    Alone(OwnedRwLockWriteGuard<()>),
}

/// Where one test's orders live.
pub(crate) struct Installation {
    pub(crate) name: String,
    pub(crate) kafka: String,
    pub(crate) postgres: String,
    pub(crate) elasticsearch: String,
    pub(crate) smtp: String,
    pub(crate) mailpit: String,
    _use: Use,
}

/// A mail address that only orders of that installation have.
pub(crate) fn address_of(installation: &str, customer: usize) -> String {
    format!("customer{customer}@{installation}.example")
}

/// Every role, as processes of its own.
pub(crate) const ROLES: [&str; 6] =
    ["api", "projector", "projector", "search", "mailer", "fulfilment"];

impl Installation {
    pub(crate) async fn new(test: &str) -> Self {
        Self::with(test, Use::Shared(Arc::clone(&SERVERS).read_owned().await))
    }

    /// As `new`, while no other test uses the servers.
    pub(crate) async fn alone(test: &str) -> Self {
        Self::with(test, Use::Alone(Arc::clone(&SERVERS).write_owned().await))
    }

    fn with(test: &str, r#use: Use) -> Self {
        Self {
            name: servers::unique(test).replace('_', "-"),
            kafka: servers::kafka(),
            postgres: servers::postgres(),
            elasticsearch: servers::elasticsearch(),
            smtp: servers::smtp(),
            mailpit: servers::mailpit(),
            _use: r#use,
        }
    }

    pub(crate) fn topic_prefix(&self) -> String {
        format!("{}.", self.name)
    }

    pub(crate) fn schema(&self) -> String {
        self.name.replace('-', "_")
    }

    pub(crate) fn index(&self) -> String {
        format!("{}-orders", self.name)
    }

    pub(crate) fn stream(&self) -> String {
        format!("{}-order-transitions", self.name)
    }

    pub(crate) fn metric_stream(&self) -> String {
        format!("{}-order-ledger-metrics", self.name)
    }

    /// A mail address that only this test's orders have.
    pub(crate) fn address(&self, customer: usize) -> String {
        address_of(&self.name, customer)
    }

    /// Where Mailpit finds the mails to this test's customers.
    pub(crate) fn mailbox(&self, parameters: &[(&str, &str)]) -> reqwest::Url {
        let to = [("query", format!("to:@{}.example", self.name))];
        let url = format!("{}/api/v1/search", self.mailpit);
        let mut url = reqwest::Url::parse_with_params(&url, to).unwrap();
        url.query_pairs_mut().extend_pairs(parameters);
        url
    }

    /// What every process of this installation is told.
    pub(crate) fn args(&self) -> Vec<String> {
        let pairs = [
            ("--log", format!("kafka://{}", self.kafka)),
            ("--state", self.postgres.clone()),
            ("--search", self.elasticsearch.clone()),
            ("--mail", self.smtp.clone()),
            ("--kafka-topic-prefix", self.topic_prefix()),
            ("--postgres-schema", self.schema()),
            ("--postgres-connections-max", "4".to_owned()),
            ("--elasticsearch-index-prefix", format!("{}-", self.name)),
            // What a killed process had claimed is soon another's.
            ("--claim-lease", "3s".to_owned()),
            ("--mail-timeout", "3s".to_owned()),
        ];
        pairs.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect()
    }

    /// Starts a process that plays one role, with short timers if it is the fulfilment.
    pub(crate) fn start(&self, role: &str) -> Process {
        let mut args = self.args();
        args.extend(["--roles".to_owned(), role.to_owned()]);
        for step in ["pay", "prepare", "ship", "deliver", "complete"] {
            args.extend([format!("--fulfilment-{step}-after"), "50ms".to_owned()]);
        }
        Process::serve(role, &args)
    }

    pub(crate) async fn pool(&self) -> PgPool {
        PgPool::connect(&self.postgres).await.unwrap()
    }

    /// Removes what the test left on the servers, every generation of it.
    pub(crate) async fn remove(self) {
        let pool = self.pool().await;
        let schemas: Vec<String> = sqlx::query_scalar(
            "SELECT nspname FROM pg_namespace WHERE nspname ~ ('^' || $1 || '(_g[0-9]+)?$')",
        )
        .bind(self.schema())
        .fetch_all(&pool)
        .await
        .unwrap();
        for schema in schemas {
            let drop_schema = format!("DROP SCHEMA {schema} CASCADE");
            sqlx::raw_sql(sqlx::AssertSqlSafe(drop_schema)).execute(&pool).await.unwrap();
        }
        let http = reqwest::Client::new();
        let pattern = format!("{}/{}-g*", self.elasticsearch, self.index());
        let indices = http.get(pattern).send().await.unwrap().error_for_status().unwrap();
        let indices: serde_json::Value = indices.json().await.unwrap();
        for index in indices.as_object().unwrap().keys() {
            let index = format!("{}/{index}", self.elasticsearch);
            http.delete(index).send().await.unwrap().error_for_status().unwrap();
        }
        for stream in [self.stream(), self.metric_stream()] {
            // Not every test makes them.
            let stream = format!("{}/_data_stream/{stream}", self.elasticsearch);
            http.delete(stream).send().await.unwrap();
        }
        http.delete(self.mailbox(&[])).send().await.unwrap().error_for_status().unwrap();
        crate::oracle::delete_topics(&self).await;
    }
}
