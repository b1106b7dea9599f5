//! Every field that a data view, a search or a panel names.

use std::collections::BTreeSet;

use kibana::{
    Bucket, Chart, FieldUse, Filter, Measure, Metric, Panel, Role, View, dashboards, searches,
};

use crate::mappings::Mapping;

fn all_uses() -> Vec<FieldUse> {
    let views = View::ALL.into_iter().flat_map(View::uses);
    let searches = searches().into_iter().flat_map(|search| search.uses());
    let dashboards = dashboards().into_iter().flat_map(|dashboard| dashboard.uses());
    views.chain(searches).chain(dashboards).collect()
}

fn panels() -> Vec<Panel> {
    dashboards().iter().flat_map(|dashboard| dashboard.panels().cloned()).collect()
}

#[test]
fn every_field_is_there_and_of_a_type_that_allows_its_use() {
    let uses = all_uses();
    let wrong: Vec<_> =
        uses.iter().filter_map(|used| Mapping::of(used.view).check(used).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let views: BTreeSet<_> = uses.iter().map(|used| used.view).collect();
    assert_eq!(views, View::ALL.into());
}

/// The check itself, on fields that must not be used like that.
#[test]
fn a_wrong_field_is_found_out() {
    for (view, field, role, why) in [
        (View::Orders, "stat", Role::Values, "is not there"),
        (View::Orders, "customer", Role::Display, "is object"),
        (View::Orders, "shipping_address", Role::Values, "is text"),
        (View::Orders, "customer.name", Role::Equal, "is text"),
        (View::Orders, "lines.sku", Role::Values, "is nested"),
        (View::Orders, "lines", Role::Display, "is nested"),
        (View::Orders, "state", Role::Sum, "is keyword"),
        (View::Orders, "state", Role::Percentile, "is keyword"),
        (View::Orders, "entered_at", Role::Sum, "is date"),
        (View::Orders, "total_minor", Role::Intervals, "is long"),
        (View::Orders, "seconds_in_state.Lost", Role::Extreme, "is not there"),
        (View::Transitions, "seconds_in_from", Role::TimeRange, "is double"),
        (View::Transitions, "seconds_in_from", Role::Values, "is double"),
        (View::Transitions, "region.text", Role::Sort, "is text"),
        (View::Metrics, "latency_seconds", Role::Sum, "is histogram"),
        (View::Metrics, "latency_seconds", Role::Exists, "is histogram"),
        (View::Metrics, "latency_seconds", Role::Extreme, "is histogram"),
    ] {
        let used = FieldUse { by: "someone".to_owned(), view, field, role };
        let told = Mapping::of(view).check(&used).expect_err(field);
        assert!(told.contains(why) && told.contains(field), "{told}");
    }
    let right = [(View::Orders, "customer.name.keyword", Role::Values)];
    for (view, field, role) in right {
        let used = FieldUse { by: "someone".to_owned(), view, field, role };
        Mapping::of(view).check(&used).unwrap();
    }
}

/// A panel's filters, groups, measures and their filters are all looked at.
#[test]
fn no_part_of_a_panel_is_overlooked() {
    let panel = Panel {
        id: "sample",
        title: "Sample",
        view: View::Orders,
        filter: Filter::Exists("a"),
        chart: Chart::Table,
        buckets: vec![
            Bucket::Time,
            Bucket::Values(kibana::Values::of("b", "B", 1)),
            Bucket::Filters("C", vec![("c", Filter::Is("c", "1"))]),
        ],
        metrics: vec![Metric::of("D", Measure::Sum("d")).only(Filter::Above("e", 1))],
    };
    let fields: Vec<_> = panel.uses().iter().map(|used| (used.field, used.role)).collect();
    assert_eq!(
        fields,
        [
            ("@timestamp", Role::TimeRange),
            ("a", Role::Exists),
            ("@timestamp", Role::Intervals),
            ("b", Role::Values),
            ("c", Role::Equal),
            ("d", Role::Sum),
            ("e", Role::NumberRange),
        ]
    );
}

#[test]
fn amounts_are_added_up_within_one_currency_alone() {
    let mut seen = 0;
    for panel in panels() {
        let is_amount = |metric: &&Metric| {
            metric.measure.field().is_some_and(|(field, _)| field.ends_with("_minor"))
        };
        if panel.metrics.iter().find(is_amount).is_some() {
            let by_currency = panel.buckets.iter().any(
                |bucket| matches!(bucket, Bucket::Values(values) if values.field == "currency"),
            );
            assert!(by_currency, "{} adds pesos to dollars", panel.id);
            seen += 1;
        }
    }
    assert!(seen > 0, "no panel shows amounts");
}

#[test]
fn panels_can_be_drawn() {
    for panel in panels() {
        let (buckets, metrics) = (panel.buckets.len(), panel.metrics.len());
        let has_time = panel.buckets.iter().any(Bucket::is_time);
        let fits = match panel.chart {
            Chart::Number => (buckets, metrics) == (0, 1),
            Chart::Line | Chart::Bars => {
                has_time && (buckets == 1 || (buckets == 2 && metrics == 1))
            }
            Chart::LyingBars => !has_time && (buckets == 1 || (buckets == 2 && metrics == 1)),
            Chart::Donut => !has_time && buckets > 0 && metrics == 1,
            Chart::Table => buckets > 0 && metrics > 0,
        };
        assert!(fits, "{} can't be drawn", panel.id);
        for bucket in &panel.buckets {
            if let Bucket::Values(values) = bucket
                && let kibana::Order::Largest(n) = values.order
            {
                let metric = &panel.metrics[n];
                let orders = metric.filter == Filter::Everything
                    && !matches!(metric.measure, Measure::Percentile(..));
                assert!(orders, "{}: {} can't order groups", panel.id, metric.label);
            }
        }
    }
}
