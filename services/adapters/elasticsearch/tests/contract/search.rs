//! The mapping from a searcher's side: what people look for is found, by whatever they remember of it.

use adapter_elasticsearch::ElasticsearchIndex;
use elasticsearch::http::Method;
use ports::{OrderDocument, SearchIndex as _};
use serde_json::{Value, json};
use testkit::sample::{details_with, email, folded, lifecycle, line, order_id, placed_with, text};

use crate::fresh::Fresh;

#[tokio::test]
async fn orders_are_found_by_what_people_remember() {
    let fresh = Fresh::prepared().await;
    let other = details_with(|draft| {
        draft.customer.email = email("bob@example.org");
        draft.customer.name = Some(text("Bob Stone"));
        draft.region = text("Valparaíso");
        draft.lines = vec![line("MUG-1", 1, 100), line("HAT-2", 2, 900)];
        draft.labels.clear();
    });
    let documents = [
        OrderDocument::from(&folded(&lifecycle(order_id(1)))),
        OrderDocument::from(&folded(&[placed_with(order_id(2), other)])),
    ];
    fresh.index.upsert(&documents).await.unwrap();
    fresh.ask(Method::Post, "{}/_refresh", None).await;

    let nested = |query: Value| json!({ "nested": { "path": "lines", "query": query } });
    let term = |field: &str, value: &str| json!({ "term": { field: value } });
    let words = |field: &str, value: &str| json!({ "match": { field: value } });
    let mug_twice = json!({ "bool": { "filter": [
        { "term": { "lines.sku": "MUG-1" } }, { "range": { "lines.quantity": { "gte": 2 } } },
    ]}});
    for (query, found) in [
        (term("state", "Completed"), vec![1]),
        (term("customer.email", "ANA@example.com"), vec![1]),
        (words("customer.email.text", "example.org"), vec![2]),
        (words("customer.name", "pérez"), vec![1]),
        (term("customer.name.keyword", "bob stone"), vec![2]),
        (words("shipping_address", "siempreviva"), vec![1, 2]),
        (words("region.text", "valparaíso"), vec![2]),
        (term("labels", "channel=web"), vec![1]),
        (term("parcel.tracking_number", "CX-1"), vec![1]),
        (nested(term("lines.sku", "MUG-1")), vec![1, 2]),
        (nested(mug_twice), vec![1]),
        (json!({ "range": { "total_minor": { "gte": 35_970 } } }), vec![1]),
        (json!({ "range": { "updated_at": { "gt": "2026-01-02T03:04:06Z" } } }), vec![1]),
    ] {
        let body = json!({ "query": query, "sort": "updated_at", "_source": ["order_id"] });
        let answer = fresh.ask(Method::Post, "{}/_search", Some(body)).await;
        let hits = answer["hits"]["hits"].as_array().unwrap_or_else(|| panic!("{answer}"));
        let mut ids: Vec<_> =
            hits.iter().map(|hit| hit["_id"].as_str().unwrap().to_owned()).collect();
        ids.sort();
        let mut expected: Vec<_> = found.into_iter().map(|n| order_id(n).to_string()).collect();
        expected.sort();
        assert_eq!(ids, expected, "{query}");
    }
    fresh.remove().await;
}

#[tokio::test]
async fn customers_can_be_kept_as_hashes() {
    let fresh = Fresh::prepared().await;
    let index = ElasticsearchIndex::new(fresh.options.clone()).unwrap();
    contract::search_index::hashed_customers_are_found_and_not_told(index).await;
    fresh.remove().await;
}
