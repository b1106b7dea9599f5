//! The data stream as an operator finds it.

use elasticsearch::http::Method;
use futures::future::join_all;
use ports::{
    IndexOutcome, KeptTransitions as _, SearchIndex as _, TransitionKey, TransitionStream as _,
};
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

/// In whichever backing index they are, and as often as they are there.
#[tokio::test]
async fn what_is_there_twice_is_found_twice() {
    let fresh = Fresh::prepared().await;
    let transitions = transitions(&lifecycle(order_id(1)));
    fresh.index.append(&transitions[..2]).await.unwrap();
    fresh.ask(Method::Post, &format!("{}/_rollover", fresh.stream), None).await;
    fresh.index.append(&transitions[1..3]).await.unwrap();
    fresh.index.refresh().await.unwrap();
    let key = |version| TransitionKey { order_id: order_id(1), version };
    let mut found = fresh.index.find(&[key(1), key(2), key(3), key(4)]).await.unwrap();
    found.sort_by_key(|(key, _)| *key);
    let versions: Vec<_> = found.iter().map(|(key, _)| key.version).collect();
    assert_eq!(versions, [1, 2, 2, 3]);
    assert_eq!(found[1].1, found[2].1);
    let mut scan = fresh.index.scan().await.unwrap();
    assert_eq!(scan.next().await.unwrap().len(), 4);
    assert_eq!(scan.next().await.unwrap(), Vec::<String>::new());
    fresh.remove().await;
}

/// What a retention deletes it deletes by the index: what was logged when a later one had begun is not among it.
#[tokio::test]
async fn a_stream_whose_first_index_was_deleted_is_whole_since_later() {
    let fresh = Fresh::prepared().await;
    let since = fresh.index.whole_since().await.unwrap();
    fresh.ask(Method::Post, &format!("{}/_rollover", fresh.stream), None).await;
    assert_eq!(fresh.index.whole_since().await.unwrap(), since);
    let found = fresh.get(&format!("_data_stream/{}", fresh.stream)).await;
    let [first, second] = [0, 1].map(|n| {
        let index = &found["data_streams"][0]["indices"][n]["index_name"];
        index.as_str().unwrap_or_else(|| panic!("{found}")).to_owned()
    });
    let settings = fresh.get(&format!("{second}/_settings?flat_settings=true")).await;
    let made = settings[&second]["settings"]["index.creation_date"].as_str().unwrap();
    let made: i64 = made.parse().unwrap();
    fresh.ask(Method::Delete, &first, None).await;
    let since = fresh.index.whole_since().await.unwrap().timestamp_millis();
    let apart = since - made;
    assert!((60_000..=600_000).contains(&apart), "{apart} ms after the index was made");
    fresh.remove().await;
}
