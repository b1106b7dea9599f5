//! What the mappings of `infra/elasticsearch` allow.

use std::{collections::BTreeMap, fs};

use kibana::{FieldUse, Role, View};
use serde_json::{Map, Value};

use crate::root;

/// A field as the mapping has it.
#[derive(Debug)]
struct Field {
    r#type: String,
    /// Whether its documents are hidden ones, which panels and searches do not reach.
    is_nested: bool,
}

/// Every field of a view by its dotted path, those of several kinds included.
#[derive(Debug)]
pub(crate) struct Mapping(BTreeMap<String, Field>);

impl Mapping {
    pub(crate) fn of(view: View) -> Self {
        let file = root().join(format!("infra/elasticsearch/{}-mappings.json", view.name()));
        let text = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let template: Value = serde_json::from_str(&text).unwrap();
        let mut fields = BTreeMap::new();
        let properties = template["template"]["mappings"]["properties"].as_object().unwrap();
        add("", false, properties, &mut fields);
        Self(fields)
    }

    /// Says why a field can't be used like that.
    pub(crate) fn check(&self, used: &FieldUse) -> Result<(), String> {
        let FieldUse { by, view, field, role } = used;
        let wrong = |why: String| Err(format!("{by}: {field} of {} {why}", view.name()));
        let Some(found) = self.0.get(*field) else { return wrong("is not there".to_owned()) };
        if found.is_nested {
            return wrong("is nested: panels and searches do not reach it".to_owned());
        }
        if allowed(*role).contains(&found.r#type.as_str()) {
            Ok(())
        } else {
            wrong(format!("is {}, which {role:?} is not for", found.r#type))
        }
    }
}

fn add(path: &str, nested: bool, fields: &Map<String, Value>, into: &mut BTreeMap<String, Field>) {
    for (name, field) in fields {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let r#type = field["type"].as_str().unwrap_or("object");
        let nested = nested || r#type == "nested";
        for inner in ["properties", "fields"] {
            if let Some(inner) = field[inner].as_object() {
                add(&path, nested, inner, into);
            }
        }
        into.insert(path, Field { r#type: r#type.to_owned(), is_nested: nested });
    }
}

/// The types that a use is for.
const fn allowed(role: Role) -> &'static [&'static str] {
    match role {
        Role::Equal | Role::Values => &["keyword", "long"],
        Role::NumberRange | Role::Sum => &["long", "double"],
        Role::TimeRange | Role::Intervals => &["date"],
        Role::Extreme => &["long", "double", "date"],
        Role::Percentile | Role::NumberFormat => &["long", "double", "histogram"],
        Role::Distinct => &["keyword", "long", "date"],
        Role::Exists | Role::Display => &["keyword", "text", "long", "double", "date"],
        Role::Sort => &["keyword", "long", "double", "date"],
        Role::Link => &["keyword"],
    }
}
