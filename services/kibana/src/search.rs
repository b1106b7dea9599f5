//! The saved searches of Discover.

use events::State;
use serde_json::{Value, json};

use crate::{FieldUse, Filter, Names, Role, View};

/// The search that shows one order's events.
pub(crate) const STORY: &str = "story";

/// The states that an order is expected to leave. `Delivered` is not among them: it is left when the return window closes.
pub(crate) const MOVING: [State; 8] = [
    State::Placed,
    State::Paid,
    State::PaymentFailed,
    State::Preparing,
    State::Shipped,
    State::DeliveryFailed,
    State::ReturnRequested,
    State::Returned,
];

/// A choice of documents, and what is shown of each.
#[derive(Clone, Debug)]
pub struct Search {
    /// Unique among all searches.
    pub id: &'static str,
    /// What people read.
    pub title: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// Where the documents are.
    pub view: View,
    /// Which of them.
    pub filter: Filter,
    /// What is shown of each, besides its time.
    pub columns: Vec<&'static str>,
    /// Sorted by this field.
    pub sort: &'static str,
    /// The newest or largest first.
    pub descending: bool,
}

/// Every saved search.
#[must_use]
pub fn searches() -> Vec<Search> {
    vec![
        Search {
            id: "stuck-orders",
            title: "Stuck orders",
            description: "Orders that have been for more than two days in a state which they should leave; those that \
                          have waited longest first. Choose a time that goes back to when they were placed.",
            view: View::Orders,
            filter: Filter::All(vec![
                Filter::states("state", &MOVING),
                Filter::Before("entered_at", "now-2d"),
            ]),
            columns: vec![
                "state",
                "entered_at",
                "order_id",
                "region",
                "payment.gateway",
                "parcel.carrier",
                "currency",
                "total_minor",
                "anomalies",
            ],
            sort: "entered_at",
            descending: false,
        },
        Search {
            id: "rejected-events",
            title: "Rejected events",
            description: "Events that did not fit their order, and why.",
            view: View::Transitions,
            filter: Filter::Is("event.outcome", "failure"),
            columns: vec!["event.action", "rejection", "order_id", "to", "actor", "event.id"],
            sort: "@timestamp",
            descending: true,
        },
        Search {
            id: "failed-deliveries",
            title: "Failed deliveries",
            description: "Parcels that the carrier could not hand over.",
            view: View::Transitions,
            filter: Filter::All(vec![
                Filter::Is("event.action", "DeliveryFailed"),
                Filter::Is("event.outcome", "success"),
            ]),
            columns: vec!["order_id", "region", "seconds_in_from", "actor"],
            sort: "@timestamp",
            descending: true,
        },
        Search {
            id: STORY,
            title: "One order's story",
            description: "Every event of an order, the first one first. Click an order id anywhere, or put one in the \
                          place of the star.",
            view: View::Transitions,
            filter: Filter::Exists("order_id"),
            columns: vec![
                "version",
                "event.action",
                "event.outcome",
                "from",
                "to",
                "seconds_in_from",
                "rejection",
                "actor",
                "order_id",
            ],
            // As the ledger counted them: an event may say that it happened before the one that it follows.
            sort: "version",
            descending: false,
        },
    ]
}

impl Search {
    /// Every field that the search names.
    #[must_use]
    pub fn uses(&self) -> Vec<FieldUse> {
        let place = format!("search {}", self.id);
        let of = |field, role| FieldUse { by: place.clone(), view: self.view, field, role };
        let mut uses = vec![of(self.view.time_field(), Role::TimeRange), of(self.sort, Role::Sort)];
        uses.extend(self.columns.iter().map(|column| of(column, Role::Display)));
        uses.extend(FieldUse::of_filter(&place, self.view, &self.filter));
        uses
    }

    pub(crate) const fn direction(&self) -> &'static str {
        if self.descending { "desc" } else { "asc" }
    }

    /// The attributes of the saved object.
    pub(crate) fn attributes(&self, names: &Names) -> Value {
        let source = json!({
            "query": { "query": self.filter.kql(), "language": "kuery" },
            "filter": [],
            "highlightAll": true,
            "version": true,
            "indexRefName": INDEX_REFERENCE,
        });
        json!({
            "title": names.title(self.title),
            "description": self.description,
            "columns": self.columns,
            "sort": [[self.sort, self.direction()]],
            "grid": {},
            "hideChart": false,
            "isTextBasedQuery": false,
            "timeRestore": false,
            "usesAdHocDataView": false,
            "kibanaSavedObjectMeta": { "searchSourceJSON": source.to_string() },
        })
    }
}

/// What a search calls its data view.
pub(crate) const INDEX_REFERENCE: &str = "kibanaSavedObjectMeta.searchSourceJSON.index";
