//! Panels over metrics that processes measured and shipped themselves, against SQL over Postgres: how often, of what. How long it
//! took, Postgres does not know: there percentiles must be in order.

use std::collections::{BTreeMap, BTreeSet};

use kibana::{Names, Panel, View, panel_request};
use sqlx::{AssertSqlSafe, PgPool, Row as _};

use super::{ALWAYS, ask, panels_of, rows::Rows};
use crate::installation::Installation;

/// Measures by the keys of their group, time left out.
type Sums = BTreeMap<Vec<String>, f64>;

/// Every panel over metrics shows what the stores say, once the processes have ended. The table `load_tests` says of which
/// load test an order is, and whether it came in a stream; besides the orders that were placed, so many of no load test were
/// refused, each way.
pub(crate) async fn show_what_postgres_says(
    installation: &Installation,
    pool: &PgPool,
    refused: u32,
) {
    let index = Names::new(format!("{}-", installation.name)).index(View::Metrics);
    for panel in panels_of(|view| view == View::Metrics) {
        let answer = ask(&installation.elasticsearch, &index, &panel_request(&panel, ALWAYS)).await;
        let rows = Rows::of(&panel, &answer);
        assert!(!rows.0.is_empty(), "{} shows nothing", panel.id);
        match panel.id {
            "place-latency-over-time"
            | "place-latency-by-test"
            | "streamed-latency-over-time"
            | "update-latency" => {
                assert!(rows.0.values().all(|row| row.is_sorted()), "{}: {rows:?}", panel.id);
            }
            // They come and go while the processes run.
            "lag-records" | "lag-seconds" => {
                let partitions = sums(&panel, &rows, 0).into_keys().collect::<BTreeSet<_>>();
                let known = select(installation, pool, &asked(panel.id, 0, refused)).await;
                assert_eq!(partitions, known.into_keys().collect(), "{}", panel.id);
            }
            "mails-pending" => assert!(rows.0.values().flatten().all(|n| n.unwrap() >= 0.0)),
            id => {
                let columns =
                    if matches!(id, "mails" | "load-tests" | "streamed-orders") { 2 } else { 1 };
                for column in 0..columns {
                    let known = select(installation, pool, &asked(id, column, refused)).await;
                    assert_eq!(sums(&panel, &rows, column), known, "{id}, {column}");
                }
            }
        }
    }
}

/// One of a panel's measures, over all of the time.
fn sums(panel: &Panel, rows: &Rows, column: usize) -> Sums {
    let time = panel.buckets.iter().position(kibana::Bucket::is_time);
    let mut sums = Sums::new();
    for (key, row) in &rows.0 {
        let key = key.iter().enumerate().filter(|(at, _)| Some(*at) != time);
        let key = key.map(|(_, key)| key.clone()).collect();
        *sums.entry(key).or_default() += row[column].unwrap_or_default();
    }
    sums
}

async fn select(installation: &Installation, pool: &PgPool, query: &str) -> Sums {
    let query = query.replace("{s}", &installation.schema());
    let rows = sqlx::query(AssertSqlSafe(query)).fetch_all(pool).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// The query for a column of a panel, written by hand.
fn asked(panel: &str, column: usize, refused: u32) -> String {
    let streamed = panel == "streamed-orders";
    let placed = format!(
        "SELECT ARRAY[coalesce(load_test_type, '__missing__')],
                (count(*) + CASE WHEN load_test_type IS NULL THEN {refused} ELSE 0 END)::float8
         FROM {{s}}.orders LEFT JOIN {{s}}.load_tests USING (order_id) WHERE streamed = {streamed} GROUP BY load_test_type"
    );
    let sent = |status: &str| {
        format!(
            "SELECT '{{}}'::text[], count(*)::float8 FROM {{s}}.deliveries WHERE status = '{status}'"
        )
    };
    match (panel, column) {
        ("load-tests" | "streamed-orders", 0) | ("throughput", _) => placed,
        ("load-tests" | "streamed-orders", _) => format!(
            "SELECT DISTINCT ARRAY[coalesce(load_test_type, '__missing__')],
                    CASE WHEN load_test_type IS NULL THEN {refused} ELSE 0 END::float8
             FROM {{s}}.orders LEFT JOIN {{s}}.load_tests USING (order_id) WHERE streamed = {streamed}"
        ),
        ("place-failures", _) => format!("SELECT ARRAY['__missing__'], {refused}::float8"),
        ("state-updates", _) => {
            "SELECT ARRAY[coalesce(load_test_type, '__missing__'), to_state], count(*)::float8
             FROM {s}.order_history LEFT JOIN {s}.load_tests USING (order_id)
             WHERE outcome IN ('applied', 'rejected') AND to_state IS NOT NULL
             GROUP BY load_test_type, to_state"
                .to_owned()
        }
        ("lag-records" | "lag-seconds", _) => {
            "SELECT ARRAY[partition::text], 0::float8 FROM {s}.progress".to_owned()
        }
        ("dead-letters", _) => {
            "SELECT ARRAY[consumer],
                    (SELECT count(*) FROM {s}.dead_letters d WHERE d.consumer = known.consumer)::float8
             FROM unnest(ARRAY['projector', 'search', 'mailer', 'fulfilment']) AS known (consumer)"
                .to_owned()
        }
        ("mails", 0) => sent("sent"),
        ("mails", _) => sent("failed"),
        _ => panic!("{panel} is compared with nothing"),
    }
}
