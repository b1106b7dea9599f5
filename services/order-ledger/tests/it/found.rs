//! What Elasticsearch has, through its own API, against what the oracle says and what Postgres has.

use std::collections::BTreeMap;

use events::{OrderId, State};
use ports::OrderDocument;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Row as _};

use crate::{installation::Installation, oracle::Oracle};

/// Asks an index or a stream; `None` if it is not there.
pub(crate) async fn search(
    installation: &Installation,
    name: &str,
    query: &Value,
) -> Option<Value> {
    let url = format!("{}/{name}", installation.elasticsearch);
    let http = reqwest::Client::new();
    if http.post(format!("{url}/_refresh")).send().await.unwrap().status() == 404 {
        return None;
    }
    let answer = http.post(format!("{url}/_search")).json(query).send().await.unwrap();
    Some(answer.error_for_status().unwrap().json().await.unwrap())
}

/// Every hit of an index or a stream, in the order of these fields.
async fn hits(installation: &Installation, name: &str, sort: Value) -> Vec<Value> {
    let mut all = Vec::new();
    let mut query = json!({"size": 500, "version": true, "sort": sort});
    loop {
        let Some(mut found) = search(installation, name, &query).await else { return all };
        let Value::Array(hits) = found["hits"]["hits"].take() else { panic!("{found}") };
        let Some(last) = hits.last() else { return all };
        query["search_after"] = last["sort"].clone();
        all.extend(hits);
    }
}

/// Version and source of every document.
pub(crate) async fn indexed(installation: &Installation) -> BTreeMap<OrderId, (u64, Value)> {
    let hits = hits(installation, &installation.index(), json!([{"order_id": "asc"}])).await;
    let document = |hit: &Value| {
        let id = hit["_id"].as_str().unwrap().parse().unwrap();
        (id, (hit["_version"].as_u64().unwrap(), hit["_source"].clone()))
    };
    hits.iter().map(document).collect()
}

pub(crate) async fn documents(installation: &Installation, oracle: &Oracle) {
    let indexed = indexed(installation).await;
    assert_eq!(indexed.len(), oracle.orders.len(), "documents in Elasticsearch");
    for (id, (version, source)) in indexed {
        let order = &oracle.orders[&id].order;
        assert_eq!(version, order.version.get(), "{id}");
        assert_eq!(source, json!(OrderDocument::from(order)), "{id}");
    }
}

/// Every transition, by order and version.
pub(crate) async fn appended(installation: &Installation) -> Vec<Value> {
    let sort = json!([{"order_id": "asc"}, {"version": "asc"}]);
    let hits = hits(installation, &installation.stream(), sort).await;
    hits.into_iter().map(|mut hit| hit["_source"].take()).collect()
}

/// One a recorded change, and what it says, but for when and in which trace it was told: a replay may have made it.
pub(crate) async fn transitions(installation: &Installation, oracle: &Oracle) {
    let appended = appended(installation).await;
    let expected: Vec<_> = oracle.changes().collect();
    assert_eq!(appended.len(), expected.len(), "transitions in Elasticsearch");
    for (found, change) in appended.iter().zip(expected) {
        let created = found["event"]["created"].as_str().unwrap().parse().unwrap();
        let mut expected = json!(codec::transition(change, None, created));
        let lag = &found["lag_seconds"];
        assert!(lag.is_null() || lag.as_f64().is_some_and(|lag| lag >= 0.0), "{found}");
        for told in ["lag_seconds", "trace"] {
            expected[told] = found[told].clone();
        }
        assert_eq!(*found, expected);
    }
}

/// How often each state was left, and after how many seconds on average: documents and transitions in Elasticsearch say
/// what the history in Postgres says.
pub(crate) async fn times(installation: &Installation, oracle: &Oracle) {
    let stored = stored_times(installation).await;
    assert_eq!(stored.is_empty(), oracle.changes().all(|change| change.left().is_none()));
    let by_state = json!({"size": 0, "aggs": {"from": {
        "terms": {"field": "from", "size": 100},
        "aggs": {"seconds": {"stats": {"field": "seconds_in_from"}}},
    }}});
    let Some(found) = search(installation, &installation.stream(), &by_state).await else { return };
    let mut told = BTreeMap::new();
    for bucket in found["aggregations"]["from"]["buckets"].as_array().unwrap() {
        let seconds = &bucket["seconds"];
        if seconds["count"] != 0 {
            let state = bucket["key"].as_str().unwrap().to_owned();
            told.insert(state, (seconds["count"].as_u64().unwrap(), number(&seconds["avg"])));
        }
    }
    same(&told, &stored, "the stays in a state");

    // An order's stays in a state are one number of its document.
    let sums: serde_json::Map<_, _> = State::ALL
        .iter()
        .map(|state| state.name())
        .map(|name| {
            let field = format!("seconds_in_state.{name}");
            (name.to_owned(), json!({"sum": {"field": field}}))
        })
        .collect();
    let query = json!({"size": 0, "aggs": sums});
    let found = search(installation, &installation.index(), &query).await.unwrap();
    for (state, (count, average)) in stored {
        let sum = number(&found["aggregations"][&state]["value"]);
        let mean = sum / f64::from(u32::try_from(count).unwrap());
        assert!((mean - average).abs() < 1e-6, "in {state}: {mean} and {average}");
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

type Times = BTreeMap<String, (u64, f64)>;

fn same(found: &Times, expected: &Times, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}: {found:?} and {expected:?}");
    for (state, (count, average)) in expected {
        let (found_count, found_average) = found[state];
        assert_eq!(found_count, *count, "{what}: {state}");
        assert!((found_average - average).abs() < 1e-6, "{state}: {found_average} and {average}");
    }
}

/// By SQL alone: an event that moved its order ends the stay that began with the one that moved it before.
async fn stored_times(installation: &Installation) -> Times {
    let pool = installation.pool().await;
    let select = format!(
        "SELECT from_state, count(*) AS stays,
                avg(greatest(0, extract(epoch FROM occurred_at - entered)))::float8 AS seconds
         FROM (SELECT from_state, occurred_at,
                      lag(occurred_at) OVER (PARTITION BY order_id ORDER BY version) AS entered
               FROM {}.order_history
               WHERE outcome = 'applied' AND from_state IS DISTINCT FROM to_state) AS moves
         WHERE from_state IS NOT NULL
         GROUP BY from_state",
        installation.schema()
    );
    let rows = sqlx::query(AssertSqlSafe(select)).fetch_all(&pool).await.unwrap();
    rows.iter()
        .map(|row| {
            let count = u64::try_from(row.get::<i64, _>("stays")).unwrap();
            (row.get("from_state"), (count, row.get("seconds")))
        })
        .collect()
}
