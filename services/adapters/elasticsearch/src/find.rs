//! Finding orders: the request, and what its answer says.

use chrono::{DateTime, Utc};
use elasticsearch::{Elasticsearch, SearchParts};
use events::State;
use ports::{Found, OrderHit, SearchError, SearchKey, SearchQuery, words};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{answer::ask, index::Buckets};

/// One page and the totals, by one request.
pub(crate) async fn find(
    client: &Elasticsearch,
    alias: &str,
    query: &SearchQuery,
    after: Option<SearchKey>,
    limit: usize,
) -> Result<Found, SearchError> {
    let body = body(query, after, limit);
    let alias = [alias];
    let search = || {
        let search = client.search(SearchParts::Index(&alias)).body(&body);
        // Totals of some shards alone would be wrong totals.
        search.allow_partial_search_results(false).send()
    };
    let answered: Answered = ask(search).await?.read()?;
    let mut hits = answered.hits.hits;
    let is_more = hits.len() > limit;
    hits.truncate(limit);
    let hits: Vec<_> = hits.into_iter().map(|hit| hit.order).collect();
    let next = hits.last().filter(|_| is_more).map(key);
    let mut by_state = answered.aggregations.states.counts()?;
    by_state.sort_unstable();
    Ok(Found { hits, next, total: answered.hits.total.value, by_state })
}

/// Filters only: nothing is scored, and a caller's words are terms, never a query language.
fn body(query: &SearchQuery, after: Option<SearchKey>, limit: usize) -> Value {
    let mut filters: Vec<Value> = words(query.text.as_deref())
        .into_iter()
        .map(|word| json!({ "term": { "words": word } }))
        .collect();
    if !query.states.is_empty() {
        let states: Vec<_> = query.states.iter().map(|state| state.name()).collect();
        filters.push(json!({ "terms": { "state": states } }));
    }
    for (field, value) in [
        ("region", &query.region),
        ("customer.email", &query.customer_email),
        ("payment.gateway", &query.payment_gateway),
    ] {
        filters.extend(value.iter().map(|value| json!({ "term": { field: value } })));
    }
    let millis = |at: DateTime<Utc>| at.timestamp_millis();
    for (bound, at) in [("gte", query.placed_from), ("lt", query.placed_until)] {
        filters.extend(at.map(|at| {
            json!({ "range": { "placed_at": { bound: millis(at), "format": "epoch_millis" } } })
        }));
    }
    let mut body = json!({
        "size": limit.saturating_add(1),
        "track_total_hits": true,
        "_source": [
            "order_id", "version", "state", "currency", "total_minor", "region", "customer.email", "placed_at",
            "updated_at"
        ],
        "query": { "bool": { "filter": filters } },
        "sort": [
            { "placed_at": { "order": "desc", "format": "epoch_millis" } },
            { "order_id": "desc" }
        ],
        "aggs": { "states": { "terms": { "field": "state", "size": 2 * State::ALL.len() } } },
    });
    if let (Some(SearchKey { placed_at, order_id }), Some(body)) = (after, body.as_object_mut()) {
        let after = json!([millis(placed_at), order_id.to_string()]);
        body.insert("search_after".to_owned(), after);
    }
    body
}

#[derive(Deserialize)]
struct Answered {
    hits: Hits,
    aggregations: Aggregations,
}

#[derive(Deserialize)]
struct Hits {
    total: Total,
    hits: Vec<Hit>,
}

#[derive(Deserialize)]
struct Total {
    value: u64,
}

#[derive(Deserialize)]
struct Aggregations {
    states: Buckets,
}

#[derive(Deserialize)]
struct Hit {
    #[serde(rename = "_source")]
    order: OrderHit,
}

/// As fine as the index keeps instants, so that the next page starts behind this hit.
fn key(hit: &OrderHit) -> SearchKey {
    let millis = DateTime::from_timestamp_millis(hit.placed_at.timestamp_millis());
    SearchKey { placed_at: millis.unwrap_or(hit.placed_at), order_id: hit.order_id }
}
