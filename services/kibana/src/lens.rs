//! A panel as Lens keeps it, the form-based kind: columns that ask, and a drawing that shows them.

use serde_json::{Map, Value, json};

use crate::{Bucket, Chart, Filter, Measure, Metric, Order, Panel, Values, objects::reference};

/// Every panel has one layer.
const LAYER: &str = "layer";

/// What a panel calls its data view.
pub(crate) const LAYER_REFERENCE: &str = "indexpattern-datasource-layer-layer";

/// The attributes of a panel whose documents are in this data view.
pub(crate) fn attributes(panel: &Panel, view_id: &str) -> Value {
    let mut columns = Map::new();
    let mut order = Vec::new();
    let buckets = panel.buckets.iter().enumerate();
    let buckets = buckets.map(|(n, bucket)| (bucket_id(n), bucket_column(panel, bucket)));
    let metrics = panel.metrics.iter().enumerate();
    let metrics = metrics.map(|(n, metric)| (metric_id(n), metric_column(metric)));
    for (id, column) in buckets.chain(metrics) {
        order.push(id.clone());
        columns.insert(id, column);
    }
    let layer = json!({ "columns": columns, "columnOrder": order, "incompleteColumns": {} });
    json!({
        "title": panel.title,
        "type": "lens",
        "visualizationType": kind(panel.chart),
        "references": [reference(LAYER_REFERENCE, "index-pattern", view_id)],
        "state": {
            "adHocDataViews": {},
            "internalReferences": [],
            "filters": [],
            "query": kuery(&panel.filter),
            "datasourceStates": {
                "formBased": { "layers": { LAYER: layer } },
                "textBased": { "layers": {} },
            },
            "visualization": visualization(panel),
        },
    })
}

fn bucket_id(n: usize) -> String {
    format!("bucket-{n}")
}

fn metric_id(n: usize) -> String {
    format!("metric-{n}")
}

fn kuery(filter: &Filter) -> Value {
    json!({ "query": filter.kql(), "language": "kuery" })
}

fn bucket_column(panel: &Panel, bucket: &Bucket) -> Value {
    match bucket {
        Bucket::Time => time_column(panel, "auto"),
        Bucket::Every(length) => time_column(panel, length),
        Bucket::Values(values) => values_column(values),
        Bucket::Filters(label, filters) => {
            let each = filters.iter();
            let each = each.map(|(label, f)| json!({ "input": kuery(f), "label": label }));
            json!({
                "label": label,
                "customLabel": true,
                "dataType": "string",
                "operationType": "filters",
                "scale": "ordinal",
                "isBucketed": true,
                "params": { "filters": each.collect::<Vec<_>>() },
            })
        }
    }
}

fn time_column(panel: &Panel, interval: &str) -> Value {
    json!({
        "label": "Time",
        "customLabel": true,
        "dataType": "date",
        "operationType": "date_histogram",
        "scale": "interval",
        "isBucketed": true,
        "sourceField": panel.view.time_field(),
        "params": { "interval": interval, "includeEmptyRows": true, "dropPartials": false },
    })
}

fn values_column(values: &Values) -> Value {
    let (order_by, direction) = match values.order {
        Order::Alphabetical => (json!({ "type": "alphabetical", "fallback": false }), "asc"),
        Order::Largest(n) => (json!({ "type": "column", "columnId": metric_id(n) }), "desc"),
    };
    json!({
        "label": values.label,
        "customLabel": true,
        "dataType": if values.numbers { "number" } else { "string" },
        "operationType": "terms",
        "scale": "ordinal",
        "isBucketed": true,
        "sourceField": values.field,
        "params": {
            "size": values.size,
            "orderBy": order_by,
            "orderDirection": direction,
            "otherBucket": false,
            "missingBucket": values.missing,
            "parentFormat": { "id": "terms" },
            "include": [],
            "exclude": [],
            "includeIsRegex": false,
            "excludeIsRegex": false,
        },
    })
}

fn metric_column(metric: &Metric) -> Value {
    let (operation, params) = match metric.measure {
        Measure::Count => ("count", json!({ "emptyAsNull": false })),
        Measure::Sum(_) => ("sum", json!({ "emptyAsNull": false })),
        Measure::Min(_) | Measure::Earliest(_) => ("min", json!({})),
        Measure::Max(_) => ("max", json!({})),
        Measure::Percentile(field, percent) => ("percentile", percentile(field, percent)),
        Measure::Distinct(_) => ("unique_count", json!({ "emptyAsNull": false })),
    };
    let field = metric.measure.field().map_or("___records___", |(field, _)| field);
    let is_date = matches!(metric.measure, Measure::Earliest(_));
    let mut column = Map::from_iter([
        ("label".to_owned(), metric.label.into()),
        ("customLabel".to_owned(), true.into()),
        ("dataType".to_owned(), if is_date { "date" } else { "number" }.into()),
        ("operationType".to_owned(), operation.into()),
        ("scale".to_owned(), "ratio".into()),
        ("isBucketed".to_owned(), false.into()),
        ("sourceField".to_owned(), field.into()),
        ("params".to_owned(), params),
    ]);
    if metric.filter != Filter::Everything {
        column.insert("filter".to_owned(), kuery(&metric.filter));
    }
    if metric.per_second {
        column.insert("timeScale".to_owned(), "s".into());
    }
    column.into()
}

/// The unit is said here too: Kibana takes none from the data view for a field of histograms.
fn percentile(field: &str, percent: u8) -> Value {
    let mut params = Map::from_iter([("percentile".to_owned(), percent.into())]);
    if field.contains("seconds") {
        let seconds = json!({ "decimals": 1, "fromUnit": "seconds", "toUnit": "humanizePrecise" });
        params.insert("format".to_owned(), json!({ "id": "duration", "params": seconds }));
    }
    params.into()
}

const fn kind(chart: Chart) -> &'static str {
    match chart {
        Chart::Number => "lnsMetric",
        Chart::Line | Chart::Bars | Chart::LyingBars => "lnsXY",
        Chart::Donut => "lnsPie",
        Chart::Table => "lnsDatatable",
    }
}

fn visualization(panel: &Panel) -> Value {
    let metrics: Vec<_> = (0..panel.metrics.len()).map(metric_id).collect();
    let buckets: Vec<_> = (0..panel.buckets.len()).map(bucket_id).collect();
    match panel.chart {
        Chart::Number => json!({
            "layerId": LAYER,
            "layerType": "data",
            "metricAccessor": metrics.first(),
        }),
        Chart::Line => xy(panel, "line", &metrics),
        Chart::Bars => xy(panel, "bar_stacked", &metrics),
        // One measure of several groups adds up to a bar; several measures stand side by side.
        Chart::LyingBars if metrics.len() > 1 => xy(panel, "bar_horizontal", &metrics),
        Chart::LyingBars => xy(panel, "bar_horizontal_stacked", &metrics),
        Chart::Donut => json!({
            "shape": "donut",
            "layers": [{
                "layerId": LAYER,
                "layerType": "data",
                "primaryGroups": buckets,
                "metrics": metrics,
                "numberDisplay": "percent",
                "categoryDisplay": "default",
                "legendDisplay": "default",
                "nestedLegend": false,
            }],
        }),
        Chart::Table => {
            let columns = buckets.iter().chain(&metrics);
            let columns = columns.map(|id| json!({ "columnId": id, "isTransposed": false }));
            json!({
                "layerId": LAYER,
                "layerType": "data",
                "columns": columns.collect::<Vec<_>>(),
            })
        }
    }
}

fn xy(panel: &Panel, series: &str, metrics: &[String]) -> Value {
    // Time runs along the axis, whatever it is grouped by before; without time the outermost groups do.
    let x = panel.buckets.iter().position(Bucket::is_time).unwrap_or(0);
    let split = (0..panel.buckets.len()).find(|n| *n != x);
    let mut layer = Map::from_iter([
        ("layerId".to_owned(), LAYER.into()),
        ("layerType".to_owned(), "data".into()),
        ("seriesType".to_owned(), series.into()),
        ("accessors".to_owned(), metrics.into()),
        ("xAccessor".to_owned(), bucket_id(x).into()),
    ]);
    layer.extend(split.map(|n| ("splitAccessor".to_owned(), bucket_id(n).into())));
    let everywhere = json!({ "x": true, "yLeft": true, "yRight": true });
    json!({
        "preferredSeriesType": series,
        "layers": [layer],
        "legend": { "isVisible": true, "position": "right" },
        "valueLabels": "hide",
        // A line goes on to the next measurement, however long nothing was measured.
        "fittingFunction": if series == "line" { "Linear" } else { "None" },
        "axisTitlesVisibilitySettings": { "x": false, "yLeft": true, "yRight": true },
        "tickLabelsVisibilitySettings": everywhere,
        "gridlinesVisibilitySettings": everywhere,
    })
}
