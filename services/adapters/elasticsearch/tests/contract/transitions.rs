//! The data stream as an operator finds it.

use elasticsearch::http::Method;
use futures::future::join_all;
use ports::{IndexOutcome, SearchIndex as _, TransitionStream as _};
use serde_json::{Value, json};
use testkit::sample::{lifecycle, order_id, transitions};

use crate::fresh::Fresh;

async fn backing_indices(fresh: &Fresh) -> usize {
    let found = fresh.get(&format!("_data_stream/{}", fresh.stream)).await;
    found["data_streams"][0]["indices"].as_array().unwrap_or_else(|| panic!("{found}")).len()
}

#[tokio::test]
async fn many_processes_may_prepare_a_stream() {
    let fresh = Fresh::unprepared();
    for prepared in join_all((0..6).map(|_| fresh.index.prepare())).await {
        prepared.unwrap();
    }
    assert_eq!(backing_indices(&fresh).await, 1);
    let mapped = fresh.get(&format!("{}/_mapping", fresh.stream)).await;
    let mapped = mapped.as_object().unwrap().values().next().unwrap();
    assert_eq!(mapped["mappings"]["dynamic"], "strict");
    assert_eq!(mapped["mappings"]["properties"]["seconds_in_from"]["type"], "double");
    fresh.remove().await;
}

/// The id holds within a backing index: what comes again after the stream has rolled over is there twice.
#[tokio::test]
async fn a_repeat_is_known_until_the_stream_rolls_over() {
    let fresh = Fresh::prepared().await;
    let transitions = transitions(&lifecycle(order_id(1)));
    let first = &transitions[..1];
    assert_eq!(fresh.index.append(first).await.unwrap(), [IndexOutcome::Indexed]);
    assert_eq!(fresh.index.append(first).await.unwrap(), [IndexOutcome::Stale]);
    fresh.ask(Method::Post, &format!("{}/_rollover", fresh.stream), None).await;
    assert_eq!(backing_indices(&fresh).await, 2);
    assert_eq!(fresh.index.append(first).await.unwrap(), [IndexOutcome::Indexed]);
    assert_eq!(fresh.index.transitions(order_id(1)).await.unwrap().len(), 2);
    // A rebuild looks further back.
    fresh.ask(Method::Post, &format!("{}/_rollover", fresh.stream), None).await;
    let outcomes = fresh.index.append_missing(&transitions[..2]).await.unwrap();
    assert_eq!(outcomes, [IndexOutcome::Stale, IndexOutcome::Indexed]);
    fresh.remove().await;
}

/// What an earlier version of the program made, in every backing index.
#[tokio::test]
async fn an_older_stream_gets_the_fields_it_lacks() {
    let fresh = Fresh::unprepared();
    let mappings =
        include_str!("../../../../../infra/elasticsearch/order-transitions-mappings.json");
    let mappings: Value = serde_json::from_str(mappings).unwrap();
    let mut mappings = mappings["template"]["mappings"].clone();
    mappings["_meta"]["version"] = json!(0);
    mappings["properties"].as_object_mut().unwrap().remove("lag_seconds");
    let template = json!({
        "index_patterns": [fresh.stream], "priority": 500, "data_stream": {},
        "template": { "mappings": mappings },
    });
    fresh.put(&format!("_index_template/{}", fresh.stream), template).await;
    fresh.ask(Method::Put, &format!("_data_stream/{}", fresh.stream), None).await;
    fresh.ask(Method::Post, &format!("{}/_rollover", fresh.stream), None).await;
    fresh.index.prepare().await.unwrap();
    let mapped = fresh.get(&format!("{}/_mapping", fresh.stream)).await;
    let mapped = mapped.as_object().unwrap();
    assert_eq!(mapped.len(), 2);
    for index in mapped.values() {
        assert_eq!(index["mappings"]["properties"]["lag_seconds"]["type"], "double");
    }
    fresh.remove().await;
}
