//! The stream of transitions, changed behind everyone's back on the server itself.

use events::OrderId;
use reqwest::Method;
use serde_json::{Value, json};

use crate::installation::Installation;

async fn ask(
    installation: &Installation,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Value {
    let url = format!("{}/{path}", installation.elasticsearch);
    let mut request = reqwest::Client::new().request(method, url);
    if let Some(body) = body {
        request = request.json(body);
    }
    request.send().await.unwrap().error_for_status().unwrap().json().await.unwrap()
}

/// Where a document is, in each backing index that has it.
async fn found(installation: &Installation, id: &str) -> Vec<Value> {
    let query = json!({ "seq_no_primary_term": true, "query": { "ids": { "values": [id] } } });
    let path = format!("{}/_search", installation.stream());
    let mut found = ask(installation, Method::POST, &path, Some(&query)).await;
    found["hits"]["hits"].as_array_mut().unwrap().drain(..).collect()
}

/// The path of a document in its backing index.
fn place(hit: &Value) -> String {
    format!("{}/_doc/{}", hit["_index"].as_str().unwrap(), hit["_id"].as_str().unwrap())
}

/// Deletes the document, or the newest if there are several.
async fn delete(installation: &Installation, id: &str) {
    let mut hits = found(installation, id).await;
    hits.sort_by_key(|hit| hit["_index"].to_string());
    let path = format!("{}?refresh=true", place(hits.last().unwrap()));
    let deleted = ask(installation, Method::DELETE, &path, None).await;
    assert_eq!(deleted["result"], "deleted", "{deleted}");
}

/// The second transition of the first order is lost, that of the second is changed, that of the third is there once more,
/// and the fourth has one too many.
pub(crate) async fn tamper(installation: &Installation, orders: &[OrderId]) {
    delete(installation, &format!("{}-2", orders[0])).await;
    let mut changed = found(installation, &format!("{}-2", orders[1])).await.remove(0);
    changed["_source"]["region"] = json!("nowhere");
    let (seq_no, term) = (&changed["_seq_no"], &changed["_primary_term"]);
    let path =
        format!("{}?if_seq_no={seq_no}&if_primary_term={term}&refresh=true", place(&changed));
    ask(installation, Method::PUT, &path, Some(&changed["_source"])).await;
    let document = found(installation, &format!("{}-2", orders[2])).await.remove(0);
    let stream = installation.stream();
    ask(installation, Method::POST, &format!("{stream}/_rollover"), None).await;
    for (order, version) in [(orders[2], 2), (orders[3], 99)] {
        let path = format!("{stream}/_create/{order}-{version}?refresh=true");
        ask(installation, Method::PUT, &path, Some(&document["_source"])).await;
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
    for (order, version) in [(orders[1], 2), (orders[2], 2), (orders[3], 99)] {
        delete(installation, &format!("{order}-{version}")).await;
    }
}
