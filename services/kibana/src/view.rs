//! The data views: one for each index or stream, with units.

use serde_json::{Map, Value, json};

use crate::{FieldUse, Names, Role, search::STORY};

/// One of the three things that Kibana reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum View {
    /// One document an order, as it stands.
    Orders,
    /// One document a recorded change.
    Transitions,
    /// One document an interval, process and series of measurements.
    Metrics,
}

/// How Kibana shows the values of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Seconds, in the unit that suits them.
    Seconds,
    /// An amount in minor units, whatever the currency.
    Minor,
    /// An order id, which leads to the order's story.
    OrderId,
}

impl View {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Orders, Self::Transitions, Self::Metrics];

    /// The index without a prefix.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Orders => "orders",
            Self::Transitions => "order-transitions",
            Self::Metrics => "order-ledger-metrics",
        }
    }

    /// What the data view is called.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Orders => "Orders",
            Self::Transitions => "Transitions of orders",
            Self::Metrics => "Metrics",
        }
    }

    /// The field that Kibana's choice of time goes by.
    #[must_use]
    pub const fn time_field(self) -> &'static str {
        "@timestamp"
    }

    /// The fields that are shown other than Kibana would by itself.
    #[must_use]
    pub fn formats(self) -> Vec<(&'static str, Format)> {
        match self {
            Self::Orders => vec![
                ("order_id", Format::OrderId),
                ("total_minor", Format::Minor),
                ("captured_minor", Format::Minor),
                ("refunded_minor", Format::Minor),
                ("outstanding_minor", Format::Minor),
            ],
            Self::Transitions => vec![
                ("order_id", Format::OrderId),
                ("total_minor", Format::Minor),
                ("seconds_in_from", Format::Seconds),
                ("lag_seconds", Format::Seconds),
            ],
            Self::Metrics => vec![
                ("latency_seconds", Format::Seconds),
                ("latency_max_seconds", Format::Seconds),
                ("lag_seconds", Format::Seconds),
                ("interval_seconds", Format::Seconds),
            ],
        }
    }

    /// Every field that the data view itself names.
    #[must_use]
    pub fn uses(self) -> Vec<FieldUse> {
        let of = |field, role| FieldUse {
            by: format!("data view {}", self.name()),
            view: self,
            field,
            role,
        };
        let formats = self.formats().into_iter().map(|(field, format)| match format {
            Format::Seconds | Format::Minor => of(field, Role::NumberFormat),
            Format::OrderId => of(field, Role::Link),
        });
        std::iter::once(of(self.time_field(), Role::Intervals)).chain(formats).collect()
    }

    /// The attributes of the saved object.
    pub(crate) fn attributes(self, names: &Names) -> Value {
        let mut formats = Map::new();
        let mut labels = Map::new();
        for (field, format) in self.formats() {
            formats.insert(field.to_owned(), format.saved(names));
            if format == Format::Minor {
                let label = format!("{field} (minor units)");
                labels.insert(field.to_owned(), json!({ "customLabel": label }));
            }
        }
        json!({
            "title": names.index(self),
            "name": names.title(self.title()),
            "timeFieldName": self.time_field(),
            "fieldFormatMap": Value::from(formats).to_string(),
            "fieldAttrs": Value::from(labels).to_string(),
            "fields": "[]",
            "runtimeFieldMap": "{}",
            "sourceFilters": "[]",
            "typeMeta": "{}",
            // The stream of metrics comes with the first measurement: until then there is nothing to match.
            "allowNoIndex": true,
        })
    }
}

impl Format {
    fn saved(self, names: &Names) -> Value {
        match self {
            Self::Seconds => json!({ "id": "duration", "params": {
                "inputFormat": "seconds",
                "outputFormat": "humanizePrecise",
                "outputPrecision": 1,
                "includeSpaceWithSuffix": true,
                "showSuffix": true,
                "useShortSuffix": true,
            } }),
            Self::Minor => json!({ "id": "number", "params": { "pattern": "0,0" } }),
            Self::OrderId => {
                let story = names.search_id(STORY);
                let all_time = "(time:(from:now-10y,to:now))";
                let one_order = "(query:(language:kuery,query:'order_id:%22{{value}}%22'))";
                json!({ "id": "url", "params": {
                    "type": "a",
                    "urlTemplate":
                        format!("../app/discover#/view/{story}?_g={all_time}&_a={one_order}"),
                    "labelTemplate": "{{value}}",
                } })
            }
        }
    }
}
