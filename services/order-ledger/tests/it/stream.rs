//! The stream of transitions, changed behind everyone's back on the server itself.

use events::OrderId;
use serde_json::{Value, json};

use crate::installation::Installation;

async fn post(installation: &Installation, path: &str, body: Value) -> Value {
    let url = format!("{}/{}/{path}", installation.elasticsearch, installation.stream());
    let answer = reqwest::Client::new().post(url).json(&body).send().await.unwrap();
    answer.error_for_status().unwrap().json().await.unwrap()
}

fn of(order: OrderId, version: u64) -> Value {
    let term = |field: &str, value: Value| json!({ "term": { field: value } });
    let filter = [term("order_id", json!(order.to_string())), term("version", json!(version))];
    json!({ "bool": { "filter": filter } })
}

async fn delete(installation: &Installation, query: Value, documents: u64) {
    let body = json!({ "query": query });
    let deleted = post(installation, "_delete_by_query?refresh=true", body).await;
    assert_eq!(deleted["deleted"], documents, "{deleted}");
}

/// The second transition of the first order is lost, that of the second is changed, that of the third is there once more,
/// and the fourth has one too many.
pub(crate) async fn tamper(installation: &Installation, orders: &[OrderId]) {
    delete(installation, of(orders[0], 2), 1).await;
    let script = json!({ "source": "ctx._source.region = 'nowhere'" });
    let body = json!({ "query": of(orders[1], 2), "script": script });
    let changed = post(installation, "_update_by_query?refresh=true", body).await;
    assert_eq!(changed["updated"], 1, "{changed}");
    let found = post(installation, "_search", json!({ "query": of(orders[2], 2) })).await;
    let document = &found["hits"]["hits"][0]["_source"];
    post(installation, "_rollover", json!({})).await;
    for (order, version) in [(orders[2], 2), (orders[3], 99)] {
        post(installation, &format!("_create/{order}-{version}"), document.clone()).await;
    }
}

/// What `verify` must say of that: whose, and which field.
pub(crate) fn named(orders: &[OrderId]) -> Vec<(String, &'static str)> {
    let mut named: Vec<_> = orders[..4].iter().map(|id| (id.to_string(), "transition")).collect();
    named[1].1 = "transition.region";
    named.sort_unstable();
    named
}

/// Takes away what is wrong, so that a replay appends what is right.
pub(crate) async fn take_away(installation: &Installation, orders: &[OrderId]) {
    delete(installation, of(orders[1], 2), 1).await;
    // Both of the one that is there twice.
    let ids = [format!("{}-2", orders[2]), format!("{}-99", orders[3])];
    delete(installation, json!({ "ids": { "values": ids } }), 3).await;
}
