//! What becomes of documents when something is wrong with them or with the index.

use adapter_elasticsearch::{ElasticsearchIndex, ElasticsearchOptions};
use elasticsearch::http::Method;
use ports::{IndexOutcome, OrderDocument, SearchError, SearchIndex as _};
use serde_json::{Value, json};
use testkit::sample::{folded, order_id, placed};

use crate::fresh::Fresh;

fn documents(count: u64) -> Vec<OrderDocument> {
    (0..count).map(|n| OrderDocument::from(&folded(&[placed(order_id(n))]))).collect()
}

#[tokio::test]
async fn a_refused_document_leaves_the_others() {
    let fresh = Fresh::prepared().await;
    let mut documents = documents(4);
    // No keyword can be that long, no version that large.
    documents[1].lines[0].sku = "x".repeat(40_000);
    documents[2].version = u64::MAX;
    let outcomes = fresh.index.upsert(&documents).await.unwrap();
    let [
        IndexOutcome::Indexed,
        IndexOutcome::Refused(sku),
        IndexOutcome::Refused(version),
        IndexOutcome::Indexed,
    ] = outcomes.as_slice()
    else {
        panic!("{outcomes:?}");
    };
    assert!(sku.contains("lines.sku") && sku.len() <= 1_000, "{sku}");
    assert!(version.contains("version"), "{version}");
    fresh.remove().await;
}

#[tokio::test]
async fn many_small_requests_are_as_good_as_one() {
    let fresh = Fresh::prepared().await;
    let options = ElasticsearchOptions { bulk_bytes_max: 2_000, ..fresh.options.clone() };
    let index = ElasticsearchIndex::new(options).unwrap();
    let outcomes = index.upsert(&documents(20)).await.unwrap();
    assert_eq!(outcomes, vec![IndexOutcome::Indexed; 20]);
    let orders: Vec<_> = (0..20).map(order_id).collect();
    assert_eq!(fresh.index.versions(&orders).await.unwrap().len(), 20);
    fresh.remove().await;
}

#[tokio::test]
async fn an_index_that_is_gone_does_not_come_back_by_itself() {
    let fresh = Fresh::prepared().await;
    fresh.ask(Method::Delete, "{}-g1", None).await;
    let failed = fresh.index.upsert(&documents(1)).await;
    assert!(matches!(failed, Err(SearchError::Unfit(_))), "{failed:?}");
    let failed = fresh.index.versions(&[order_id(0)]).await;
    assert!(matches!(failed, Err(SearchError::Unfit(_))), "{failed:?}");
    let found = fresh.get("{}").await;
    assert_eq!(found["status"], 404, "{found}");
    fresh.index.prepare().await.unwrap();
    assert_eq!(fresh.index.upsert(&documents(1)).await.unwrap(), [IndexOutcome::Indexed]);
    fresh.remove().await;
}

#[tokio::test]
async fn a_field_that_the_index_lacks_is_not_the_documents_fault() {
    let fresh = Fresh::unprepared();
    let aliases = json!({ format!("{}-write", fresh.alias): {} });
    let mappings = json!({ "dynamic": "strict", "properties": {} });
    fresh.put("{}-g1", json!({ "mappings": mappings, "aliases": aliases })).await;
    let failed = fresh.index.upsert(&documents(1)).await;
    assert!(matches!(failed, Err(SearchError::Unfit(_))), "{failed:?}");
    fresh.remove().await;
}

#[tokio::test]
async fn a_blocked_index_is_waited_for() {
    let fresh = Fresh::prepared().await;
    let block = |blocked: Value| json!({ "index": { "blocks": { "write": blocked } } });
    fresh.put("{}/_settings", block(true.into())).await;
    let failed = fresh.index.upsert(&documents(1)).await;
    assert!(matches!(failed, Err(SearchError::Unavailable(_))), "{failed:?}");
    fresh.put("{}/_settings", block(Value::Null)).await;
    assert_eq!(fresh.index.upsert(&documents(1)).await.unwrap(), [IndexOutcome::Indexed]);
    fresh.remove().await;
}
