//! How to reach the database, checked before anything is reached.

use std::{str::FromStr as _, time::Duration};

use sqlx::{
    ConnectOptions as _,
    postgres::{PgConnectOptions, PgPoolOptions},
};

/// How long a caller waits for a connection before it is told that there is none.
pub(crate) const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);

/// Where the store is, and how much of it this process takes.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// `postgres://user:password@host:port/database?…`.
    pub url: String,
    /// The schema that holds the tables; `prepare` creates it.
    pub schema: String,
    /// The most connections that are open at once.
    pub connections_max: u32,
}

/// The store can't be reached this way, ever.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// The URL is not one of a Postgres database. The text never holds the URL, for it may hold a password.
    #[error("the address of the database is not a postgres:// URL")]
    Url(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The name could not be written in SQL without quoting.
    #[error(
        "the schema {0:?} must be 1 to 63 lower-case letters, digits and underscores, not beginning with a digit"
    )]
    Schema(String),
    /// Without a connection nothing works.
    #[error("at least one connection must be allowed")]
    NoConnections,
}

/// Checked [`PostgresOptions`], as the driver takes them.
pub(crate) struct Connecting {
    pub(crate) connect: PgConnectOptions,
    pub(crate) pool: PgPoolOptions,
    /// `host:port`, for messages.
    pub(crate) address: String,
}

impl TryFrom<&PostgresOptions> for Connecting {
    type Error = OptionsError;

    fn try_from(options: &PostgresOptions) -> Result<Self, OptionsError> {
        if !is_plain_name(&options.schema) {
            return Err(OptionsError::Schema(options.schema.clone()));
        }
        if options.connections_max == 0 {
            return Err(OptionsError::NoConnections);
        }
        let connect = PgConnectOptions::from_str(&options.url)
            .map_err(|error| OptionsError::Url(Box::new(error)))?;
        let address = format!("{}:{}", connect.get_host(), connect.get_port());
        let connect = match connect.get_application_name() {
            Some(_) => connect,
            None => connect.application_name("order-ledger"),
        };
        let connect = connect.disable_statement_logging().options([
            ("search_path", options.schema.as_str()),
            // Tables grow from nothing to millions of rows within a rebuild: a plan is made for the size they have.
            ("plan_cache_mode", "force_custom_plan"),
            // Thousands of look-ups in one statement look dear, and are not: compiling them would take longer.
            ("jit", "off"),
            // What a caller no longer waits for shall not hold locks: a projector may be waiting for them.
            ("statement_timeout", "30s"),
            ("idle_in_transaction_session_timeout", "30s"),
        ]);
        let pool = PgPoolOptions::new()
            .max_connections(options.connections_max)
            .acquire_timeout(CONNECT_TIME_MAX)
            // A connection that died while idle is replaced, not handed out.
            .test_before_acquire(true);
        Ok(Self { connect, pool, address })
    }
}

fn is_plain_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    (1..=63).contains(&name.len())
        && name.chars().all(plain)
        && !name.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, schema: &str, connections_max: u32) -> Result<(), String> {
        let options =
            PostgresOptions { url: url.to_owned(), schema: schema.to_owned(), connections_max };
        Connecting::try_from(&options).map(|_| ()).map_err(|error| error.to_string())
    }

    #[test]
    fn takes_what_can_work_and_names_what_can_not() {
        let url = "postgres://ana:secret@db:5432/shop?sslmode=require";
        assert_eq!(check(url, "ledger", 1), Ok(()));
        assert_eq!(check(url, "_l2", 1), Ok(()));
        for schema in ["", "2l", "Ledger", "a b", "a\"b", "a,b", &"x".repeat(64)] {
            assert!(check(url, schema, 1).unwrap_err().contains(&format!("{schema:?}")));
        }
        check(url, "ledger", 0).unwrap_err();
        check("not a url, secret", "ledger", 1).unwrap_err();
    }

    #[test]
    fn a_refused_url_does_not_leak_its_password() {
        let error = Connecting::try_from(&PostgresOptions {
            url: "postgres://ana:secret@db:port/shop".to_owned(),
            schema: "ledger".to_owned(),
            connections_max: 1,
        });
        let error = error.err().unwrap();
        assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    }
}
