//! The templates, and how an index that exists compares with them. Pure: nothing here talks to a server.

use std::collections::BTreeMap;

use ports::SearchError;
use serde::Deserialize;
use serde_json::{Map, Value, json};

const MAPPINGS: &str = include_str!("../../../../infra/elasticsearch/orders-mappings.json");
const SETTINGS: &str = include_str!("../../../../infra/elasticsearch/orders-settings.json");
const STREAM_MAPPINGS: &str =
    include_str!("../../../../infra/elasticsearch/order-transitions-mappings.json");
const STREAM_SETTINGS: &str =
    include_str!("../../../../infra/elasticsearch/order-transitions-settings.json");
const METRICS_MAPPINGS: &str =
    include_str!("../../../../infra/elasticsearch/order-ledger-metrics-mappings.json");
const METRICS_SETTINGS: &str =
    include_str!("../../../../infra/elasticsearch/order-ledger-metrics-settings.json");

/// What a template makes.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Indices that give way to each other behind aliases.
    Generations,
    /// A data stream and its backing indices, of what this says.
    Stream(&'static str),
}

/// The templates of this program, to be put under one set of names.
pub(crate) struct Schema {
    /// Raised with every change of the JSON files.
    pub(crate) version: u64,
    pub(crate) mappings_template: Value,
    pub(crate) settings_template: Value,
    pub(crate) mappings: Mappings,
    kind: Kind,
}

/// The part of a mapping that is compared.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Mappings {
    #[serde(default, rename = "_meta")]
    meta: Meta,
    #[serde(default)]
    dynamic: Value,
    #[serde(default)]
    pub(crate) properties: Map<String, Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Meta {
    #[serde(default)]
    version: u64,
}

/// What it takes to make an index fit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// Nothing.
    Fits,
    /// New fields must be added.
    Lacks(Vec<String>),
}

impl Schema {
    /// Of the documents of orders.
    pub(crate) fn orders() -> Result<Self, SearchError> {
        Self::embedded(Kind::Generations, MAPPINGS, SETTINGS)
    }

    /// Of the stream of transitions.
    pub(crate) fn transitions() -> Result<Self, SearchError> {
        let kind = Kind::Stream("The transitions of the order ledger");
        Self::embedded(kind, STREAM_MAPPINGS, STREAM_SETTINGS)
    }

    /// Of the stream of metrics.
    pub(crate) fn metrics() -> Result<Self, SearchError> {
        let kind = Kind::Stream("The metrics of the order ledger");
        Self::embedded(kind, METRICS_MAPPINGS, METRICS_SETTINGS)
    }

    /// Reads the embedded files.
    fn embedded(kind: Kind, mappings: &str, settings: &str) -> Result<Self, SearchError> {
        let damaged = |error: serde_json::Error| {
            SearchError::Unfit(format!("the embedded templates are damaged: {error}"))
        };
        let mappings_template: Value = serde_json::from_str(mappings).map_err(damaged)?;
        let settings_template = serde_json::from_str(settings).map_err(damaged)?;
        let mappings = mappings_template.pointer("/template/mappings").cloned();
        let mappings: Mappings =
            serde_json::from_value(mappings.unwrap_or_default()).map_err(damaged)?;
        let version = mappings.meta.version;
        Ok(Self { version, mappings_template, settings_template, mappings, kind })
    }

    /// The index template that binds the component templates to the indices behind the alias, or to the stream, of this
    /// name. `…@custom` comes last and need not exist: it is the operator's.
    pub(crate) fn index_template(&self, name: &str) -> Value {
        let [settings, mappings, custom] = component_names(name);
        match self.kind {
            Kind::Generations => json!({
                "version": self.version,
                "_meta": { "description": "Indices of the order ledger" },
                "index_patterns": [format!("{name}-g*")],
                "priority": 500,
                // Whoever writes to an index that was removed meanwhile must not bring it up again, empty.
                "allow_auto_create": false,
                "composed_of": [settings, mappings, custom],
                "ignore_missing_component_templates": [custom],
            }),
            Kind::Stream(description) => json!({
                "version": self.version,
                "_meta": { "description": description },
                "index_patterns": [name],
                "priority": 500,
                "data_stream": {},
                "composed_of": [settings, mappings, custom],
                "ignore_missing_component_templates": [custom],
            }),
        }
    }
}

/// Settings, mappings, and the operator's own.
pub(crate) fn component_names(alias: &str) -> [String; 3] {
    ["settings", "mappings", "@custom"].map(|part| match part.strip_prefix('@') {
        Some(_) => format!("{alias}{part}"),
        None => format!("{alias}-{part}"),
    })
}

impl Mappings {
    /// Compares the mapping of an index (`self`) with the one this program writes for.
    ///
    /// # Errors
    /// [`SearchError::Unfit`] if the index can't be made to fit in place.
    pub(crate) fn fit(&self, wanted: &Self) -> Result<Fit, SearchError> {
        if self.dynamic != "strict" {
            return Err(unfit("its mapping is not strict, so Elasticsearch would guess fields"));
        }
        let found = field_types(&self.properties);
        let mut lacks = Vec::new();
        for (field, wanted) in field_types(&wanted.properties) {
            match found.get(&field) {
                None => lacks.push(field),
                Some(found) if *found == wanted => {}
                Some(found) => {
                    return Err(unfit(&format!("its field {field} is {found}, must be {wanted}")));
                }
            }
        }
        if lacks.is_empty() {
            return Ok(Fit::Fits);
        }
        // A newer program left these fields out on purpose: adding them back would undo its work.
        if self.meta.version > wanted.meta.version {
            let lacks = lacks.join(", ");
            return Err(unfit(&format!(
                "a newer version of this program set it up without {lacks}"
            )));
        }
        Ok(Fit::Lacks(lacks))
    }
}

/// The body that adds what an index lacks.
pub(crate) fn mapping_update(schema: &Schema) -> Value {
    json!({ "_meta": { "version": schema.version }, "properties": schema.mappings.properties })
}

fn unfit(why: &str) -> SearchError {
    SearchError::Unfit(format!("{why}; rebuild the index"))
}

/// Every field by its dotted path, with its type; multi-fields count as fields.
fn field_types(properties: &Map<String, Value>) -> BTreeMap<String, String> {
    let mut types = BTreeMap::new();
    let mut open = vec![(String::new(), properties)];
    while let Some((path, properties)) = open.pop() {
        for (name, field) in properties {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            let r#type = field.get("type").and_then(Value::as_str).unwrap_or("object");
            for inner in ["properties", "fields"] {
                if let Some(inner) = field.get(inner).and_then(Value::as_object) {
                    open.push((path.clone(), inner));
                }
            }
            types.insert(path, r#type.to_owned());
        }
    }
    types
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use events::State;
    use ports::{OrderDocument, TraceFields};
    use testkit::sample;

    use super::*;

    fn schema() -> Schema {
        Schema::orders().unwrap()
    }

    fn changed(change: impl FnOnce(&mut Mappings)) -> Mappings {
        let mut mappings = schema().mappings;
        change(&mut mappings);
        mappings
    }

    #[test]
    fn both_files_are_of_one_version() {
        for schema in [schema(), Schema::transitions().unwrap(), Schema::metrics().unwrap()] {
            assert_eq!(schema.mappings_template["version"], schema.version);
            assert_eq!(schema.settings_template["version"], schema.version);
            assert!(schema.version > 0);
        }
    }

    /// With `dynamic: strict`, a document with a field too many would be refused.
    #[test]
    fn the_mapping_has_exactly_the_fields_of_a_document() {
        let order = sample::order_id(1);
        let mut document = OrderDocument::from(&sample::folded(&sample::lifecycle(order)));
        document.cancel_reason = Some("so that no field is empty".to_owned());
        document.seconds_in_state = State::ALL.map(|state| (state.name(), 0.0)).into();
        check_fields(&schema(), &[json!(document)]);

        let mut transition = sample::transitions(&sample::lifecycle(order)).remove(1);
        transition.trace = Some(TraceFields { id: "0".repeat(32) });
        transition.rejection = Some("StaleVersion");
        transition.lag_seconds = Some(0.5);
        transition.load_test_type = Some("soak".to_owned());
        let schema = Schema::transitions().unwrap();
        check_fields(&schema, &[json!(transition)]);
    }

    #[test]
    fn the_mapping_has_exactly_the_fields_of_metrics() {
        let documents = testkit::metrics::interval("here", 1).into_iter().map(|document| {
            let mut document = json!(document);
            // One field, though it is an object.
            if let Some(histogram) = document.get_mut("latency_seconds") {
                assert!(histogram["values"].is_array() && histogram["counts"].is_array());
                *histogram = json!("a histogram");
            }
            document
        });
        check_fields(&Schema::metrics().unwrap(), &documents.collect::<Vec<_>>());
    }

    /// Together the documents have all fields.
    fn check_fields(schema: &Schema, documents: &[Value]) {
        let mut written = BTreeSet::new();
        documents.iter().for_each(|document| paths("", document, &mut written));
        let mut mapped = field_types(&schema.mappings.properties);
        mapped.retain(|path, r#type| {
            let is_branch = matches!(r#type.as_str(), "object" | "nested");
            !is_branch && !path.ends_with(".text") && !path.ends_with(".keyword")
        });
        assert_eq!(written, mapped.into_keys().collect());
    }

    fn paths(prefix: &str, value: &Value, into: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    let dot = if prefix.is_empty() { "" } else { "." };
                    paths(&format!("{prefix}{dot}{name}"), value, into);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| paths(prefix, item, into)),
            Value::Null => panic!("{prefix} is empty in the sample"),
            _ => _ = into.insert(prefix.to_owned()),
        }
    }

    #[test]
    fn an_index_as_the_template_makes_it_fits() {
        assert_eq!(schema().mappings.fit(&schema().mappings).unwrap(), Fit::Fits);
        let more = changed(|m| _ = m.properties.insert("new".to_owned(), json!({"type": "long"})));
        assert_eq!(more.fit(&schema().mappings).unwrap(), Fit::Fits);
    }

    #[test]
    fn an_older_index_lacks_fields() {
        let older = changed(|m| _ = m.properties.remove("parcel"));
        let lacks = ["parcel", "parcel.carrier", "parcel.tracking_number"].map(str::to_owned);
        assert_eq!(older.fit(&schema().mappings).unwrap(), Fit::Lacks(lacks.to_vec()));
    }

    #[test]
    fn an_index_that_can_not_be_mended_is_unfit() {
        let why = |change: fn(&mut Mappings)| {
            changed(change).fit(&schema().mappings).unwrap_err().to_string()
        };
        let guessing = why(|m| m.dynamic = Value::Null);
        assert!(guessing.contains("not strict"), "{guessing}");
        let retyped = why(|m| m.properties["total_minor"] = json!({"type": "double"}));
        assert!(retyped.contains("total_minor is double, must be long"), "{retyped}");
        let newer = why(|m| {
            m.meta.version += 1;
            m.properties.remove("labels");
        });
        assert!(newer.contains("without labels"), "{newer}");
    }

    #[test]
    fn the_index_template_matches_generations_alone() {
        let template = schema().index_template("eu-orders");
        assert_eq!(template["index_patterns"], json!(["eu-orders-g*"]));
        let parts = json!(["eu-orders-settings", "eu-orders-mappings", "eu-orders@custom"]);
        assert_eq!(template["composed_of"], parts);
    }
}
