//! Saved objects, as Kibana imports them.
//!
//! In the form of Kibana 8.9, which 8.19 and 9 read and bring up to date; a newer form would be refused by 8.19.

use serde_json::{Value, json};

use crate::{Dashboard, Names, Search, View, dashboards, search::INDEX_REFERENCE, searches};

/// The format of saved objects themselves.
const CORE_VERSION: &str = "8.8.0";

/// One object to be imported.
#[derive(Clone, Debug)]
pub struct SavedObject {
    /// Kibana's name of the kind: `index-pattern`, `search` or `dashboard`.
    pub kind: &'static str,
    /// Of every import the same.
    pub id: String,
    /// What people read.
    pub title: String,
    /// The whole of it.
    pub json: Value,
}

/// Everything, in an order in which nothing refers to what comes later.
#[must_use]
pub fn saved_objects(names: &Names) -> Vec<SavedObject> {
    let views = View::ALL.into_iter().map(|view| of_view(view, names));
    let searches = searches().into_iter().map(|search| of_search(&search, names));
    let dashboards = dashboards().into_iter().map(|dashboard| of_dashboard(&dashboard, names));
    views.chain(searches).chain(dashboards).collect()
}

/// Everything, one JSON object a line.
#[must_use]
pub fn ndjson(names: &Names) -> String {
    saved_objects(names).iter().map(|object| format!("{}\n", object.json)).collect()
}

fn of_view(view: View, names: &Names) -> SavedObject {
    let (id, title) = (names.view_id(view), names.title(view.title()));
    object("index-pattern", "8.0.0", id, title, view.attributes(names), &[])
}

fn of_search(search: &Search, names: &Names) -> SavedObject {
    let (id, title) = (names.search_id(search.id), names.title(search.title));
    let view = reference(INDEX_REFERENCE, "index-pattern", &names.view_id(search.view));
    object("search", "8.0.0", id, title, search.attributes(names), &[view])
}

fn of_dashboard(dashboard: &Dashboard, names: &Names) -> SavedObject {
    let (id, title) = (names.id("dashboard", dashboard.id), names.title(dashboard.title));
    let (attributes, references) = dashboard.saved(names);
    object("dashboard", "8.9.0", id, title, attributes, &references)
}

fn object(
    kind: &'static str,
    version: &str,
    id: String,
    title: String,
    attributes: Value,
    references: &[Value],
) -> SavedObject {
    let json = json!({
        "type": kind,
        "id": id,
        "attributes": attributes,
        "references": references,
        "managed": false,
        "coreMigrationVersion": CORE_VERSION,
        "typeMigrationVersion": version,
    });
    SavedObject { kind, id, title, json }
}

/// Says which object a part of another one means.
pub(crate) fn reference(name: &str, kind: &str, id: &str) -> Value {
    json!({ "name": name, "type": kind, "id": id })
}
