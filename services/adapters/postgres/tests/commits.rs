//! What a commit leaves in the tables, and that a failed one leaves nothing.

use contract::order_store::{batch, batch_after};
use ports::{Commit, CommitError, Offset, OrderStore as _, PartitionCommit, StoreError};
use sqlx::{PgConnection, Row as _};
use testkit::sample::{at, lifecycle, order_id, placed, shipped};

use crate::schema::on_fresh_schema;

async fn rows(connection: &mut PgConnection) -> (i64, i64, i64) {
    sqlx::query_as(
        "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM order_history), sum(next_offset)::bigint
         FROM progress",
    )
    .fetch_one(connection)
    .await
    .unwrap()
}

fn assert_corrupt(result: Result<(), CommitError>) {
    assert!(matches!(result, Err(CommitError::Store(StoreError::Corrupt(_)))), "{result:?}");
}

/// The last statement of a commit fails here, so everything before it must be undone.
#[tokio::test]
async fn a_commit_that_fails_at_its_end_leaves_nothing() {
    on_fresh_schema(async |store, connection| {
        store.bind_partitions(1).await.unwrap();
        store.commit(&batch(0, 0, &[placed(order_id(1))])).await.unwrap();
        assert_eq!(rows(connection).await, (1, 1, 1));

        let mut twice = batch(0, 1, &[placed(order_id(2)), placed(order_id(3))]);
        twice.history[1].position = twice.history[0].position;
        assert_corrupt(store.commit(&twice).await);
        assert_eq!(rows(connection).await, (1, 1, 1));

        // The partition is free again: nothing waits for what failed.
        store.commit(&batch(0, 1, &[placed(order_id(2))])).await.unwrap();
        assert_eq!(rows(connection).await, (2, 2, 2));
    })
    .await;
}

/// A projector that folds otherwise than what is stored was folded goes no further, not even one that runs already.
#[tokio::test]
async fn what_another_fold_made_is_not_folded_further() {
    on_fresh_schema(async |store, connection| {
        store.bind_partitions(1).await.unwrap();
        sqlx::query("UPDATE progress SET fold_version = 1")
            .execute(&mut *connection)
            .await
            .unwrap();
        let bound = store.bind_partitions(1).await;
        assert!(matches!(bound, Err(StoreError::OtherFold { stored: 1 })), "{bound:?}");
        let committed = store.commit(&batch(0, 0, &[placed(order_id(1))])).await;
        let other = StoreError::OtherFold { stored: 1 };
        assert_eq!(committed.unwrap_err().to_string(), other.to_string());
        assert_eq!(rows(connection).await, (0, 0, 0));
    })
    .await;
}

/// What was announced can't be ahead of what was committed.
#[tokio::test]
async fn progress_that_can_not_be_is_refused() {
    on_fresh_schema(async |store, connection| {
        store.bind_partitions(1).await.unwrap();
        let mut commit = batch(0, 0, &[placed(order_id(1))]);
        commit.partitions = commit
            .partitions
            .iter()
            .map(|step| PartitionCommit { announced: Offset(2), ..*step })
            .collect();
        assert_corrupt(store.commit(&commit).await);
        assert_eq!(rows(connection).await, (0, 0, 0));
    })
    .await;
}

/// The names and columns that people's queries rely on.
#[tokio::test]
async fn people_can_read_the_columns() {
    on_fresh_schema(async |store, connection| {
        store.bind_partitions(3).await.unwrap();
        let order = order_id(1);
        let events = lifecycle(order);
        store.commit(&batch(2, 0, &events[..3])).await.unwrap();
        let commit: Commit = batch_after(&events[..3], 2, 3, &[shipped(order), placed(order)]);
        store.commit(&commit).await.unwrap();

        let row = sqlx::query("SELECT * FROM orders").fetch_one(&mut *connection).await.unwrap();
        let text = |column: &str| row.get::<String, _>(column);
        let number = |column: &str| row.get::<i64, _>(column);
        let instant = |column: &str| row.get::<chrono::DateTime<chrono::Utc>, _>(column);
        assert_eq!(row.get::<uuid::Uuid, _>("order_id"), order.as_uuid());
        assert_eq!((text("state"), number("version")), ("Shipped".to_owned(), 4));
        assert_eq!((text("currency"), number("total_minor")), ("CLP".to_owned(), 35_970));
        assert_eq!((number("captured_minor"), number("refunded_minor")), (35_970, 0));
        assert_eq!((text("region"), text("payment_gateway")), ("Metropolitana".into(), "Webpay".into()));
        assert_eq!((text("customer_email"), number("anomalies")), ("ana@example.com".into(), 0));
        assert_eq!((instant("placed_at"), instant("updated_at")), (at(0), at(3)));
        assert_eq!((row.get::<i32, _>("partition"), number("offset")), (2, 4));

        let history: Vec<String> = sqlx::query_scalar(
            r#"SELECT concat_ws(' ', version, event, outcome, coalesce(from_state, '-'), coalesce(to_state, '-'))
               FROM order_history ORDER BY "offset""#,
        )
        .fetch_all(connection)
        .await
        .unwrap();
        assert_eq!(
            history,
            [
                "1 OrderPlaced applied - Placed",
                "2 PaymentCaptured applied Placed Paid",
                "3 PreparationStarted applied Paid Preparing",
                "4 OrderShipped applied Preparing Shipped",
                "4 OrderPlaced duplicate Shipped Shipped",
            ]
        );
    })
    .await;
}
