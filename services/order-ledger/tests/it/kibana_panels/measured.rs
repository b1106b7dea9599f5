//! Measurements as two processes write them in six minutes of two load tests and some other traffic, in an index with the
//! product's mapping; and what panels must show of them.

use std::{collections::BTreeMap, fs};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use kibana::{MISSING, Names, View, Window};
use serde_json::{Value, json};
use testkit::servers;

use super::rows::Rows;
use crate::metrics::root;

/// All of it, minute by minute.
pub(super) const WINDOW: Window<'_> =
    Window { from: "2026-03-01T00:00:00Z", until: "2026-03-02T00:00:00Z", interval: "1m" };

/// Elasticsearch takes a bucket of a histogram as so many equal values, and estimates between them.
pub(super) const FINENESS: f64 = 0.02;

const MINUTES: i64 = 6;

const NODES: [&str; 2] = ["one", "two"];

const LOAD_TESTS: [Option<&str>; 3] = [Some("black-friday"), Some("soak"), None];

/// What was written, and where.
pub(super) struct Measured {
    pub(super) elasticsearch: String,
    pub(super) index: String,
    documents: Vec<Value>,
}

impl Measured {
    /// Makes the index, and writes.
    pub(super) async fn indexed() -> Self {
        let elasticsearch = servers::elasticsearch();
        let prefix = format!("{}-", servers::unique("kibana").replace('_', "-"));
        let index = Names::new(prefix).index(View::Metrics);
        let file = root().join("infra/elasticsearch/order-ledger-metrics-mappings.json");
        let template: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        let http = reqwest::Client::new();
        let url = format!("{elasticsearch}/{index}");
        let mappings = json!({ "mappings": template["template"]["mappings"] });
        let made = http.put(&url).json(&mappings).send().await.unwrap();
        let (status, body) = (made.status(), made.text().await.unwrap());
        assert!(status.is_success(), "{status}: {body}");
        let documents = documents();
        let mut bulk = String::new();
        for document in &documents {
            bulk += &format!("{{\"create\":{{}}}}\n{document}\n");
        }
        let written = http
            .post(format!("{url}/_bulk?refresh=true"))
            .header("content-type", "application/x-ndjson")
            .body(bulk)
            .send()
            .await
            .unwrap();
        let written: Value = written.error_for_status().unwrap().json().await.unwrap();
        assert_eq!(written["errors"], false, "{written}");
        Self { elasticsearch, index, documents }
    }

    pub(super) async fn remove(self) {
        let url = format!("{}/{}", self.elasticsearch, self.index);
        let removed = reqwest::Client::new().delete(url).send().await.unwrap();
        removed.error_for_status().unwrap();
    }

    /// What a panel must show: computed here, of the documents, by hand for each.
    pub(super) fn rows(&self, panel: &str) -> Rows {
        let p95 = |of: &[&Value]| vec![percentile(of, 95.0)];
        let sum = |field: &'static str| move |of: &[&Value]| vec![sum(of, field)];
        let most = |field: &'static str| move |of: &[&Value]| vec![most(of, field)];
        match panel {
            "load-tests" => self.group("PlaceOrder", &[load_test], in_all),
            "streamed-orders" => self.group("PlaceOrders", &[load_test], in_all),
            "streamed-latency-over-time" => self.group("PlaceOrders", &[minute], percentiles),
            "place-latency-over-time" => self.group("PlaceOrder", &[minute], percentiles),
            "place-latency-by-test" => self.group("PlaceOrder", &[load_test, minute], p95),
            "throughput" => self.group("PlaceOrder", &[load_test, minute], sum("count")),
            "place-failures" => {
                let failed = self.documents.iter().filter(is_failure);
                group(failed.filter(is("PlaceOrder")), &[load_test, minute], sum("count"))
            }
            "state-updates" => self.group("state_update", &[load_test, state], |of| {
                let mut told = vec![self::sum(of, "count")];
                told.extend(percentiles(of));
                told.push(self::most(of, "latency_max_seconds"));
                told
            }),
            "update-latency" => self.group("state_update", &[minute], percentiles),
            "lag-records" => self.group("partition", &[partition, minute], most("lag_records")),
            "lag-seconds" => self.group("partition", &[partition, minute], most("lag_seconds")),
            "dead-letters" => {
                self.group("consumers", &[consumer, minute], most("dead_letters_open"))
            }
            "mails" => group(self.mailer(), &[minute], |of| {
                vec![self::sum(of, "mails_sent"), self::sum(of, "mails_failed")]
            }),
            "mails-pending" => group(self.mailer(), &[minute], most("mails_pending")),
            _ => panic!("{panel} is compared with nothing"),
        }
    }

    fn mailer(&self) -> impl Iterator<Item = &Value> {
        self.documents.iter().filter(|document| document["consumer"] == "mailer")
    }

    fn group(
        &self,
        metric: &'static str,
        keys: &[fn(&Value) -> String],
        tell: impl Fn(&[&Value]) -> Vec<Option<f64>>,
    ) -> Rows {
        group(self.documents.iter().filter(is(metric)), keys, tell)
    }
}

fn is(metric: &'static str) -> impl Fn(&&Value) -> bool {
    move |document| document["metric"] == metric
}

fn is_failure(document: &&Value) -> bool {
    document["event"]["outcome"] == "failure"
}

fn group<'a>(
    documents: impl Iterator<Item = &'a Value>,
    keys: &[fn(&Value) -> String],
    tell: impl Fn(&[&Value]) -> Vec<Option<f64>>,
) -> Rows {
    let mut groups: BTreeMap<Vec<String>, Vec<&Value>> = BTreeMap::new();
    for document in documents {
        let key = keys.iter().map(|key| key(document)).collect();
        groups.entry(key).or_default().push(document);
    }
    Rows(groups.into_iter().map(|(key, of)| (key, tell(&of))).collect())
}

fn minute(document: &Value) -> String {
    let at: DateTime<Utc> = document["@timestamp"].as_str().unwrap().parse().unwrap();
    (at.timestamp() / 60 * 60_000).to_string()
}

fn load_test(document: &Value) -> String {
    document["load_test_type"].as_str().unwrap_or(MISSING).to_owned()
}

fn state(document: &Value) -> String {
    document["state"].as_str().unwrap().to_owned()
}

fn partition(document: &Value) -> String {
    document["partition"].to_string()
}

fn consumer(document: &Value) -> String {
    document["consumer"].as_str().unwrap().to_owned()
}

fn percentiles(of: &[&Value]) -> Vec<Option<f64>> {
    [50.0, 95.0, 99.0].map(|p| percentile(of, p)).to_vec()
}

/// How many, how many of them failed, and how long they took.
fn in_all(of: &[&Value]) -> Vec<Option<f64>> {
    let failed: Vec<_> = of.iter().copied().filter(is_failure).collect();
    let mut told = vec![sum(of, "count"), sum(&failed, "count")];
    told.extend(percentiles(of));
    told.push(most(of, "latency_max_seconds"));
    told
}

fn numbers<'a>(of: &'a [&Value], field: &'a str) -> impl Iterator<Item = f64> {
    of.iter().filter_map(move |document| document[field].as_f64())
}

fn sum(of: &[&Value], field: &str) -> Option<f64> {
    Some(numbers(of, field).sum())
}

fn most(of: &[&Value], field: &str) -> Option<f64> {
    numbers(of, field).reduce(f64::max)
}

/// Of every value, as often as it was counted.
fn percentile(of: &[&Value], percent: f64) -> Option<f64> {
    let mut values = Vec::new();
    for document in of {
        let latency = &document["latency_seconds"];
        let counts = latency["counts"].as_array().unwrap();
        for (value, count) in latency["values"].as_array().unwrap().iter().zip(counts) {
            let count = usize::try_from(count.as_u64().unwrap()).unwrap();
            values.extend(std::iter::repeat_n(value.as_f64().unwrap(), count));
        }
    }
    values.sort_unstable_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    let rank = percent / 100.0 * f64::from(u32::try_from(last).unwrap());
    let below = values[rank.floor() as usize];
    let above = values[rank.ceil() as usize];
    Some(below + (above - below) * rank.fract())
}

/// Everything that was written.
fn documents() -> Vec<Value> {
    let mut all = Vec::new();
    for minute in 0..MINUTES {
        for (node, turn) in NODES.into_iter().zip(0..) {
            let with = |metric: &str, fields: Value| {
                let mut document = head(minute, node, metric);
                document.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
                document
            };
            for (load_test, slower) in LOAD_TESTS.into_iter().zip(0..) {
                let base = 2 + 3 * slower + minute + turn;
                all.push(with("PlaceOrder", placed("success", load_test, base, 80)));
                if minute % 2 == 0 && load_test != Some("soak") {
                    all.push(with("PlaceOrder", placed("failure", load_test, base + 40, 3)));
                }
                if load_test.is_some() {
                    all.push(with("PlaceOrders", placed("success", load_test, base + 20, 50)));
                    all.push(with("PlaceOrders", placed("failure", load_test, base + 60, 2)));
                }
                for (state, later) in ["Placed", "Paid", "Shipped"].into_iter().zip(0..) {
                    let updated = updated(state, load_test, base + 5 * later);
                    all.push(with("state_update", updated));
                }
            }
            for partition in 0..4 {
                let lag = (partition + 1) * (minute + 1) * 10 + turn;
                let fields = json!({ "partition": partition, "lag_records": lag, "lag_seconds": 0.25 * lag as f64 });
                all.push(with("partition", fields));
            }
            for (consumer, open) in
                ["projector", "search", "mailer", "fulfilment"].into_iter().zip(0..)
            {
                let mut fields =
                    json!({ "consumer": consumer, "dead_letters_open": open * minute });
                if consumer == "mailer" {
                    let mails = json!({
                        "mails_pending": 7 * minute,
                        "mails_sent": 100 + minute + turn,
                        "mails_failed": turn * minute,
                    });
                    fields.as_object_mut().unwrap().extend(mails.as_object().unwrap().clone());
                }
                all.push(with("consumers", fields));
            }
        }
    }
    all
}

fn head(minute: i64, node: &str, metric: &str) -> Value {
    let start: DateTime<Utc> = "2026-03-01T10:00:15Z".parse().unwrap();
    let at = start + TimeDelta::minutes(minute);
    json!({
        "@timestamp": at.to_rfc3339_opts(SecondsFormat::Millis, true),
        "event": { "kind": "metric", "dataset": "order_ledger.metrics" },
        "service": { "name": "order-ledger", "version": "0.1.0", "node": { "name": node } },
        "metric": metric,
        "interval_seconds": 60.0,
    })
}

fn placed(outcome: &str, load_test: Option<&str>, base: i64, calls: i64) -> Value {
    let mut fields = latency(base, calls);
    fields["event"] = json!({
        "kind": "metric",
        "dataset": "order_ledger.metrics",
        "action": "OrderPlaced",
        "outcome": outcome,
    });
    fields["state"] = json!("Placed");
    fields["load_test_type"] = json!(load_test);
    fields
}

fn updated(state: &str, load_test: Option<&str>, base: i64) -> Value {
    let mut fields = latency(base, 60);
    fields["state"] = json!(state);
    fields["load_test_type"] = json!(load_test);
    fields
}

/// Calls that took from `base` milliseconds on, each millisecond one to three of them.
fn latency(base: i64, buckets: i64) -> Value {
    let seconds = |bucket: i64| (base * 10 + bucket) as f64 / 1000.0;
    let values: Vec<_> = (0..buckets).map(seconds).collect();
    let counts: Vec<_> = (0..buckets).map(|bucket| 1 + bucket % 3).collect();
    let count: i64 = counts.iter().sum();
    json!({
        "count": count,
        "per_second": count as f64 / 60.0,
        "latency_max_seconds": values.last(),
        "latency_seconds": { "values": values, "counts": counts },
    })
}
