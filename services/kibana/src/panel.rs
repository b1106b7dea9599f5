//! A panel: which documents, grouped by what, and what is measured of each group.

use crate::{FieldUse, Filter, Role, View};

/// One chart, table or number.
#[derive(Clone, Debug)]
pub struct Panel {
    /// Unique among all panels.
    pub id: &'static str,
    /// What people read above it.
    pub title: &'static str,
    /// Where its documents are.
    pub view: View,
    /// Which of them count.
    pub filter: Filter,
    /// How it is drawn.
    pub chart: Chart,
    /// Groups, the outermost first.
    pub buckets: Vec<Bucket>,
    /// What is told of each innermost group.
    pub metrics: Vec<Metric>,
}

/// How a panel is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chart {
    /// One large number.
    Number,
    /// Lines over time.
    Line,
    /// Upright bars over time, groups on top of each other.
    Bars,
    /// A lying bar a group, the inner groups one after another.
    LyingBars,
    /// A ring for each level of groups.
    Donut,
    /// Rows of text and numbers.
    Table,
}

/// How documents are grouped.
#[derive(Clone, Debug)]
pub enum Bucket {
    /// By intervals of the view's time field, as long as suits the time that is shown.
    Time,
    /// By intervals of this length, such as `30s`; Kibana takes longer ones where these would be too many to be drawn.
    Every(&'static str),
    /// By the values of a field.
    Values(Values),
    /// By filters with names; a document may be in several groups.
    Filters(&'static str, Vec<(&'static str, Filter)>),
}

/// Groups by the values of a field.
#[derive(Clone, Debug)]
pub struct Values {
    /// The field.
    pub field: &'static str,
    /// What people read.
    pub label: &'static str,
    /// So many groups at most, the first in their order.
    pub size: u32,
    /// In which order.
    pub order: Order,
    /// Whether documents without a value are a group too.
    pub missing: bool,
    /// Whether the values are numbers.
    pub numbers: bool,
}

/// The order of groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By value, the first of the alphabet first.
    Alphabetical,
    /// By this one of the panel's metrics, the largest first. A percentile can't be ordered by.
    Largest(usize),
}

/// What is told of a group.
#[derive(Clone, Debug)]
pub struct Metric {
    /// What people read.
    pub label: &'static str,
    /// What is measured.
    pub measure: Measure,
    /// Of which documents of the group.
    pub filter: Filter,
    /// Whether it is divided by the seconds of the interval, where there is one.
    pub per_second: bool,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// How many documents.
    Count,
    /// The sum of a field.
    Sum(&'static str),
    /// The least value of a field of numbers.
    Min(&'static str),
    /// The earliest instant of a field.
    Earliest(&'static str),
    /// The largest value of a field.
    Max(&'static str),
    /// A percentile of a field.
    Percentile(&'static str, u8),
    /// How many different values a field has; about, beyond some thousands.
    Distinct(&'static str),
}

impl Bucket {
    /// Whether it groups by time.
    #[must_use]
    pub const fn is_time(&self) -> bool {
        matches!(self, Self::Time | Self::Every(_))
    }
}

impl Values {
    /// The largest groups by the first metric, without those that lack the field.
    #[must_use]
    pub const fn of(field: &'static str, label: &'static str, size: u32) -> Self {
        Self { field, label, size, order: Order::Largest(0), missing: false, numbers: false }
    }
}

impl Metric {
    /// How many documents.
    #[must_use]
    pub const fn count(label: &'static str) -> Self {
        Self::of(label, Measure::Count)
    }

    /// Of every document of the group.
    #[must_use]
    pub const fn of(label: &'static str, measure: Measure) -> Self {
        Self { label, measure, filter: Filter::Everything, per_second: false }
    }

    /// The same, of some documents.
    #[must_use]
    pub fn only(self, filter: Filter) -> Self {
        Self { filter, ..self }
    }

    /// The same, a second.
    #[must_use]
    pub fn per_second(self) -> Self {
        Self { per_second: true, ..self }
    }
}

impl Measure {
    /// The field, and what is done with it.
    #[must_use]
    pub const fn field(self) -> Option<(&'static str, Role)> {
        match self {
            Self::Count => None,
            Self::Sum(field) => Some((field, Role::Sum)),
            Self::Min(field) | Self::Earliest(field) | Self::Max(field) => {
                Some((field, Role::Extreme))
            }
            Self::Percentile(field, _) => Some((field, Role::Percentile)),
            Self::Distinct(field) => Some((field, Role::Distinct)),
        }
    }
}

impl Panel {
    /// Every field that the panel names. Its time field is among them: Kibana's choice of time goes by it.
    #[must_use]
    pub fn uses(&self) -> Vec<FieldUse> {
        let of = |field, role| FieldUse { by: self.place(), view: self.view, field, role };
        let mut uses = vec![of(self.view.time_field(), Role::TimeRange)];
        let place = self.place();
        uses.extend(FieldUse::of_filter(&place, self.view, &self.filter));
        for bucket in &self.buckets {
            match bucket {
                Bucket::Time | Bucket::Every(_) => {
                    uses.push(of(self.view.time_field(), Role::Intervals))
                }
                Bucket::Values(values) => uses.push(of(values.field, Role::Values)),
                Bucket::Filters(_, filters) => {
                    let all = filters.iter().map(|(_, filter)| filter);
                    uses.extend(all.flat_map(|f| FieldUse::of_filter(&place, self.view, f)));
                }
            }
        }
        for metric in &self.metrics {
            uses.extend(metric.measure.field().map(|(field, role)| of(field, role)));
            uses.extend(FieldUse::of_filter(&place, self.view, &metric.filter));
        }
        uses
    }

    fn place(&self) -> String {
        format!("panel {}", self.id)
    }
}
