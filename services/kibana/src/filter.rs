//! Which documents: filters in pieces, so that their fields are known; written in KQL for Kibana, and as the query that
//! Kibana makes of it.

use events::State;
use serde_json::{Value, json};

use crate::Role;

/// A choice of documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Every one.
    Everything,
    /// The field has this value.
    Is(&'static str, &'static str),
    /// The field has one of these values.
    OneOf(&'static str, Vec<&'static str>),
    /// The field has a value.
    Exists(&'static str),
    /// The number is larger.
    Above(&'static str, i64),
    /// The instant is earlier than this one, in Elasticsearch's date arithmetic, such as `now-2d`.
    Before(&'static str, &'static str),
    /// What the filter leaves out.
    Not(Box<Self>),
    /// Every one of these holds.
    All(Vec<Self>),
    /// At least one of these holds.
    Any(Vec<Self>),
}

impl Filter {
    /// The field has the name of this state.
    #[must_use]
    pub const fn state(field: &'static str, state: State) -> Self {
        Self::Is(field, state.name())
    }

    /// The field has the name of one of these states.
    #[must_use]
    pub fn states(field: &'static str, states: &[State]) -> Self {
        Self::OneOf(field, states.iter().map(|state| state.name()).collect())
    }

    /// The field has no value.
    #[must_use]
    pub fn lacks(field: &'static str) -> Self {
        Self::Not(Box::new(Self::Exists(field)))
    }

    /// In Kibana's query language; empty for every document.
    #[must_use]
    pub fn kql(&self) -> String {
        match self {
            Self::Everything => String::new(),
            Self::Is(field, value) => format!("{field}: {}", quoted(value)),
            Self::OneOf(field, values) => {
                let values: Vec<_> = values.iter().map(|value| quoted(value)).collect();
                format!("{field}: ({})", values.join(" or "))
            }
            Self::Exists(field) => format!("{field}: *"),
            Self::Above(field, number) => format!("{field} > {number}"),
            Self::Before(field, instant) => format!("{field} < {instant}"),
            Self::Not(filter) => format!("not {}", filter.operand()),
            Self::All(filters) => joined(filters, " and "),
            Self::Any(filters) => joined(filters, " or "),
        }
    }

    /// As Kibana sends it to Elasticsearch.
    #[must_use]
    pub fn query(&self) -> Value {
        match self {
            Self::Everything => json!({ "match_all": {} }),
            Self::Is(field, value) => json!({ "match_phrase": { *field: value } }),
            Self::OneOf(field, values) => {
                let each = values.iter().map(|value| json!({ "match_phrase": { *field: value } }));
                any(each.collect())
            }
            Self::Exists(field) => json!({ "exists": { "field": field } }),
            Self::Above(field, number) => json!({ "range": { *field: { "gt": number } } }),
            Self::Before(field, instant) => json!({ "range": { *field: { "lt": instant } } }),
            Self::Not(filter) => json!({ "bool": { "must_not": filter.query() } }),
            Self::All(filters) => {
                json!({ "bool": { "filter": filters.iter().map(Self::query).collect::<Vec<_>>() } })
            }
            Self::Any(filters) => any(filters.iter().map(Self::query).collect()),
        }
    }

    /// Every field that is asked, and how.
    #[must_use]
    pub fn fields(&self) -> Vec<(&'static str, Role)> {
        match self {
            Self::Everything => Vec::new(),
            Self::Is(field, _) | Self::OneOf(field, _) => vec![(field, Role::Equal)],
            Self::Exists(field) => vec![(field, Role::Exists)],
            Self::Above(field, _) => vec![(field, Role::NumberRange)],
            Self::Before(field, _) => vec![(field, Role::TimeRange)],
            Self::Not(filter) => filter.fields(),
            Self::All(filters) | Self::Any(filters) => {
                filters.iter().flat_map(Self::fields).collect()
            }
        }
    }

    /// As a part of a larger one.
    fn operand(&self) -> String {
        match self {
            Self::All(_) | Self::Any(_) => format!("({})", self.kql()),
            Self::Everything
            | Self::Is(..)
            | Self::OneOf(..)
            | Self::Exists(_)
            | Self::Above(..)
            | Self::Before(..)
            | Self::Not(_) => self.kql(),
        }
    }
}

fn joined(filters: &[Filter], word: &str) -> String {
    filters.iter().map(Filter::operand).collect::<Vec<_>>().join(word)
}

/// In quotes, nothing in it is a wildcard or an operator.
fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

fn any(queries: Vec<Value>) -> Value {
    json!({ "bool": { "should": queries, "minimum_should_match": 1 } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kql_says_what_the_query_asks() {
        let entered = Filter::All(vec![
            Filter::Is("event.outcome", "success"),
            Filter::Any(vec![Filter::Exists("seconds_in_from"), Filter::lacks("from")]),
        ]);
        assert_eq!(
            entered.kql(),
            "event.outcome: \"success\" and (seconds_in_from: * or not from: *)"
        );
        assert_eq!(
            entered.query(),
            json!({ "bool": { "filter": [
                { "match_phrase": { "event.outcome": "success" } },
                { "bool": { "minimum_should_match": 1, "should": [
                    { "exists": { "field": "seconds_in_from" } },
                    { "bool": { "must_not": { "exists": { "field": "from" } } } },
                ] } },
            ] } })
        );
        let stuck = Filter::All(vec![
            Filter::states("state", &[State::Placed, State::Paid]),
            Filter::Before("entered_at", "now-2d"),
            Filter::Not(Box::new(Filter::Any(vec![
                Filter::Above("anomalies", 0),
                Filter::Exists("parcel.carrier"),
            ]))),
        ]);
        assert_eq!(
            stuck.kql(),
            "state: (\"Placed\" or \"Paid\") and entered_at < now-2d and \
             not (anomalies > 0 or parcel.carrier: *)"
        );
        assert_eq!(
            stuck.fields(),
            [
                ("state", Role::Equal),
                ("entered_at", Role::TimeRange),
                ("anomalies", Role::NumberRange),
                ("parcel.carrier", Role::Exists),
            ]
        );
    }

    #[test]
    fn a_value_can_not_break_out_of_its_quotes() {
        assert_eq!(Filter::Is("region", "a\" or \\*").kql(), r#"region: "a\" or \\*""#);
        assert_eq!(Filter::Everything.kql(), "");
    }
}
