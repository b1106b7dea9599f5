//! A dashboard: rows of panels and searches, and how it becomes a saved object.

use serde_json::{Value, json};

use crate::{FieldUse, Names, Panel, Role, View, lens, objects::reference};

/// So many columns share a row.
const WIDTH: u16 = 48;

/// What is shown on one page.
#[derive(Clone, Debug)]
pub struct Dashboard {
    /// Unique among all dashboards.
    pub id: &'static str,
    /// What people read.
    pub title: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// From when on it shows things at first, in date arithmetic.
    pub from: &'static str,
    /// How often it asks again, in seconds.
    pub refresh_seconds: u32,
    /// Lists to choose values from.
    pub controls: Vec<Control>,
    /// From top to bottom.
    pub rows: Vec<Row>,
}

/// A list of a field's values; those that are chosen filter every panel.
#[derive(Clone, Copy, Debug)]
pub struct Control {
    /// What people read.
    pub title: &'static str,
    /// Where the field is.
    pub view: View,
    /// The field.
    pub field: &'static str,
}

/// What stands side by side.
#[derive(Clone, Debug)]
pub struct Row {
    /// In Kibana's units, about 20 pixels each.
    pub height: u16,
    /// From left to right.
    pub tiles: Vec<Tile>,
}

/// A part of a row.
#[derive(Clone, Debug)]
pub struct Tile {
    /// How many of the 48 columns.
    pub width: u16,
    /// What is in it.
    pub shown: Shown,
}

/// What a tile shows.
#[derive(Clone, Debug)]
pub enum Shown {
    /// A panel that belongs to this dashboard alone.
    Panel(Box<Panel>),
    /// The saved search of this id.
    Search(&'static str),
}

impl Row {
    /// Panels of the same width.
    pub(crate) fn of(height: u16, panels: Vec<Panel>) -> Self {
        let width = WIDTH / u16::try_from(panels.len()).unwrap_or(WIDTH).max(1);
        let tile = |panel| Tile { width, shown: Shown::Panel(Box::new(panel)) };
        Self { height, tiles: panels.into_iter().map(tile).collect() }
    }

    /// A saved search in a row of its own.
    pub(crate) fn search(id: &'static str) -> Self {
        Self { height: 14, tiles: vec![Tile { width: WIDTH, shown: Shown::Search(id) }] }
    }
}

impl Dashboard {
    /// Its panels, from top to bottom.
    pub fn panels(&self) -> impl Iterator<Item = &Panel> {
        self.rows.iter().flat_map(|row| &row.tiles).filter_map(|tile| match &tile.shown {
            Shown::Panel(panel) => Some(panel.as_ref()),
            Shown::Search(_) => None,
        })
    }

    /// Every field that it names, those of its panels included.
    #[must_use]
    pub fn uses(&self) -> Vec<FieldUse> {
        let controls = self.controls.iter().map(|Control { title, view, field }| FieldUse {
            by: format!("control {title} of {}", self.id),
            view: *view,
            field,
            role: Role::Values,
        });
        controls.chain(self.panels().flat_map(Panel::uses)).collect()
    }

    /// The attributes of the saved object, and what it refers to.
    pub(crate) fn saved(&self, names: &Names) -> (Value, Vec<Value>) {
        let (panels, mut references) = self.placed(names);
        let (controls, of_controls) = self.saved_controls(names);
        references.extend(of_controls);
        let attributes = json!({
            "title": names.title(self.title),
            "description": self.description,
            "panelsJSON": Value::from(panels).to_string(),
            "optionsJSON": json!({
                "useMargins": true,
                "syncColors": true,
                "syncCursor": true,
                "syncTooltips": false,
                "hidePanelTitles": false,
            }).to_string(),
            "controlGroupInput": {
                "controlStyle": "oneLine",
                "chainingSystem": "HIERARCHICAL",
                "panelsJSON": controls.to_string(),
                "ignoreParentSettingsJSON": json!({
                    "ignoreFilters": false,
                    "ignoreQuery": false,
                    "ignoreTimerange": false,
                    "ignoreValidations": false,
                }).to_string(),
            },
            "timeRestore": true,
            "timeFrom": self.from,
            "timeTo": "now",
            "refreshInterval": { "pause": false, "value": self.refresh_seconds.saturating_mul(1000) },
            "kibanaSavedObjectMeta": {
                "searchSourceJSON":
                    json!({ "query": { "query": "", "language": "kuery" }, "filter": [] }).to_string(),
            },
            "version": 1,
        });
        (attributes, references)
    }

    /// Every tile in its place, and what they refer to.
    fn placed(&self, names: &Names) -> (Vec<Value>, Vec<Value>) {
        let (mut panels, mut references) = (Vec::new(), Vec::new());
        let mut y = 0;
        for row in &self.rows {
            let mut x = 0;
            for Tile { width, shown } in &row.tiles {
                let grid = json!({ "x": x, "y": y, "w": width, "h": row.height });
                let (panel, refers) = shown.saved(names, grid);
                panels.push(panel);
                references.push(refers);
                x += width;
            }
            y += row.height;
        }
        (panels, references)
    }

    fn saved_controls(&self, names: &Names) -> (Value, Vec<Value>) {
        let (mut controls, mut references) = (serde_json::Map::new(), Vec::new());
        for (order, Control { title, view, field }) in self.controls.iter().enumerate() {
            let id = format!("control-{order}");
            let data_view = names.view_id(*view);
            let name = format!("controlGroup_{id}:optionsListDataView");
            references.push(reference(&name, "index-pattern", &data_view));
            let input = json!({
                "id": id,
                "title": title,
                "fieldName": field,
                "selectedOptions": [],
                "enhancements": {},
            });
            let control = json!({
                "type": "optionsListControl",
                "order": order,
                "width": "medium",
                "grow": true,
                "explicitInput": input,
            });
            controls.insert(id, control);
        }
        (controls.into(), references)
    }
}

impl Shown {
    /// The saved panel, and the one thing that it refers to.
    fn saved(&self, names: &Names, mut grid: Value) -> (Value, Value) {
        let mut place = |id: &str| {
            if let Some(grid) = grid.as_object_mut() {
                grid.insert("i".to_owned(), id.into());
            }
            grid.clone()
        };
        match self {
            Self::Panel(panel) => {
                let view = names.view_id(panel.view);
                let saved = json!({
                    "type": "lens",
                    "title": panel.title,
                    "panelIndex": panel.id,
                    "gridData": place(panel.id),
                    "embeddableConfig": {
                        "attributes": lens::attributes(panel, &view),
                        "enhancements": {},
                    },
                });
                let name = format!("{}:{}", panel.id, lens::LAYER_REFERENCE);
                (saved, reference(&name, "index-pattern", &view))
            }
            Self::Search(id) => {
                let panel_reference = format!("panel_{id}");
                let saved = json!({
                    "type": "search",
                    "panelIndex": id,
                    "gridData": place(id),
                    "embeddableConfig": { "enhancements": {} },
                    "panelRefName": panel_reference,
                });
                let name = format!("{id}:{panel_reference}");
                (saved, reference(&name, "search", &names.search_id(id)))
            }
        }
    }
}
