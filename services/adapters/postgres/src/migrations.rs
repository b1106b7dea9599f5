//! Bringing the tables up to date. An up-to-date schema is only read, so that a start needs no right to change it.

use ports::StoreError;
use sqlx::{
    PgConnection, SqlSafeStr as _,
    migrate::{Migrate as _, Migration, MigrationType, Migrator},
};

use crate::{error::Error, generations, session::PostgresStore};

/// Every migration there ever was: number, what it does, and its text.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "the tables of a ledger", include_str!("../../../../migrations/postgres/0001_ledger.sql")),
    (2, "orders in pages", include_str!("../../../../migrations/postgres/0002_reading.sql")),
    (3, "audits", include_str!("../../../../migrations/postgres/0003_audits.sql")),
    (4, "generations", include_str!("../../../../migrations/postgres/0004_generations.sql")),
    (5, "parking", include_str!("../../../../migrations/postgres/0005_parking.sql")),
    (6, "traces", include_str!("../../../../migrations/postgres/0006_traces.sql")),
    (7, "epochs", include_str!("../../../../migrations/postgres/0007_epochs.sql")),
];

impl PostgresStore {
    /// Whether a ledger was ever prepared in the schema.
    ///
    /// # Errors
    /// The database can't be asked.
    pub async fn is_prepared(&self) -> Result<bool, StoreError> {
        let table = format!("\"{}\".migrations", self.schema);
        let is_there = async |connection: &mut PgConnection| {
            let select = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL");
            Ok::<_, Error>(select.bind(table).fetch_one(connection).await?)
        };
        Ok(self.run(is_there).await?)
    }

    pub(crate) async fn migrate(&self) -> Result<(), Error> {
        let mut migrator = migrator(&self.schema);
        if self.run(async |connection| is_up_to_date(connection, &migrator).await).await? {
            return Ok(());
        }
        tracing::info!(schema = self.schema, "bringing the tables up to date");
        // Closed afterwards: with it goes the lock, even if this is dropped half-way, and the lifted limits.
        let mut connection = self.connection_to_close().await?;
        // Whoever is first may take its time.
        generations::unlimited(&mut connection).await?;
        if !schema_exists(&mut connection, &self.schema).await? {
            // Only then: it takes a right on the whole database, even if there is nothing to create.
            migrator.create_schema(format!("\"{}\"", self.schema));
        }
        // Behind an advisory lock: of several processes one does it, the others find it done. (`run` does the same, but
        // its future is not `Send` for a borrowed connection.)
        migrator.run_direct(None, &mut *connection, false).await?;
        Ok(())
    }
}

fn migrator(schema: &str) -> Migrator {
    let migrations = MIGRATIONS.iter().map(|(version, description, sql)| {
        let sql = (*sql).into_sql_str();
        Migration::new(*version, (*description).into(), MigrationType::Simple, sql, false)
    });
    let mut migrator = Migrator::with_migrations(migrations.collect());
    migrator.dangerous_set_table_name(format!("\"{schema}\".migrations"));
    // The version after this one may have been here: see "expand, then contract" in migrations/README.md.
    migrator.set_ignore_missing(true);
    migrator
}

async fn schema_exists(connection: &mut PgConnection, schema: &str) -> Result<bool, Error> {
    Ok(sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)")
        .bind(schema)
        .fetch_one(connection)
        .await?)
}

async fn is_up_to_date(connection: &mut PgConnection, migrator: &Migrator) -> Result<bool, Error> {
    let table = &*migrator.table_name;
    let is_there: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
        .bind(table)
        .fetch_one(&mut *connection)
        .await?;
    if !is_there {
        return Ok(false);
    }
    let applied = connection.list_applied_migrations(table).await?;
    Ok(migrator.iter().all(|migration| {
        applied.iter().any(|applied| {
            applied.version == migration.version && applied.checksum == migration.checksum
        })
    }))
}
