//! What Kibana asks Elasticsearch for a panel or a search.
//!
//! The same groups, measures, filters and order. Kibana itself asks for several percentiles of one field at once, and shows
//! intervals without documents; the answer says the same.

use serde_json::{Map, Value, json};

use crate::{Bucket, Filter, Measure, Metric, Order, Panel, Search, Values, View};

/// The group of the documents that lack the field.
pub const MISSING: &str = "__missing__";

/// What a person has chosen in Kibana.
#[derive(Clone, Copy, Debug)]
pub struct Window<'a> {
    /// The first instant, in RFC 3339 or date arithmetic.
    pub from: &'a str,
    /// The first instant after it.
    pub until: &'a str,
    /// How long an interval of time is where the panel does not say, such as `1d`; intervals begin in UTC.
    pub interval: &'a str,
}

/// The body of a panel's `_search`. Groups are `bucket-N` by their place in the panel, measures `metric-N`.
#[must_use]
pub fn panel_request(panel: &Panel, window: Window<'_>) -> Value {
    json!({
        "size": 0,
        "track_total_hits": true,
        "query": query(panel.view, &panel.filter, window),
        "aggs": level(panel, 0, window),
    })
}

/// The body of a search's `_search`, with at most so many hits.
#[must_use]
pub fn search_request(search: &Search, window: Window<'_>, size: usize) -> Value {
    json!({
        "size": size,
        "track_total_hits": true,
        "query": query(search.view, &search.filter, window),
        "sort": [{ (search.sort): { "order": search.direction(), "unmapped_type": "boolean" } }],
        "fields": search.columns,
        "_source": false,
    })
}

fn query(view: View, filter: &Filter, window: Window<'_>) -> Value {
    let time =
        json!({ "range": { view.time_field(): { "gte": window.from, "lt": window.until } } });
    json!({ "bool": { "filter": [time, filter.query()] } })
}

/// The groups of this depth, or below the last the measures.
fn level(panel: &Panel, depth: usize, window: Window<'_>) -> Value {
    let Some(bucket) = panel.buckets.get(depth) else {
        let all = panel.metrics.iter().enumerate();
        return Value::from(all.filter_map(|(n, m)| measured(n, m)).collect::<Map<_, _>>());
    };
    let mut inner = level(panel, depth + 1, window);
    let mut group = match bucket {
        Bucket::Time => intervals(panel.view, window.interval),
        Bucket::Every(length) => intervals(panel.view, length),
        Bucket::Values(values) => {
            let (order, needed) = order(panel, values.order);
            // What groups are ordered by is measured of them too, not of the innermost ones alone.
            if let (Some((name, agg)), Some(inner)) = (needed, inner.as_object_mut()) {
                inner.insert(name, agg);
            }
            json!({ "terms": terms(values, order) })
        }
        Bucket::Filters(_, filters) => {
            let each = filters.iter().map(|(label, filter)| ((*label).to_owned(), filter.query()));
            json!({ "filters": { "filters": each.collect::<Map<_, _>>() } })
        }
    };
    if let Some(group) = group.as_object_mut() {
        group.insert("aggs".to_owned(), inner);
    }
    json!({ format!("bucket-{depth}"): group })
}

fn intervals(view: View, length: &str) -> Value {
    json!({ "date_histogram": {
        "field": view.time_field(),
        "fixed_interval": length,
        "time_zone": "UTC",
        "min_doc_count": 1,
    } })
}

fn terms(values: &Values, order: Value) -> Value {
    let mut terms = Map::from_iter([
        ("field".to_owned(), values.field.into()),
        ("size".to_owned(), values.size.into()),
        ("order".to_owned(), order),
    ]);
    if values.missing {
        terms.insert("missing".to_owned(), MISSING.into());
    }
    terms.into()
}

/// The order of groups, and the measure that it takes.
fn order(panel: &Panel, order: Order) -> (Value, Option<(String, Value)>) {
    match order {
        Order::Alphabetical => (json!({ "_key": "asc" }), None),
        Order::Largest(n) => {
            let needed = panel.metrics.get(n).and_then(|metric| measured(n, metric));
            let path = needed.as_ref().map_or("_count", |(name, _)| name.as_str());
            (json!({ path: "desc" }), needed)
        }
    }
}

/// A measure by its name; nothing for the number of documents, which every group tells anyway.
fn measured(n: usize, metric: &Metric) -> Option<(String, Value)> {
    let name = format!("metric-{n}");
    let measure = match metric.measure {
        Measure::Count => None,
        Measure::Sum(field) => Some(json!({ "sum": { "field": field } })),
        Measure::Min(field) | Measure::Earliest(field) => {
            Some(json!({ "min": { "field": field } }))
        }
        Measure::Max(field) => Some(json!({ "max": { "field": field } })),
        Measure::Percentile(field, percent) => {
            Some(json!({ "percentiles": { "field": field, "percents": [percent] } }))
        }
        Measure::Distinct(field) => Some(json!({ "cardinality": { "field": field } })),
    };
    if metric.filter == Filter::Everything {
        return measure.map(|measure| (name, measure));
    }
    let mut filtered = Map::from_iter([("filter".to_owned(), metric.filter.query())]);
    filtered.extend(measure.map(|measure| ("aggs".to_owned(), json!({ &name: measure }))));
    Some((name, filtered.into()))
}
