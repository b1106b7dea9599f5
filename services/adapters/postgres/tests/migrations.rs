//! Bringing tables up to date, whoever else does it, and what the tables insist on.

use std::collections::BTreeSet;

use events::State;
use futures::future::join_all;
use ports::{OrderStore as _, StoreError};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use testkit::servers;

use crate::schema::{connect, in_schema, on_fresh_schema, store, url_with};

async fn migrations(connection: &mut PgConnection) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM migrations").fetch_one(connection).await.unwrap()
}

#[tokio::test]
async fn several_processes_may_prepare_and_bind_at_once() {
    in_schema(async |schema| {
        let stores: Vec<_> = (0..4).map(|_| store(&servers::postgres(), schema)).collect();
        for prepared in join_all(stores.iter().map(|store| store.prepare())).await {
            prepared.unwrap();
        }
        let mut connection = connect(schema).await;
        assert_eq!(migrations(&mut connection).await, 7);

        for bound in join_all(stores.iter().map(|store| store.bind_partitions(6))).await {
            bound.unwrap();
        }
        assert_eq!(stores[0].progress(&[]).await.unwrap().len(), 6);
    })
    .await;
}

/// A start needs no right to change tables that are as they should be.
#[tokio::test]
async fn preparing_what_is_up_to_date_writes_nothing() {
    in_schema(async |schema| {
        let read_only = url_with("options=-c%20default_transaction_read_only%3Don");
        let reader = store(&read_only, schema);
        reader.prepare().await.unwrap_err();

        let writer = store(&servers::postgres(), schema);
        writer.prepare().await.unwrap();
        writer.bind_partitions(2).await.unwrap();
        reader.prepare().await.unwrap();
        reader.bind_partitions(2).await.unwrap();
    })
    .await;
}

/// As where someone else creates the schema, and this role may do nothing beyond it.
#[tokio::test]
async fn a_role_that_owns_nothing_but_the_schema_can_prepare() {
    in_schema(async |schema| {
        let mut admin = PgConnection::connect(&servers::postgres()).await.unwrap();
        let role = format!("owner_of_{schema}");
        let create = format!("CREATE ROLE {role}; CREATE SCHEMA {schema} AUTHORIZATION {role}");
        admin.execute(sqlx::raw_sql(AssertSqlSafe(create))).await.unwrap();
        let prepared =
            store(&url_with(&format!("options=-c%20role%3D{role}")), schema).prepare().await;
        let forget = format!("DROP OWNED BY {role} CASCADE; DROP ROLE {role}");
        admin.execute(sqlx::raw_sql(AssertSqlSafe(forget))).await.unwrap();
        prepared.unwrap();
    })
    .await;
}

/// As the version before this one finds them while processes are replaced one by one.
#[tokio::test]
async fn migrations_of_a_later_version_are_let_be() {
    on_fresh_schema(async |store, connection| {
        connection
            .execute("INSERT INTO migrations SELECT 9999, 'later', now(), true, '', 0")
            .await
            .unwrap();
        store.prepare().await.unwrap();
        assert_eq!(migrations(connection).await, 8);
    })
    .await;
}

#[tokio::test]
async fn a_migration_that_was_changed_after_it_ran_is_refused() {
    on_fresh_schema(async |store, connection| {
        connection.execute("UPDATE migrations SET checksum = 'other'").await.unwrap();
        match store.prepare().await {
            Err(StoreError::Corrupt(what)) => assert!(what.contains("modified"), "{what}"),
            other => panic!("must be refused, not {other:?}"),
        }
        // And does not leave the lock behind.
        connection.execute("DROP TABLE migrations").await.unwrap();
        match store.prepare().await {
            Err(StoreError::Corrupt(what)) => assert!(what.contains("exists"), "{what}"),
            other => panic!("the tables are there already, so not {other:?}"),
        }
    })
    .await;
}

#[tokio::test]
async fn the_database_allows_exactly_the_states_of_the_state_machine() {
    on_fresh_schema(async |_, connection| {
        let check: String = sqlx::query_scalar(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint
             WHERE conname = 'orders_state' AND conrelid = 'orders'::regclass AND contype = 'c' AND convalidated",
        )
        .fetch_one(connection)
        .await
        .unwrap();
        // CHECK ((state = ANY (ARRAY['Placed'::text, …])))
        assert!(check.contains("state = ANY"), "{check}");
        let allowed: BTreeSet<_> = check.split('\'').skip(1).step_by(2).collect();
        assert_eq!(allowed, State::ALL.map(State::name).into());
    })
    .await;
}
