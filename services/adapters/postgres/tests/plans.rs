//! What the reads cost once there are many orders: told from the database's own counts of what it touched.

use std::time::Duration;

use chrono::{DateTime, Utc};
use contract::order_store::{batch, batch_after};
use events::{EventId, State};
use ports::{ListKey, Offset, OrderFilter, OrderStore as _};
use sqlx::{Executor as _, PgConnection};
use testkit::{
    sample::{captured, lifecycle, order_id, placed},
    servers, wait_for,
};

use crate::schema::{connect, in_schema, store};

/// Many orders, one a second from `2026-01-01`, as a projector leaves them.
const MANY_ORDERS: &str = "
    INSERT INTO orders
    SELECT gen_random_uuid(), 'Placed', 1, 'CLP', 1, 0, 0, 'region ' || n % 200, n % 1000 || '@example.com', 'Webpay', 0,
           timestamptz '2026-01-01Z' + n * interval '1 second', now(), 0, n, ''
    FROM generate_series(1, 20000) AS n;
    ANALYZE orders;
";

/// How often an index was looked into, and how many entries were read there.
async fn uses(connection: &mut PgConnection, index: &str) -> (i64, i64) {
    sqlx::query_as(
        "SELECT idx_scan, idx_tup_read FROM pg_stat_user_indexes
         WHERE schemaname = current_schema() AND indexrelname = $1",
    )
    .bind(index)
    .fetch_one(connection)
    .await
    .unwrap()
}

/// The counts of a connection that was closed come a little later.
async fn wait_for_uses(connection: &mut PgConnection, index: &str, scans: i64) -> i64 {
    wait_for("the database to count", Duration::from_secs(60), async || {
        let (counted, entries) = uses(connection, index).await;
        (counted >= scans).then_some(entries)
    })
    .await
}

/// A page costs about what is on it, wherever it lies; a customer has twenty orders here, of which any number may be read.
#[tokio::test]
async fn a_page_of_a_list_reads_its_own_part_of_an_index() {
    in_schema(async |schema| {
        let store = store(&servers::postgres(), schema);
        store.prepare().await.unwrap();
        let mut connection = connect(schema).await;
        connection.execute(sqlx::raw_sql(MANY_ORDERS)).await.unwrap();

        let instant = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let start = instant("2026-01-01T00:00:00Z");
        let region = Some("region 33".to_owned());
        let customer_email = Some("33@example.com".to_owned());
        let filters = [
            OrderFilter::default(),
            OrderFilter { placed_from: Some(start), ..OrderFilter::default() },
            OrderFilter { states: vec![State::Placed], ..OrderFilter::default() },
            OrderFilter { region: region.clone(), ..OrderFilter::default() },
            OrderFilter { customer_email, region, ..OrderFilter::default() },
        ];
        let placed_until = Some(instant("2026-01-01T05:00:00Z"));
        let deep = instant("2026-01-01T02:00:00Z");
        let after = Some(ListKey { placed_at: deep, order_id: order_id(1) });
        for filter in filters {
            let filter = OrderFilter { placed_until, ..filter };
            for after in [None, after] {
                assert_eq!(store.list(&filter, after, 5).await.unwrap().len(), 5);
            }
        }
        drop(store);

        for (index, scans) in
            [("orders_newest", 6), ("orders_of_region", 2), ("orders_of_customer", 2)]
        {
            let entries = wait_for_uses(&mut connection, index, scans).await;
            assert!(entries <= scans * 20, "{index}: {entries} entries for {scans} pages of 5");
        }
    })
    .await;
}

/// Neither a page of a long history nor a look-up of one event reads the rest of it.
#[tokio::test]
async fn a_long_history_costs_only_what_is_read_of_it() {
    in_schema(async |schema| {
        let store = store(&servers::postgres(), schema);
        store.prepare().await.unwrap();
        store.bind_partitions(1).await.unwrap();
        let order = order_id(1);
        let mut events = vec![placed(order)];
        events.extend(vec![captured(order); 5_000]);
        store.commit(&batch(0, 0, &events)).await.unwrap();
        let mut connection = connect(schema).await;
        connection.execute("ANALYZE").await.unwrap();

        assert_eq!(store.history_page(order, Some(Offset(2_500)), 10).await.unwrap().len(), 10);
        let questions =
            [placed(order).id, EventId::derived(order, "never")].map(|event| (order, event));
        store.look_up(&questions).await.unwrap();
        drop(store);

        let entries = wait_for_uses(&mut connection, "order_history_order", 3).await;
        assert!(entries <= 20, "{entries} entries");
    })
    .await;
}

/// No index has a column that moves, so a row is replaced within its page.
#[tokio::test]
async fn moving_an_order_touches_no_index() {
    in_schema(async |schema| {
        let store = store(&servers::postgres(), schema);
        store.prepare().await.unwrap();
        store.bind_partitions(1).await.unwrap();
        let events = lifecycle(order_id(1));
        store.commit(&batch(0, 0, &events[..1])).await.unwrap();
        for n in 1..events.len() {
            let from = i64::try_from(n).unwrap();
            store.commit(&batch_after(&events[..n], 0, from, &events[n..=n])).await.unwrap();
        }
        drop(store);

        let mut connection = connect(schema).await;
        let updates = i64::try_from(events.len() - 1).unwrap();
        let hot = wait_for("the database to count", Duration::from_secs(60), async || {
            let (all, hot): (i64, i64) = sqlx::query_as(
                "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables
                 WHERE schemaname = current_schema() AND relname = 'orders'",
            )
            .fetch_one(&mut connection)
            .await
            .unwrap();
            (all >= updates).then_some(hot)
        })
        .await;
        assert_eq!(hot, updates);
    })
    .await;
}
