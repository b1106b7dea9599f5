//! Finding orders: the request, and what its answer says.

use chrono::{DateTime, Utc};
use elasticsearch::{Elasticsearch, SearchParts};
use events::{OrderId, State};
use ports::{Found, OrderHit, SearchError, SearchKey, SearchQuery, words};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{answer::answer, index::Buckets};

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
    let search = client.search(SearchParts::Index(&alias)).body(body);
    // Totals of some shards alone would be wrong totals.
    let answered: Answered =
        answer(search.allow_partial_search_results(false).send()).await?.read()?;
    let mut hits = answered.hits.hits;
    let is_more = hits.len() > limit;
    hits.truncate(limit);
    let next = match hits.last() {
        Some(last) if is_more => Some(last.key()?),
        Some(_) | None => None,
    };
    let mut by_state = answered.aggregations.states.counts()?;
    by_state.sort_unstable();
    let hits = hits.into_iter().map(Hit::read).collect::<Result<_, _>>()?;
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
    document: Shown,
}

/// What a hit shows of a document.
#[derive(Deserialize)]
struct Shown {
    order_id: String,
    version: u64,
    state: String,
    currency: String,
    total_minor: i64,
    region: String,
    customer: ShownCustomer,
    placed_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

#[derive(Deserialize)]
struct ShownCustomer {
    email: String,
}

impl Hit {
    fn order_id(&self) -> Result<OrderId, SearchError> {
        let id = &self.document.order_id;
        id.parse()
            .map_err(|_| SearchError::Unfit(format!("it holds a document {id:?} of no order")))
    }

    fn key(&self) -> Result<SearchKey, SearchError> {
        let placed_at = self.document.placed_at;
        let millis = DateTime::from_timestamp_millis(placed_at.timestamp_millis());
        Ok(SearchKey { placed_at: millis.unwrap_or(placed_at), order_id: self.order_id()? })
    }

    fn read(self) -> Result<OrderHit, SearchError> {
        let order_id = self.order_id()?;
        let Shown {
            version, currency, total_minor, region, customer, placed_at, updated_at, ..
        } = self.document;
        let state = State::from_name(&self.document.state).ok_or_else(|| {
            SearchError::Unfit(format!(
                "it holds orders of an unknown state {:?}",
                self.document.state
            ))
        })?;
        let customer_email = customer.email;
        Ok(OrderHit {
            order_id,
            version,
            state,
            currency,
            total_minor,
            region,
            customer_email,
            placed_at,
            updated_at,
        })
    }
}
