//! The saved objects: whole, at home in one Kibana with others, and as the file has them.

use std::{collections::BTreeSet, fs};

use kibana::{Names, SavedObject, View, ndjson, saved_objects};
use serde_json::Value;

use crate::{mappings::Mapping, root};

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_else(|| panic!("no text at {path}"))
}

/// A JSON document that is kept as a text within another.
fn within(value: &Value, path: &str) -> Value {
    serde_json::from_str(text(value, path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn of_kind(objects: &[SavedObject], kind: &str) -> Vec<Value> {
    objects.iter().filter(|object| object.kind == kind).map(|object| object.json.clone()).collect()
}

#[test]
fn the_file_is_what_the_definitions_say() {
    let file = root().join("infra/kibana/order-ledger.ndjson");
    let wanted = ndjson(&Names::default());
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, &wanted).unwrap();
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == wanted,
        "infra/kibana/order-ledger.ndjson is another: UPDATE=1 cargo test -p kibana"
    );
}

#[test]
fn there_is_what_was_asked_for() {
    let objects = saved_objects(&Names::default());
    let titles = |kind| -> Vec<_> {
        let of_kind = objects.iter().filter(|object| object.kind == kind);
        of_kind.map(|object| object.title.trim_start_matches("[Order ledger] ")).collect()
    };
    let indices: Vec<_> = of_kind(&objects, "index-pattern");
    let indices: Vec<_> = indices.iter().map(|view| text(view, "/attributes/title")).collect();
    assert_eq!(indices, ["orders", "order-transitions", "order-ledger-metrics"]);
    let searches = ["Stuck orders", "Rejected events", "Failed deliveries", "One order's story"];
    assert_eq!(titles("search"), searches);
    let dashboards = ["Orders", "Fulfilment times", "Load test", "Pipeline health"];
    assert_eq!(titles("dashboard"), dashboards);
}

#[test]
fn whatever_is_referred_to_comes_before() {
    for names in [Names::default(), Names::new("eu-")] {
        let mut known = BTreeSet::new();
        for SavedObject { kind, id, json, .. } in saved_objects(&names) {
            for reference in json["references"].as_array().unwrap() {
                let target =
                    (text(reference, "/type").to_owned(), text(reference, "/id").to_owned());
                assert!(known.contains(&target), "{id} refers to {target:?}");
            }
            assert_eq!((text(&json, "/type"), text(&json, "/id")), (kind, id.as_str()));
            assert!(known.insert((kind.to_owned(), id.clone())), "{id} is there twice");
        }
    }
}

#[test]
fn installations_share_one_kibana() {
    let ids = |prefix: &str| -> BTreeSet<String> {
        saved_objects(&Names::new(prefix)).into_iter().map(|object| object.id).collect()
    };
    assert!(ids("").is_disjoint(&ids("eu-")) && ids("us-").is_disjoint(&ids("eu-")));
    let eu = saved_objects(&Names::new("eu-"));
    assert!(eu.iter().all(|object| object.id.starts_with("eu-")));
    assert!(eu.iter().all(|object| object.title.starts_with("[Order ledger eu] ")));
    for view in of_kind(&eu, "index-pattern") {
        assert!(text(&view, "/attributes/title").starts_with("eu-order"));
    }
    // The link of an order id leads to the search of the same installation.
    let formats = within(&of_kind(&eu, "index-pattern")[0], "/attributes/fieldFormatMap");
    let link = text(&formats, "/order_id/params/urlTemplate");
    let story = eu.iter().find(|object| object.title.ends_with("One order's story")).unwrap();
    assert!(link.contains(&format!("#/view/{}?", story.id)), "{link}");
}

/// Read from the objects as they are, not from the definitions.
#[test]
fn panels_name_columns_and_fields_that_there_are() {
    let objects = saved_objects(&Names::default());
    let mut panels = 0;
    for dashboard in of_kind(&objects, "dashboard") {
        let references = dashboard["references"].as_array().unwrap();
        for panel in within(&dashboard, "/attributes/panelsJSON").as_array().unwrap() {
            let index = text(panel, "/panelIndex");
            assert_eq!(text(panel, "/gridData/i"), index);
            let of_panel = |reference: &&Value| {
                text(reference, "/name").strip_prefix(index).is_some_and(|r| r.starts_with(':'))
            };
            let reference = references.iter().find(of_panel).unwrap();
            if text(panel, "/type") == "search" {
                let name = format!("{index}:{}", text(panel, "/panelRefName"));
                assert_eq!(text(reference, "/name"), name);
                assert_eq!(text(reference, "/type"), "search");
                continue;
            }
            panels += 1;
            let attributes = &panel["embeddableConfig"]["attributes"];
            assert_eq!(text(reference, "/id"), text(attributes, "/references/0/id"));
            let name = format!("{index}:{}", text(attributes, "/references/0/name"));
            assert_eq!(text(reference, "/name"), name);
            check_panel(index, attributes);
        }
    }
    assert!(panels > 20, "{panels} panels");
}

fn check_panel(index: &str, attributes: &Value) {
    let view_id = text(attributes, "/references/0/id");
    let view =
        View::ALL.into_iter().find(|view| view_id.ends_with(&format!("-view-{}", view.name())));
    let mapping = format!("{:?}", Mapping::of(view.unwrap()));
    let layers =
        attributes["state"]["datasourceStates"]["formBased"]["layers"].as_object().unwrap();
    let layer_id = text(attributes, "/references/0/name").rsplit_once("layer-").unwrap().1;
    let layer = &layers[layer_id];
    let columns = layer["columns"].as_object().unwrap();
    let order = layer["columnOrder"].as_array().unwrap().iter();
    let order: BTreeSet<_> = order.map(|id| id.as_str().unwrap()).collect();
    assert_eq!(order, columns.keys().map(String::as_str).collect(), "{index}");
    for (id, column) in columns {
        if let Some(field) = column["sourceField"].as_str().filter(|f| *f != "___records___") {
            assert!(mapping.contains(&format!("\"{field}\": Field")), "{index}: {field}");
        }
        let ordered_by = &column["params"]["orderBy"]["columnId"];
        assert!(ordered_by.is_null() || columns.contains_key(ordered_by.as_str().unwrap()), "{id}");
    }
    let mut drawn = BTreeSet::new();
    accessors(&attributes["state"]["visualization"], &mut drawn);
    assert_eq!(drawn, columns.keys().cloned().collect(), "{index} draws all of its columns");
}

/// Every column that a drawing names.
fn accessors(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => fields.values().for_each(|value| accessors(value, into)),
        Value::Array(items) => items.iter().for_each(|value| accessors(value, into)),
        Value::String(text) if text.starts_with("bucket-") || text.starts_with("metric-") => {
            into.insert(text.clone());
        }
        _ => {}
    }
}

#[test]
fn tiles_fill_their_rows_and_none_lies_on_another() {
    for dashboard in of_kind(&saved_objects(&Names::default()), "dashboard") {
        let mut taken = BTreeSet::new();
        for panel in within(&dashboard, "/attributes/panelsJSON").as_array().unwrap() {
            let [x, y, w, h] = ["x", "y", "w", "h"].map(|n| panel["gridData"][n].as_u64().unwrap());
            assert!(x + w <= 48 && w > 0 && h > 0, "{panel}");
            for place in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
                assert!(taken.insert(place), "{} lies on another", panel["panelIndex"]);
            }
        }
    }
}

/// In newer forms 8.19 would refuse them.
#[test]
fn objects_are_in_the_form_that_8_19_reads() {
    for object in saved_objects(&Names::default()) {
        assert_eq!(object.json["coreMigrationVersion"], "8.8.0");
        let version = text(&object.json, "/typeMigrationVersion");
        assert!(["8.0.0", "8.9.0"].contains(&version), "{}: {version}", object.id);
        let attributes = object.json["attributes"].as_object().unwrap();
        let known: &[&str] = match object.kind {
            "index-pattern" => &[
                "title",
                "name",
                "timeFieldName",
                "fieldFormatMap",
                "fieldAttrs",
                "fields",
                "runtimeFieldMap",
                "sourceFilters",
                "typeMeta",
                "allowNoIndex",
            ],
            "search" => &[
                "title",
                "description",
                "columns",
                "sort",
                "grid",
                "hideChart",
                "isTextBasedQuery",
                "timeRestore",
                "usesAdHocDataView",
                "kibanaSavedObjectMeta",
            ],
            _ => &[
                "title",
                "description",
                "panelsJSON",
                "optionsJSON",
                "controlGroupInput",
                "timeRestore",
                "timeFrom",
                "timeTo",
                "refreshInterval",
                "kibanaSavedObjectMeta",
                "version",
            ],
        };
        let unknown: Vec<_> = attributes.keys().filter(|k| !known.contains(&k.as_str())).collect();
        assert!(unknown.is_empty(), "{}: {unknown:?}", object.id);
    }
}
