//! What an answer of Elasticsearch says, as rows: the keys of a group, and its measures.

use std::collections::BTreeMap;

use kibana::{Filter, Measure, Metric, Panel};
use serde_json::{Value, json};

/// Measures by the keys of their group. A measure that has no value is `None`.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Rows(pub(super) BTreeMap<Vec<String>, Vec<Option<f64>>>);

impl Rows {
    /// What is drawn of an answer.
    pub(super) fn of(panel: &Panel, answer: &Value) -> Self {
        assert_eq!(answer["_shards"]["failed"], 0, "{}: {answer}", panel.id);
        let mut whole = answer["aggregations"].clone();
        if whole.is_null() {
            whole = json!({});
        }
        whole["doc_count"] = answer["hits"]["total"]["value"].clone();
        let mut rows = Self::default();
        rows.add(panel, &whole, Vec::new());
        rows
    }

    fn add(&mut self, panel: &Panel, group: &Value, keys: Vec<String>) {
        let depth = keys.len();
        if depth == panel.buckets.len() {
            let metrics = panel.metrics.iter().enumerate();
            let values = metrics.map(|(n, metric)| value(n, metric, group)).collect();
            assert!(self.0.insert(keys, values).is_none(), "{}: a group comes twice", panel.id);
            return;
        }
        let found = &group[format!("bucket-{depth}")];
        if let Some(left_out) = found["sum_other_doc_count"].as_u64() {
            let is_cut = panel.id == "slowest-orders";
            assert!(left_out == 0 || is_cut, "{}: groups are left out", panel.id);
        }
        let with = |key: String| [keys.as_slice(), &[key]].concat();
        match &found["buckets"] {
            Value::Array(buckets) => {
                for bucket in buckets {
                    let key = &bucket["key"];
                    let key = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
                    self.add(panel, bucket, with(key));
                }
            }
            Value::Object(buckets) => {
                for (key, bucket) in buckets {
                    self.add(panel, bucket, with(key.clone()));
                }
            }
            other => panic!("{}: {other} are no groups", panel.id),
        }
    }

    /// Measures are the same but for rounding; percentiles within `tolerance`, relative to the larger one.
    pub(super) fn must_equal(&self, expected: &Self, tolerance: f64, panel: &Panel) {
        const ROUNDING: f64 = 1e-9;
        let what = panel.id;
        let keys = |rows: &Self| rows.0.keys().cloned().collect::<Vec<_>>();
        assert!(!expected.0.is_empty(), "{what}: nothing to compare");
        assert_eq!(keys(self), keys(expected), "{what}: groups");
        for (key, expected) in &expected.0 {
            let found = &self.0[key];
            assert_eq!(found.len(), panel.metrics.len(), "{what}: {key:?}");
            assert_eq!(expected.len(), panel.metrics.len(), "{what}: {key:?}");
            for ((found, expected), metric) in found.iter().zip(expected).zip(&panel.metrics) {
                let is_percentile = matches!(metric.measure, Measure::Percentile(..));
                let tolerance = if is_percentile { tolerance } else { ROUNDING };
                let is_same = match (found, expected) {
                    (Some(a), Some(b)) => (a - b).abs() <= tolerance * a.abs().max(b.abs()),
                    (None, None) => true,
                    _ => false,
                };
                assert!(is_same, "{what}: {key:?} is {found:?}, should be {expected:?}");
            }
        }
    }
}

fn value(n: usize, metric: &Metric, group: &Value) -> Option<f64> {
    let name = format!("metric-{n}");
    let is_filtered = metric.filter != Filter::Everything;
    let group = if is_filtered { &group[&name] } else { group };
    let told = &group[&name];
    match metric.measure {
        Measure::Count => group["doc_count"].as_f64(),
        Measure::Percentile(..) => {
            let values = told["values"].as_object().unwrap_or_else(|| panic!("{group}"));
            values.values().next().unwrap().as_f64()
        }
        Measure::Sum(_)
        | Measure::Min(_)
        | Measure::Earliest(_)
        | Measure::Max(_)
        | Measure::Distinct(_) => {
            assert!(told.get("value").is_some(), "{group} lacks {name}");
            told["value"].as_f64()
        }
    }
}

/// These columns of a hit, as texts; empty where it has no value.
pub(super) fn cells(hit: &Value, columns: &[&str]) -> Vec<String> {
    let cell = |column: &&str| match &hit["fields"][*column][0] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    columns.iter().map(cell).collect()
}
