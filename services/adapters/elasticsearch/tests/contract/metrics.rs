//! The stream of metrics as an operator and a dashboard find it.

use std::time::Duration;

use elasticsearch::http::Method;
use events::{EventKind, State};
use ports::{
    IndexOutcome, Measured, Measures, MetricDocument, MetricStream as _, SearchError, Told,
};
use serde_json::{Value, json};
use testkit::sample::at;

use crate::fresh::Fresh;

/// Microseconds, uneven as those of real calls: most are fast, few are slow.
fn latencies(seed: u64, count: u64) -> Vec<u64> {
    let step = |n: u64| (n * 7_919 + seed * 104_729) % count;
    (0..count).map(step).map(|n| 200 + n * n / 40 + n).collect()
}

fn measured(load_test_type: &str, until: i64, latencies: &[u64]) -> Vec<MetricDocument> {
    let measures = Measures::on();
    let mut updates = measures.updates().unwrap();
    for micros in latencies {
        let (state, latency) = (Some(State::Shipped), Duration::from_micros(*micros));
        let event = EventKind::OrderShipped;
        updates.record(event, Measured::Success, state, Some(load_test_type), latency);
    }
    drop(updates);
    let lasted = Duration::from_secs(10);
    measures.take().documents(Told { node: "here", version: "1", until: at(until), lasted })
}

/// The value below which that many in a hundred are.
fn percentile(sorted: &[u64], percent: f64) -> f64 {
    let rank = (percent / 100.0 * (sorted.len() - 1) as f64).round() as usize;
    sorted[rank] as f64 / 1e6
}

fn close(found: &Value, expected: f64, what: &str) {
    let found = found.as_f64().unwrap_or_else(|| panic!("{what}: {found} is no number"));
    assert!((found - expected).abs() <= 0.02 * expected, "{what}: {found}, not {expected}");
}

async fn search(fresh: &Fresh, body: Value) -> Value {
    fresh.ask(Method::Post, &format!("{}/_refresh", fresh.metric_stream), None).await;
    let path = format!("{}/_search", fresh.metric_stream);
    let mut answer = fresh.ask(Method::Post, &path, Some(body)).await;
    assert!(answer["aggregations"].is_object(), "{answer}");
    answer["aggregations"].take()
}

/// Elasticsearch says of histograms what the latencies themselves say, however they were divided among documents.
#[tokio::test]
async fn percentiles_over_histograms_are_those_of_the_latencies() {
    let fresh = Fresh::unprepared();
    fresh.metrics.prepare().await.unwrap();
    let [slow, fast] = [latencies(1, 4_000), latencies(2, 900)];
    for (n, slow) in slow.chunks(1_000).enumerate() {
        let until = 10 * i64::try_from(n).unwrap();
        let documents = [measured("slow", until, slow), measured("fast", until, &fast)].concat();
        let outcomes = fresh.metrics.append(&documents).await.unwrap();
        assert_eq!(outcomes, [IndexOutcome::Indexed, IndexOutcome::Indexed]);
    }
    let latency = json!({
        "latency": { "percentiles": { "field": "latency_seconds", "percents": [50, 90, 99] } },
        "count": { "value_count": { "field": "latency_seconds" } },
        "sum": { "sum": { "field": "latency_seconds" } },
        "mean": { "avg": { "field": "latency_seconds" } },
        "least": { "min": { "field": "latency_seconds" } },
        "most": { "max": { "field": "latency_seconds" } },
    });
    let of_slow = json!({ "term": { "load_test_type": "slow" } });
    let by_time = json!({ "date_histogram": { "field": "@timestamp", "fixed_interval": "1m" }, "aggs": latency });
    let found = search(
        &fresh,
        json!({
            "size": 0,
            "query": { "range": { "count": { "gt": 0 } } },
            "aggs": {
                "slow": { "filter": of_slow, "aggs": { "by_time": by_time } },
                "by_test": { "terms": { "field": "load_test_type" }, "aggs": latency },
            },
        }),
    );
    let found = found.await;
    let buckets = found["by_test"]["buckets"].as_array().unwrap();
    let of = |test: &str| buckets.iter().find(|bucket| bucket["key"] == test).unwrap();
    for (test, mut latencies) in [("slow", slow.clone()), ("fast", fast.repeat(4))] {
        latencies.sort_unstable();
        check(of(test), &latencies, test);
    }
    let minutes = found["slow"]["by_time"]["buckets"].as_array().unwrap().iter();
    let counts = minutes.map(|bucket| bucket["count"]["value"].as_u64().unwrap());
    assert_eq!(counts.sum::<u64>(), 4_000);
    fresh.remove().await;
}

fn check(bucket: &Value, sorted: &[u64], what: &str) {
    assert_eq!(bucket["count"]["value"], sorted.len(), "{what}");
    for percent in ["50.0", "90.0", "99.0"] {
        let expected = percentile(sorted, percent.parse().unwrap());
        close(&bucket["latency"]["values"][percent], expected, &format!("{what}: {percent}"));
    }
    let sum = sorted.iter().sum::<u64>() as f64 / 1e6;
    close(&bucket["sum"]["value"], sum, what);
    close(&bucket["mean"]["value"], sum / sorted.len() as f64, what);
    close(&bucket["least"]["value"], percentile(sorted, 0.0), what);
    close(&bucket["most"]["value"], percentile(sorted, 100.0), what);
}

/// What the type takes and what it refuses, and that a search of a field that no document has answers.
#[tokio::test]
async fn a_histogram_is_checked_as_documented() {
    let fresh = Fresh::unprepared();
    fresh.metrics.prepare().await.unwrap();
    let empty = json!({ "size": 0, "aggs": {
        "latency": { "percentiles": { "field": "latency_seconds" } },
        "count": { "value_count": { "field": "latency_seconds" } },
    } });
    let found = search(&fresh, empty.clone()).await;
    assert_eq!(found["count"]["value"], 0);
    assert_eq!(found["latency"]["values"]["50.0"], Value::Null);
    let path = format!("{}/_create", fresh.metric_stream);
    let mut n = 0;
    for (histogram, taken) in [
        (json!({ "values": [0.1, 0.2], "counts": [3, 1] }), true),
        (json!({ "values": [0.1, 0.2, 0.3], "counts": [0, 4, 0] }), true),
        (json!({ "values": [], "counts": [] }), true),
        (Value::Null, true),
        (json!({ "values": [0.2, 0.1], "counts": [3, 1] }), false),
        (json!({ "values": [0.1], "counts": [3, 1] }), false),
        (json!({ "values": [0.1], "counts": [-1] }), false),
        (json!({ "values": [0.1], "counts": [1.5] }), false),
        (json!({ "values": [0.1] }), false),
        (json!({ "values": [0.1], "counts": [1], "more": [1] }), false),
        (json!([0.1, 0.2]), false),
        (json!(0.1), false),
    ] {
        n += 1;
        let document = json!({ "@timestamp": at(n), "latency_seconds": histogram });
        let answer = fresh.ask(Method::Put, &format!("{path}/{n}"), Some(document)).await;
        let expected = if taken { json!("created") } else { Value::Null };
        assert_eq!(answer["result"], expected, "{histogram}: {answer}");
    }
    let found = search(&fresh, empty).await;
    assert_eq!(found["count"]["value"], 8);
    fresh.remove().await;
}

/// It is kept for a time, which an operator may change.
#[tokio::test]
async fn metrics_are_kept_for_thirty_days() {
    let fresh = Fresh::unprepared();
    let custom = format!("_component_template/{}@custom", fresh.metric_stream);
    let lifecycle = json!({ "template": { "lifecycle": { "data_retention": "7d" } } });
    fresh.metrics.prepare().await.unwrap();
    let simulated = format!("_index_template/_simulate/{}", fresh.metric_stream);
    let simulate = || fresh.ask(Method::Post, &simulated, None);
    let found = simulate().await;
    assert_eq!(found["template"]["lifecycle"]["data_retention"], "30d", "{found}");
    fresh.put(&custom, lifecycle).await;
    let found = simulate().await;
    assert_eq!(found["template"]["lifecycle"]["data_retention"], "7d", "{found}");
    let mapped = fresh.get(&format!("{}/_mapping", fresh.metric_stream)).await;
    let mapped = &mapped.as_object().unwrap().values().next().unwrap()["mappings"];
    assert_eq!(mapped["dynamic"], "strict");
    assert_eq!(mapped["properties"]["latency_seconds"]["type"], "histogram");
    fresh.remove().await;
}

/// As of a stream that was made where the type is not known.
#[tokio::test]
async fn a_stream_without_histograms_is_unfit() {
    let fresh = Fresh::unprepared();
    let mappings = json!({ "dynamic": "strict", "properties": {
        "@timestamp": { "type": "date" }, "latency_seconds": { "type": "double" },
    } });
    let template = json!({
        "index_patterns": [fresh.metric_stream], "priority": 500, "data_stream": {}, "version": 99,
        "template": { "mappings": mappings },
    });
    fresh.put(&format!("_index_template/{}", fresh.metric_stream), template).await;
    match fresh.metrics.prepare().await {
        Err(SearchError::Unfit(why)) => {
            assert!(why.contains("latency_seconds is double, must be histogram"), "{why}");
        }
        other => panic!("{other:?}"),
    }
    fresh.remove().await;
}
