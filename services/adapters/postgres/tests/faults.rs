//! Servers that are away, fall silent or throw everyone out, and callers that go away.

use std::time::{Duration, Instant};

use contract::order_store::batch;
use ports::{OrderStore as _, StoreError};
use sqlx::{Connection as _, Executor as _};
use testkit::{
    sample::{order_id, placed},
    servers, wait_for,
};
use tokio::net::TcpListener;

use crate::schema::{connect, in_schema, on_fresh_schema, store, url_with};

/// So that a caller can say so, wait and retry: within seconds, with words that help.
#[tokio::test]
async fn a_server_that_is_away_or_silent_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = listener.local_addr().unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let away = closed.local_addr().unwrap();
    drop(closed);

    let asked = Instant::now();
    let ask = async |address: std::net::SocketAddr| {
        let store = store(&format!("postgres://ana:secret@{address}/shop"), "ledger");
        match store.prepare().await {
            Err(StoreError::Unavailable(what)) => {
                assert!(what.contains(&address.to_string()), "{what}");
                assert!(!what.contains("secret"), "{what}");
            }
            other => panic!("must be unavailable, not {other:?}"),
        }
    };
    futures::join!(ask(silent), ask(away));
    assert!(asked.elapsed() < Duration::from_secs(15), "{:?}", asked.elapsed());
}

/// As a restart of the server, or a failover, does it.
#[tokio::test]
async fn connections_that_died_are_replaced() {
    in_schema(async |schema| {
        let store = store(&url_with(&format!("application_name={schema}")), schema);
        store.prepare().await.unwrap();
        store.bind_partitions(1).await.unwrap();
        let mut connection = connect(schema).await;
        for offset in 0..3 {
            let asked = (0..4).map(|_| store.ping());
            futures::future::try_join_all(asked).await.unwrap();
            let killed: i64 = sqlx::query_scalar(
                "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE application_name = $1",
            )
            .bind(schema)
            .fetch_one(&mut connection)
            .await
            .unwrap();
            assert!(killed > 0);
            let order = order_id(offset);
            let commit = batch(0, i64::try_from(offset).unwrap(), &[placed(order)]);
            store.commit(&commit).await.unwrap();
        }
    })
    .await;
}

/// A caller that is cancelled half-way leaves neither a lock nor half a commit behind.
#[tokio::test]
async fn a_commit_that_is_given_up_half_way_holds_nothing() {
    on_fresh_schema(async |store, connection| {
        store.bind_partitions(1).await.unwrap();
        let mut blocker = connection.begin().await.unwrap();
        blocker.execute("LOCK TABLE orders IN EXCLUSIVE MODE").await.unwrap();
        let commit = batch(0, 0, &[placed(order_id(1))]);
        let blocked = wait_for("the commit to wait", Duration::from_secs(60), async || {
            let waiting: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'orders'::regclass",
            )
            .fetch_one(&mut *blocker)
            .await
            .unwrap();
            (waiting > 0).then_some(())
        });
        tokio::select! {
            committed = store.commit(&commit) => panic!("the table is locked, so not {committed:?}"),
            () = blocked => {}
        }
        blocker.rollback().await.unwrap();

        store.commit(&commit).await.unwrap();
        assert_eq!(store.history(order_id(1)).await.unwrap(), commit.history);
    })
    .await;
}

/// Not to be waited for: the tables are not going to change by themselves.
#[tokio::test]
async fn tables_that_are_not_there_are_no_passing_trouble() {
    in_schema(async |schema| {
        let store = store(&servers::postgres(), schema);
        let loaded = store.load(&[order_id(1)]).await;
        assert!(matches!(loaded, Err(StoreError::Corrupt(_))), "{loaded:?}");
        store.ping().await.unwrap();
    })
    .await;
}
