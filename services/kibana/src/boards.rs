//! The dashboards.

mod health;
mod load;
mod orders;
mod times;

use crate::{Dashboard, Filter};

/// Every dashboard.
#[must_use]
pub fn dashboards() -> Vec<Dashboard> {
    vec![orders::dashboard(), times::dashboard(), load::dashboard(), health::dashboard()]
}

/// Transitions with which an order came into a state: the first, and those that left another state.
fn entered() -> Filter {
    Filter::All(vec![
        Filter::Is("event.outcome", "success"),
        Filter::Any(vec![Filter::Exists("seconds_in_from"), Filter::lacks("from")]),
    ])
}

/// Measurements of this kind.
fn metric(name: &'static str) -> Filter {
    Filter::Is("metric", name)
}
