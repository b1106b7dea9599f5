//! How long an order was in the states that it has left.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::State;

/// Microseconds by state, of the states that were left; several stays in one add up. It is made of nothing but when events
/// say that they happened: one that says it happened before the one that it follows adds no time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimeSpent(BTreeMap<State, u64>);

impl TimeSpent {
    /// So long in each of these.
    #[must_use]
    pub fn new(micros: impl IntoIterator<Item = (State, u64)>) -> Self {
        Self(micros.into_iter().collect())
    }

    /// The states that were left, in their order, and the microseconds in each.
    pub fn micros(&self) -> impl Iterator<Item = (State, u64)> {
        self.0.iter().map(|(state, micros)| (*state, *micros))
    }

    /// Adds a stay.
    pub(crate) fn add(&mut self, state: State, entered: DateTime<Utc>, left: DateTime<Utc>) {
        let total = self.0.entry(state).or_default();
        *total = total.saturating_add(micros_between(entered, left));
    }
}

/// The microseconds from one instant to another; none if that is the earlier one.
#[must_use]
pub fn micros_between(from: DateTime<Utc>, until: DateTime<Utc>) -> u64 {
    let micros = until.signed_duration_since(from).num_microseconds();
    micros.and_then(|micros| u64::try_from(micros).ok()).unwrap_or(0)
}
