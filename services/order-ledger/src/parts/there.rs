//! Whether there is a ledger: looking at what is not there must not make it.

use super::{OpenError, failed, postgres};
use crate::config::{Config, LogLocation, StateLocation};

/// The files of embedded parts.
pub(super) fn files(config: &Config) -> Result<(), OpenError> {
    let log = match &config.log {
        LogLocation::Sqlite(path) => Some(path),
        LogLocation::Kafka(_) => None,
    };
    let state = match &config.state {
        StateLocation::Sqlite(path) => Some(path),
        StateLocation::Postgres(_) => None,
    };
    for (part, path) in [("event log", log), ("state store", state)] {
        if let Some(path) = path.filter(|path| !path.is_file()) {
            return Err(missing(part, &path.display().to_string(), "--data"));
        }
    }
    Ok(())
}

/// The tables in Postgres. Of a ledger that is there a missing table is damage, which is for whoever reads it to say.
pub(super) async fn tables(config: &Config) -> Result<(), OpenError> {
    const PART: &str = "state store";
    let StateLocation::Postgres(url) = &config.state else { return Ok(()) };
    if postgres(url, config)?.is_prepared().await.map_err(failed(PART))? {
        return Ok(());
    }
    let schema = format!("schema {:?}", config.postgres.schema);
    Err(missing(PART, &schema, "--state and --postgres-schema"))
}

fn missing(part: &'static str, what: &str, flags: &str) -> OpenError {
    let missing = format!(
        "there is no ledger: {what} is missing; name the one meant with {flags}, or make one with \
         `order-ledger migrate`"
    );
    OpenError { part, source: missing.into() }
}
