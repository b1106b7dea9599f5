//! A schema of its own for every test.

use std::panic::{AssertUnwindSafe, resume_unwind};

use adapter_postgres::{PostgresOptions, PostgresStore};
use futures::FutureExt as _;
use ports::OrderStore as _;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use testkit::servers;

/// Runs a case on a prepared store in a schema of its own.
pub(crate) async fn on_fresh_store(case: impl AsyncFnOnce(&PostgresStore)) {
    on_fresh_schema(async |store, _| case(store).await).await;
}

/// As [`on_fresh_store`], for a case that also looks behind the store, on a connection that sees the same tables.
pub(crate) async fn on_fresh_schema(case: impl AsyncFnOnce(&PostgresStore, &mut PgConnection)) {
    in_schema(async |schema| {
        let store = store(&servers::postgres(), schema);
        store.prepare().await.unwrap();
        case(&store, &mut connect(schema).await).await;
    })
    .await;
}

/// Runs a case with the name of a schema that does not exist yet, and drops it, also if the case fails.
pub(crate) async fn in_schema(case: impl AsyncFnOnce(&str)) {
    let schema = servers::unique("store");
    let result = AssertUnwindSafe(case(&schema)).catch_unwind().await;
    let mut connection = PgConnection::connect(&servers::postgres()).await.unwrap();
    let beside: Vec<String> = sqlx::query_scalar(
        r"SELECT nspname::text FROM pg_namespace WHERE nspname LIKE $1 || '\_g%'",
    )
    .bind(&schema)
    .fetch_all(&mut connection)
    .await
    .unwrap();
    for schema in beside.iter().chain([&schema]) {
        let drop = format!("DROP SCHEMA IF EXISTS {schema} CASCADE");
        connection.execute(AssertSqlSafe(drop)).await.unwrap();
    }
    if let Err(panic) = result {
        resume_unwind(panic);
    }
}

/// A store that has not been prepared.
pub(crate) fn store(url: &str, schema: &str) -> PostgresStore {
    PostgresStore::new(PostgresOptions {
        url: url.to_owned(),
        schema: schema.to_owned(),
        connections_max: 8,
    })
    .unwrap()
}

/// A connection that sees the schema's tables by their bare names.
pub(crate) async fn connect(schema: &str) -> PgConnection {
    let mut connection = PgConnection::connect(&servers::postgres()).await.unwrap();
    connection.execute(AssertSqlSafe(format!("SET search_path = {schema}"))).await.unwrap();
    connection
}

/// The server's URL with one more parameter.
pub(crate) fn url_with(parameter: &str) -> String {
    let url = servers::postgres();
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}{parameter}")
}
