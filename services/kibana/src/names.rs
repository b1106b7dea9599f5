//! What things are called in a Kibana that may serve several installations.

use crate::View;

/// The names of one installation: those of its indices, ids and titles begin with, or hold, its index prefix.
#[derive(Clone, Debug, Default)]
pub struct Names {
    prefix: String,
}

impl Names {
    /// Names for the installation with this `elasticsearch.index_prefix`; empty for the one without.
    #[must_use]
    pub fn new(prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into() }
    }

    /// The index, alias or stream that a data view reads.
    #[must_use]
    pub fn index(&self, view: View) -> String {
        format!("{}{}", self.prefix, view.name())
    }

    /// The id of a saved object: the same at every import, so that it takes the place of the former one.
    #[must_use]
    pub fn id(&self, kind: &str, name: &str) -> String {
        format!("{}order-ledger-{kind}-{name}", self.prefix)
    }

    /// What people read.
    #[must_use]
    pub fn title(&self, title: &str) -> String {
        match self.prefix.trim_matches('-') {
            "" => format!("[Order ledger] {title}"),
            installation => format!("[Order ledger {installation}] {title}"),
        }
    }

    pub(crate) fn view_id(&self, view: View) -> String {
        self.id("view", view.name())
    }

    pub(crate) fn search_id(&self, search: &str) -> String {
        self.id("search", search)
    }
}
