//! Which fields are used, and what for: what a mapping must allow.

use crate::{Filter, View};

/// What is done with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Compared with a value.
    Equal,
    /// Compared with a number.
    NumberRange,
    /// Compared with an instant.
    TimeRange,
    /// Asked whether it is there.
    Exists,
    /// Cut into intervals of time.
    Intervals,
    /// Grouped by value.
    Values,
    /// Added up.
    Sum,
    /// Its least or largest value.
    Extreme,
    /// Its percentiles.
    Percentile,
    /// Its different values are counted.
    Distinct,
    /// Shown.
    Display,
    /// Sorted by.
    Sort,
    /// Shown as a number with a unit.
    NumberFormat,
    /// Shown as a link.
    Link,
}

/// One use of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldUse {
    /// By whom: the panel, the search or the data view.
    pub by: String,
    /// Where the field is.
    pub view: View,
    /// Its dotted path.
    pub field: &'static str,
    /// What for.
    pub role: Role,
}

impl FieldUse {
    /// The uses of a filter.
    pub(crate) fn of_filter<'a>(
        by: &'a str,
        view: View,
        filter: &Filter,
    ) -> impl Iterator<Item = Self> + use<'a> {
        let fields = filter.fields().into_iter();
        fields.map(move |(field, role)| Self { by: by.to_owned(), view, field, role })
    }
}
