//! As much of Prometheus' query language as alerts and dashboards use: which metrics and labels a query names, and
//! whether it asks something of a metric that its type can't answer.

use std::collections::{BTreeMap, BTreeSet};

use crate::metrics::Described;

/// Labels that Prometheus itself puts on every sample.
const OF_TARGETS: [&str; 2] = ["instance", "job"];

const KEYWORDS: [&str; 12] = [
    "by",
    "without",
    "on",
    "ignoring",
    "and",
    "or",
    "unless",
    "bool",
    "offset",
    "group_left",
    "group_right",
    "inf",
];

/// Functions that make sense of what only grows, and of what goes up and down.
const OF_COUNTERS: [&str; 3] = ["rate", "increase", "irate"];
const OF_GAUGES: [&str; 5] = ["deriv", "delta", "max_over_time", "min_over_time", "avg_over_time"];

/// What a query names.
#[derive(Debug, Default)]
pub(crate) struct Query {
    pub(crate) metrics: BTreeSet<String>,
    /// Those that its metrics have, or their targets.
    pub(crate) labels: BTreeSet<String>,
}

fn tokens(query: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = query.trim_start();
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | ':' | '.');
        let length = if first == '"' {
            rest[1..].find('"').expect("a string ends") + 2
        } else if is_word(first) {
            rest.find(|c| !is_word(c)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        tokens.push(rest[..length].to_owned());
        rest = rest[length..].trim_start();
    }
    tokens
}

/// Reads a query.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn read(query: &str, known: &BTreeMap<String, Described>) -> Result<Query, String> {
    let tokens = tokens(query);
    let at = |index: usize| tokens.get(index).map_or("", String::as_str);
    let mut found = Query::default();
    let mut named = BTreeSet::new();
    // The functions, or words before a list of labels, whose brackets are open.
    let mut open: Vec<&str> = Vec::new();
    let mut index = 0;
    while index < tokens.len() {
        let token = at(index);
        let is_name = token.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        match token {
            "(" => open.push(if index > 0 { at(index - 1) } else { "" }),
            ")" => _ = open.pop().ok_or("a bracket too many")?,
            "{" => {
                while at(index) != "}" {
                    if matches!(at(index + 1), "=" | "!") {
                        named.insert(at(index).to_owned());
                    }
                    index += 1;
                    at(index).chars().next().ok_or("braces that do not end")?;
                }
            }
            "[" => index += 1,
            _ if !is_name
                || KEYWORDS.contains(&token)
                || matches!(at(index + 1), "(" | "by" | "without") => {}
            _ if open.last().is_some_and(|word| KEYWORDS.contains(word)) => {
                named.insert(token.to_owned());
            }
            metric => {
                let mut after = index + 1;
                if at(after) == "{" {
                    after += tokens[after..].iter().position(|t| t == "}").ok_or("braces")? + 1;
                }
                found.take(metric, &open, at(after) == "[", known)?;
            }
        }
        index += 1;
    }
    if !open.is_empty() {
        return Err("a bracket is open".to_owned());
    }
    found.labels.extend(OF_TARGETS.map(str::to_owned));
    match named.iter().find(|label| !found.labels.contains(*label)) {
        Some(label) => Err(format!("none of {:?} has the label {label}", found.metrics)),
        None if found.metrics.is_empty() => Err("no metric".to_owned()),
        None => Ok(found),
    }
}

impl Query {
    /// A metric, within these functions, over a range of time or as it is.
    fn take(
        &mut self,
        metric: &str,
        open: &[&str],
        is_range: bool,
        known: &BTreeMap<String, Described>,
    ) -> Result<(), String> {
        self.metrics.insert(metric.to_owned());
        if metric == "up" {
            return Ok(());
        }
        let part = |suffix| metric.strip_suffix(suffix).filter(|name| known.contains_key(*name));
        let whole = ["_bucket", "_sum", "_count"].into_iter().find_map(part);
        let described = known.get(whole.unwrap_or(metric));
        let described = described.ok_or_else(|| format!("unknown: {metric}"))?;
        self.labels.extend(described.labels.iter().cloned());
        if (described.kind == "histogram") != whole.is_some() {
            return Err(format!("{metric} has no such series"));
        }
        let is_bucket = metric.ends_with("_bucket");
        if is_bucket {
            self.labels.insert("le".to_owned());
        }
        if open.contains(&"histogram_quantile") && !is_bucket {
            return Err(format!("a quantile of {metric}"));
        }
        let grows = described.kind != "gauge";
        let function = open.last().copied().unwrap_or("");
        let fits = match (is_range, grows) {
            (true, true) => OF_COUNTERS.contains(&function),
            (true, false) => OF_GAUGES.contains(&function),
            (false, true) => false,
            (false, false) => !OF_COUNTERS.contains(&function),
        };
        if fits { Ok(()) } else { Err(format!("{function} of {metric}, a {}", described.kind)) }
    }
}

#[test]
fn queries_are_understood_and_misuse_is_found() {
    let known = crate::metrics::described();
    let check = |query: &str| read(query, &known).map(|found| found.metrics.len());
    let requests = "order_ledger_rpc_requests_total";
    let duration = "order_ledger_rpc_duration_seconds";
    for (query, metrics) in [
        (format!("sum by (method) (rate({requests}{{code=~\"A|B\"}}[5m])) / 2 > 0.05"), 1),
        (
            format!(
                "histogram_quantile(0.9, sum by (le) (rate({duration}_bucket[$__rate_interval])))"
            ),
            1,
        ),
        ("max(order_ledger_mails_pending) > 1 or up{job=\"x\"} == 0".to_owned(), 2),
        ("deriv(order_ledger_mails_pending[10m])".to_owned(), 1),
    ] {
        assert_eq!(check(&query), Ok(metrics), "{query}");
    }
    for query in [
        format!("{requests} > 0"),
        format!("sum({requests})"),
        format!("rate({requests}[5m]"),
        format!("deriv({requests}[5m])"),
        format!("sum by (role) (rate({requests}[5m]))"),
        format!("rate({requests}{{role=\"api\"}}[5m])"),
        "rate(order_ledger_mails_pending[5m])".to_owned(),
        format!("histogram_quantile(0.9, rate({duration}_count[5m]))"),
        format!("histogram_quantile(0.9, rate({duration}[5m]))"),
        "order_ledger_mails_pending_sum".to_owned(),
        "order_ledger_mails_waiting".to_owned(),
        "1 + 1".to_owned(),
    ] {
        check(&query).expect_err(&query);
    }
}
