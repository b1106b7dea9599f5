//! What processes measure, in the stream of metrics: exactly what was done, and never in the way of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use futures::stream;
use proto::v1::{self, place_orders_response::Result as Placed};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Row as _};
use testkit::wait_for;
use tokio::{net::TcpListener, sync::watch};

use crate::{
    client::{connect, order, order_of, place},
    folder::Folder,
    found::search,
    installation::Installation,
    kibana_panels::shipped,
    process::{PATIENCE, Process},
};

/// Orders of each load test that calls place; those of the last are of none.
const PLACED: [(Option<&str>, usize); 3] = [(Some("soak"), 24), (Some("peak"), 15), (None, 6)];

/// Those that streams place.
const STREAMED: [(Option<&str>, usize); 2] = [(Some("soak"), 9), (None, 4)];

/// Every step of an order that the fulfilment takes by itself.
const STEPS: [&str; 5] = ["pay", "prepare", "ship", "deliver", "complete"];

fn start(installation: &Installation, role: &str) -> Process {
    let mut args = installation.args();
    args.extend(["--roles", role, "--metrics-interval", "500ms"].map(str::to_owned));
    for step in STEPS {
        args.extend([format!("--fulfilment-{step}-after"), "50ms".to_owned()]);
    }
    Process::serve(role, &args)
}

/// Places the orders of every load test, by calls and in a stream; one of either is refused. How many there are.
async fn place_all(installation: &Installation, address: &str, pool: &sqlx::PgPool) -> usize {
    let schema = installation.schema();
    let table = format!(
        "CREATE TABLE {schema}.load_tests (order_id uuid, load_test_type text, streamed boolean)"
    );
    sqlx::raw_sql(AssertSqlSafe(table)).execute(pool).await.unwrap();
    let insert = format!("INSERT INTO {schema}.load_tests VALUES ($1::uuid, $2, $3)");
    let keep = async |placed: v1::PlaceOrderResponse, label: Option<&str>, streamed: bool| {
        let row = sqlx::query(AssertSqlSafe(insert.as_str())).bind(placed.order_id);
        row.bind(label).bind(streamed).execute(pool).await.unwrap();
    };
    let mut client = connect(address).await;
    let mut requests = requests(installation, &PLACED, 0);
    for (request, label) in &requests {
        keep(client.place_order(request.clone()).await.unwrap().into_inner(), *label, false).await;
    }
    let streamed = self::requests(installation, &STREAMED, requests.len());
    let mut refused = order(installation, requests.len() + streamed.len());
    refused.details.as_mut().unwrap().lines.clear();
    client.place_order(refused.clone()).await.unwrap_err();

    let orders: Vec<_> = streamed.iter().map(|(request, _)| request.clone()).collect();
    let orders = orders.into_iter().chain([refused]);
    let mut results = client.place_orders(stream::iter(orders)).await.unwrap().into_inner();
    for (_, label) in &streamed {
        match results.message().await.unwrap().unwrap().result.unwrap() {
            Placed::Placed(placed) => keep(placed, *label, true).await,
            Placed::Refused(status) => panic!("{status:?}"),
        }
    }
    let last = results.message().await.unwrap().unwrap().result.unwrap();
    assert!(matches!(last, Placed::Refused(_)), "{last:?}");
    assert!(results.message().await.unwrap().is_none());
    requests.extend(streamed);
    requests.len()
}

/// So many orders of each load test, from the n-th on.
fn requests<'a>(
    installation: &Installation,
    of: &[(Option<&'a str>, usize)],
    from: usize,
) -> Vec<(v1::PlaceOrderRequest, Option<&'a str>)> {
    let labels = of.iter().flat_map(|(label, count)| std::iter::repeat_n(*label, *count));
    let requests = (from..).zip(labels).map(|(n, label)| {
        let mut request = order(installation, n);
        let label_of = label.map(|name| ("load_test_type".to_owned(), name.to_owned()));
        request.details.as_mut().unwrap().labels.extend(label_of);
        (request, label)
    });
    requests.collect()
}

#[tokio::test]
async fn what_was_done_is_counted_and_timed_in_elasticsearch() {
    let installation = Installation::new("measures").await;
    let roles = ["api", "projector", "search", "mailer", "fulfilment"];
    let mut processes: Vec<_> = roles.map(|role| start(&installation, role)).into();
    for process in &mut processes {
        process.ready().await;
    }
    let address = processes[0].grpc().await;
    let pool = installation.pool().await;
    let placed = place_all(&installation, &address, &pool).await;
    let schema = installation.schema();
    let done = format!(
        "SELECT (SELECT count(*) FROM {schema}.orders WHERE state = 'Completed'),
                (SELECT count(*) FROM {schema}.deliveries WHERE status = 'pending')"
    );
    wait_for("every order is completed and every mail is sent", PATIENCE, async || {
        let row = sqlx::query(AssertSqlSafe(done.as_str())).fetch_one(&pool).await.unwrap();
        let (completed, pending): (i64, i64) = (row.get(0), row.get(1));
        (usize::try_from(completed).unwrap() == placed && pending == 0).then_some(())
    })
    .await;
    wait_for("the stream has what was placed, while the processes run", PATIENCE, async || {
        let mut found = counts(&installation, "PlaceOrder").await.into_values().sum::<u64>();
        found += counts(&installation, "PlaceOrders").await.into_values().sum::<u64>();
        // Those that were refused are told of, too.
        (found == u64::try_from(placed).unwrap() + 2).then_some(())
    })
    .await;
    for process in processes {
        process.stop().await;
    }

    for (metric, placed) in [("PlaceOrder", PLACED.as_slice()), ("PlaceOrders", &STREAMED)] {
        let mut expected = Counts::new();
        for (label, count) in placed {
            let key = ["OrderPlaced", "success", "Placed", label.unwrap_or("none")];
            expected.insert(key.map(str::to_owned), u64::try_from(*count).unwrap());
        }
        // The refused one would have been of none.
        expected.insert(["OrderPlaced", "failure", "Placed", "none"].map(str::to_owned), 1);
        assert_eq!(counts(&installation, metric).await, expected, "{metric}");
    }
    compare_with_history(&installation, &pool).await;
    check_percentiles(&installation).await;
    check_waiting(&installation, &pool).await;
    shipped::show_what_postgres_says(&installation, &pool, 1).await;
    installation.remove().await;
}

/// How often, by event, outcome, state and load test.
type Counts = BTreeMap<[String; 4], u64>;

async fn counts(installation: &Installation, metric: &str) -> Counts {
    let field = |name: &str| json!({ "terms": { "field": name, "size": 50, "missing": "none" } });
    let nested = |mut field: Value, name: &str, inner: Value| {
        field["aggs"] = json!({ name: inner });
        field
    };
    let mut by = json!({ "sum": { "field": "count" } });
    for (name, inner) in [
        ("load_test_type", "sum"),
        ("state", "of"),
        ("event.outcome", "of"),
        ("event.action", "of"),
    ] {
        by = nested(field(name), inner, by);
    }
    let query = json!({
        "size": 0,
        "query": { "term": { "metric": metric } },
        "aggs": { "of": by },
    });
    let stream = installation.metric_stream();
    let Some(found) = search(installation, &stream, &query).await else { return Counts::new() };
    let mut counts = Counts::new();
    for action in buckets(&found["aggregations"]["of"]) {
        for outcome in buckets(&action["of"]) {
            for state in buckets(&outcome["of"]) {
                for label in buckets(&state["of"]) {
                    let key = [action, outcome, state, label].map(|bucket| text(&bucket["key"]));
                    counts.insert(key, whole(&label["sum"]["value"]));
                }
            }
        }
    }
    counts
}

fn buckets(of: &Value) -> &[Value] {
    of["buckets"].as_array().unwrap_or_else(|| panic!("{of} has buckets"))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is a text")).to_owned()
}

/// A sum, which Elasticsearch tells as a fraction.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be whole")]
fn whole(value: &Value) -> u64 {
    let number = value.as_f64().unwrap_or_else(|| panic!("{value} is a number"));
    assert!(number >= 0.0 && number.fract() == 0.0, "{number} is whole");
    number as u64
}

/// State updates are those of the history in Postgres: each one, once, under the state that it led to.
async fn compare_with_history(installation: &Installation, pool: &sqlx::PgPool) {
    let select = format!(
        "SELECT event, CASE outcome WHEN 'applied' THEN 'success' ELSE 'failure' END AS result,
                coalesce(to_state, 'none') AS state, count(*) AS updates
         FROM {}.order_history WHERE outcome IN ('applied', 'rejected') GROUP BY 1, 2, 3",
        installation.schema()
    );
    let rows = sqlx::query(AssertSqlSafe(select)).fetch_all(pool).await.unwrap();
    let stored: BTreeMap<[String; 3], u64> = rows
        .iter()
        .map(|row| {
            let key = [row.get("event"), row.get("result"), row.get("state")];
            (key, u64::try_from(row.get::<i64, _>("updates")).unwrap())
        })
        .collect();
    let mut told: BTreeMap<[String; 3], u64> = BTreeMap::new();
    let mut placed: BTreeMap<String, u64> = BTreeMap::new();
    for ([action, outcome, state, label], count) in counts(installation, "state_update").await {
        if action == "OrderPlaced" {
            *placed.entry(label).or_default() += count;
        }
        *told.entry([action, outcome, state]).or_default() += count;
    }
    assert!(stored.len() > STEPS.len(), "{stored:?}");
    assert_eq!(told, stored);
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    for (label, count) in PLACED.iter().chain(&STREAMED) {
        *expected.entry(label.unwrap_or("none").to_owned()).or_default() +=
            u64::try_from(*count).unwrap();
    }
    assert_eq!(placed, expected);
}

/// As a dashboard asks: by load test, over time.
async fn check_percentiles(installation: &Installation) {
    let latency = json!({
        "latency": { "percentiles": { "field": "latency_seconds", "percents": [50, 99] } },
        "timed": { "value_count": { "field": "latency_seconds" } },
        "longest": { "max": { "field": "latency_max_seconds" } },
    });
    let over_time = json!({
        "date_histogram": { "field": "@timestamp", "fixed_interval": "1s", "min_doc_count": 1 },
        "aggs": latency,
    });
    let mut of_test = json!({ "terms": { "field": "load_test_type" }, "aggs": latency });
    of_test["aggs"]["over_time"] = over_time;
    for metric in ["PlaceOrder", "state_update"] {
        let filter = json!([{ "term": { "metric": metric } }, { "term": { "event.action": "OrderPlaced" } }]);
        let query = json!({
            "size": 0, "query": { "bool": { "filter": filter } }, "aggs": { "of_test": of_test },
        });
        let found = search(installation, &installation.metric_stream(), &query).await.unwrap();
        let tests = buckets(&found["aggregations"]["of_test"]);
        assert_eq!(tests.len(), 2, "{found}");
        for (label, count) in PLACED {
            let Some(test) =
                tests.iter().find(|test| Some(text(&test["key"])) == label.map(str::to_owned))
            else {
                continue;
            };
            // Both ways lead to the same fold.
            let in_streams = STREAMED.iter().filter(|(other, _)| *other == label);
            let in_streams: usize = in_streams.map(|(_, count)| count).sum();
            let count = if metric == "PlaceOrder" { count } else { count + in_streams };
            assert_eq!(whole(&test["timed"]["value"]), u64::try_from(count).unwrap(), "{label:?}");
            let seconds = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{test}"));
            let median = seconds(&test["latency"]["values"]["50.0"]);
            let high = seconds(&test["latency"]["values"]["99.0"]);
            let longest = seconds(&test["longest"]["value"]);
            assert!(0.0 <= median && median <= high && high <= longest * 1.01, "{test}");
            // A call goes to Kafka and back: more than a tenth of a millisecond.
            assert!(metric != "PlaceOrder" || median > 0.000_1, "{test}");
            let each =
                buckets(&test["over_time"]).iter().map(|bucket| whole(&bucket["timed"]["value"]));
            assert_eq!(each.sum::<u64>(), u64::try_from(count).unwrap(), "{label:?} over time");
        }
    }
}

/// Partitions and consumers, and the mails that were sent.
async fn check_waiting(installation: &Installation, pool: &sqlx::PgPool) {
    let query = json!({ "size": 0, "aggs": {
        "partitions": { "terms": { "field": "partition", "size": 50 } },
        "lag": { "min": { "field": "lag_records" } },
        "consumers": { "terms": { "field": "consumer" }, "aggs": {
            "open": { "max": { "field": "dead_letters_open" } },
            "sent": { "sum": { "field": "mails_sent" } },
            "failed": { "sum": { "field": "mails_failed" } },
        } },
        "nodes": { "cardinality": { "field": "service.node.name" } },
    } });
    let found = search(installation, &installation.metric_stream(), &query).await.unwrap();
    let found = &found["aggregations"];
    assert_eq!(found["nodes"]["value"], 5, "each process has a name of its own");
    let partitions = format!("SELECT count(*) FROM {}.progress", installation.schema());
    let partitions: i64 =
        sqlx::query_scalar(AssertSqlSafe(partitions)).fetch_one(pool).await.unwrap();
    assert_eq!(buckets(&found["partitions"]).len(), usize::try_from(partitions).unwrap());
    assert_eq!(whole(&found["lag"]["value"]), 0);
    let consumers = buckets(&found["consumers"]);
    let names: BTreeSet<_> = consumers.iter().map(|consumer| text(&consumer["key"])).collect();
    assert_eq!(names, ["fulfilment", "mailer", "projector", "search"].map(str::to_owned).into());
    assert!(consumers.iter().all(|consumer| whole(&consumer["open"]["value"]) == 0), "{found}");
    let mailer = consumers.iter().find(|consumer| consumer["key"] == "mailer").unwrap();
    let sent =
        format!("SELECT count(*) FROM {}.deliveries WHERE status = 'sent'", installation.schema());
    let sent: i64 = sqlx::query_scalar(AssertSqlSafe(sent)).fetch_one(pool).await.unwrap();
    assert!(sent > 0);
    assert_eq!(whole(&mailer["sent"]["value"]), u64::try_from(sent).unwrap());
    assert_eq!(whole(&mailer["failed"]["value"]), 0);
}

/// Elasticsearch is away, or takes connections and never answers: orders are placed, and the process ends in time.
#[tokio::test]
async fn placing_goes_on_without_elasticsearch() {
    const ORDERS: usize = 20;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("http://{}", silent.local_addr().unwrap());
    let away = "http://127.0.0.1:1".to_owned();
    for search in [&away, &silent] {
        let installation = Installation::new("measures-away").await;
        let mut args = installation.args();
        let at = args.iter().position(|arg| *arg == installation.elasticsearch).unwrap();
        args[at].clone_from(search);
        args.extend(["--roles", "api", "--metrics-interval", "100ms"].map(str::to_owned));
        let mut process = Process::serve("measures-away", &args);
        process.ready().await;
        let server = watch::channel(process.grpc().await).1;
        for n in 0..ORDERS {
            place(&server, order(&installation, n)).await;
        }
        process.says("metrics wait for the search part").await;
        for n in ORDERS..2 * ORDERS {
            place(&server, order(&installation, n)).await;
        }
        if *search == away {
            // Each interval in which an order is placed makes a document; those that wait too long are let go of.
            let mut n = 2 * ORDERS;
            wait_for("an interval is dropped while orders are placed", PATIENCE, async || {
                place(&server, order(&installation, n)).await;
                n += 1;
                (process.metric("order_ledger_metric_documents_total").await > 0.0).then_some(())
            })
            .await;
        }
        assert!(process.metric("order_ledger_orders_placed_total").await >= 2.0 * ORDERS as f64);
        let asked = Instant::now();
        process.stop().await;
        let took = asked.elapsed();
        assert!(took < Duration::from_secs(20), "{search}: it took {took:?} to end");
        installation.remove().await;
    }
}

/// The same documents, in a table beside the index.
#[tokio::test]
async fn embedded_parts_keep_metrics_too() {
    let folder = Folder::new();
    let mut process = folder.serve("measures", &["--metrics-interval", "100ms"]);
    process.ready().await;
    let server = watch::channel(process.grpc().await).1;
    for n in 0..3 {
        place(&server, order_of("measures", n)).await;
    }
    for metric in ["PlaceOrder", "state_update"] {
        let sum = format!(
            "SELECT coalesce(sum(document ->> 'count'), 0) FROM metrics WHERE document ->> 'metric' = '{metric}'"
        );
        wait_for(&format!("{metric} is counted"), PATIENCE, async || {
            (folder.count("search.db", &sum).await == 3).then_some(())
        })
        .await;
    }
    let different =
        "SELECT count(DISTINCT coalesce(document ->> 'partition', document ->> 'consumer'))
                     FROM metrics WHERE document ->> 'metric' IN ('partition', 'consumers')";
    wait_for("four partitions and four consumers are told of", PATIENCE, async || {
        (folder.count("search.db", different).await == 8).then_some(())
    })
    .await;
    process.stop().await;
}
