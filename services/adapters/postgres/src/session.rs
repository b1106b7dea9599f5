//! One operation on one connection: taken from the pool, given a limit, and never reused if it was left in the middle.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use ports::{Connections, Pooled};
use sqlx::{
    PgConnection, PgPool, Postgres, pool::PoolConnection, postgres::PgArguments, query::Query,
};

use crate::{
    error::Error,
    options::{Connecting, OptionsError, PostgresOptions},
};

/// How long an operation may take before its connection is given up.
pub(crate) const ANSWER_TIME_MAX: Duration = Duration::from_secs(40);

/// A statement with its parameters.
pub(crate) type Command<'a> = Query<'a, Postgres, PgArguments>;

/// Every store port, in one schema of a Postgres database.
#[derive(Clone)]
pub struct PostgresStore {
    pub(crate) pool: PgPool,
    pub(crate) schema: String,
    address: String,
    options: PostgresOptions,
    /// Operations that wait for a connection.
    waiting: Arc<AtomicU32>,
}

/// Shows no credentials.
impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { schema, address, .. } = self;
        f.debug_struct("PostgresStore").field("address", address).field("schema", schema).finish()
    }
}

impl PostgresStore {
    /// Makes a store that connects when it is first used: the server may be away still.
    ///
    /// # Errors
    /// [`OptionsError`] if it can never work.
    ///
    /// # Panics
    /// Outside of a tokio runtime, which the pool's upkeep runs on.
    pub fn new(options: PostgresOptions) -> Result<Self, OptionsError> {
        let Connecting { connect, pool, address } = Connecting::try_from(&options)?;
        let schema = options.schema.clone();
        let pool = pool.connect_lazy_with(connect);
        Ok(Self { pool, schema, address, options, waiting: Arc::default() })
    }

    /// The options of a store in the same database and another schema.
    pub(crate) fn options_for(&self, schema: String) -> PostgresOptions {
        PostgresOptions { schema, ..self.options.clone() }
    }

    /// Runs one operation on a connection of its own.
    ///
    /// # Errors
    /// What the operation says, or that there was no connection, or no answer in time.
    pub(crate) async fn run<T, E: From<Error>>(
        &self,
        operation: impl AsyncFnOnce(&mut PgConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut lease = self.lease().await?;
        match tokio::time::timeout(ANSWER_TIME_MAX, operation(&mut lease.connection)).await {
            Ok(result) => {
                lease.settled = true;
                result
            }
            Err(_) => Err(Error::NoAnswer.into()),
        }
    }

    /// A connection that is closed afterwards, whatever happens to it.
    pub(crate) async fn connection_to_close(&self) -> Result<PoolConnection<Postgres>, Error> {
        let mut connection = self.acquire().await?;
        connection.close_on_drop();
        Ok(connection)
    }

    async fn lease(&self) -> Result<Lease, Error> {
        Ok(Lease { connection: self.acquire().await?, settled: false })
    }

    async fn acquire(&self) -> Result<PoolConnection<Postgres>, Error> {
        let _waiting = Waiting::begin(&self.waiting);
        self.pool.acquire().await.map_err(|error| match error {
            sqlx::Error::PoolTimedOut => Error::NoConnection { address: self.address.clone() },
            other => Error::Sql(other),
        })
    }
}

impl Pooled for PostgresStore {
    fn connections(&self) -> Connections {
        let open = self.pool.size();
        let idle = u32::try_from(self.pool.num_idle()).unwrap_or(u32::MAX).min(open);
        Connections {
            in_use: open - idle,
            idle,
            waiting: Some(self.waiting.load(Ordering::Relaxed)),
            max: self.pool.options().get_max_connections(),
        }
    }
}

/// One that waits for a connection, until it has one, is told that there is none, or goes away.
struct Waiting<'a>(&'a AtomicU32);

impl<'a> Waiting<'a> {
    fn begin(waiting: &'a AtomicU32) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection that goes back to the pool only if its operation came to an end. One that was dropped in the middle, by
/// a time-out or a caller that went away, is closed: its server may be gone without a word, and waiting for it would
/// keep its place in the pool for as long.
struct Lease {
    connection: PoolConnection<Postgres>,
    settled: bool,
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.settled {
            self.connection.close_on_drop();
        }
    }
}
