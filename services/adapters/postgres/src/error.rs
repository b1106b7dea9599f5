//! What the driver's errors mean to a caller: try again, or call someone.

use ports::{CommitError, StoreError};
use sqlx::migrate::MigrateError;

use crate::session::ANSWER_TIME_MAX;

/// Why a statement, or a whole operation, did not go through.
#[derive(Debug)]
pub(crate) enum Error {
    /// The driver or the database said so.
    Sql(sqlx::Error),
    /// Nothing was said for [`ANSWER_TIME_MAX`].
    NoAnswer,
    /// No connection was to be had in time.
    NoConnection {
        /// `host:port`.
        address: String,
    },
    /// What is stored can't be.
    Corrupt(String),
    /// Another fold made what is stored.
    OtherFold { stored: u32 },
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<MigrateError> for Error {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Execute(error) => Self::Sql(error),
            MigrateError::ExecuteMigration(error, _) if is_passing(&error) => Self::Sql(error),
            other => Self::Corrupt(other.to_string()),
        }
    }
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        match error {
            Error::Sql(error) if is_passing(&error) => Self::Unavailable(text(&error)),
            Error::Sql(error) => Self::Corrupt(text(&error)),
            Error::NoAnswer => {
                Self::Unavailable(format!("Postgres gave no answer within {ANSWER_TIME_MAX:?}"))
            }
            Error::NoConnection { address } => Self::Unavailable(format!(
                "no connection to Postgres at {address}: it is away, or every connection is busy"
            )),
            Error::Corrupt(what) => Self::Corrupt(what),
            Error::OtherFold { stored } => Self::OtherFold { stored },
        }
    }
}

impl From<Error> for CommitError {
    fn from(error: Error) -> Self {
        Self::Store(error.into())
    }
}

/// Whether the same may work later without anyone's doing, or once an operator lets us in.
fn is_passing(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => error.code().is_some_and(|code| is_passing_code(&code)),
        // A connection that breaks in the middle of a message looks like a protocol error.
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}

/// By SQLSTATE, mostly by its class.
fn is_passing_code(code: &str) -> bool {
    const CLASSES: [&str; 7] = [
        "08", // connection exception
        "28", // invalid authorization: until someone lets us in
        "3D", // the database is not there (yet)
        "40", // deadlock, serialization failure: rolled back, to be tried again
        "53", // out of disk, memory or connections
        "57", // cancelled, shutting down, starting up
        "58", // the server's own I/O
    ];
    const CODES: [&str; 3] = [
        "25006", // read-only: a standby that will be promoted
        "25P03", // idle in transaction for too long
        "55P03", // a lock was not to be had
    ];
    CLASSES.iter().any(|class| code.starts_with(class)) || CODES.contains(&code)
}

/// One sentence with what a person needs to look it up.
fn text(error: &sqlx::Error) -> String {
    let sqlx::Error::Database(database) = error else {
        return format!("Postgres: {error}");
    };
    let code = database.code().unwrap_or_default();
    format!("Postgres: {} (SQLSTATE {code})", database.message())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_told_from_what_does_not() {
        for code in
            ["08006", "28P01", "3D000", "40P01", "53300", "57014", "57P01", "58030", "25006"]
        {
            assert!(is_passing_code(code), "{code}");
        }
        for code in ["23514", "42P01", "42501", "22021", "XX001", ""] {
            assert!(!is_passing_code(code), "{code}");
        }
    }

    #[test]
    fn a_lost_connection_is_unavailable_and_an_odd_answer_corrupt() {
        let lost = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        let lost = StoreError::from(Error::from(sqlx::Error::Io(lost)));
        assert!(matches!(lost, StoreError::Unavailable(_)), "{lost:?}");
        let odd = StoreError::from(Error::from(sqlx::Error::ColumnNotFound("state".to_owned())));
        assert!(matches!(odd, StoreError::Corrupt(_)), "{odd:?}");
    }
}
