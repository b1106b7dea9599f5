//! Fulfilment times: how long orders stay in each state, and which are the slowest.

use events::State;

use crate::{
    Bucket, Chart, Control, Dashboard, Filter, Measure, Metric, Order, Panel, Row, Values, View,
};

pub(super) fn dashboard() -> Dashboard {
    let control = |title, field| Control { title, view: View::Transitions, field };
    Dashboard {
        id: "fulfilment-times",
        title: "Fulfilment times",
        description: "How long orders were in the states that they left in the chosen time.",
        from: "now-30d",
        refresh_seconds: 60,
        controls: vec![
            control("Region", "region"),
            control("Gateway", "payment.gateway"),
            control("State", "from"),
        ],
        rows: vec![
            Row::of(16, vec![times_in_states(), times_in_states_bars()]),
            Row::of(14, vec![times_over_time()]),
            Row::of(16, vec![delivery_by_region(), slowest_orders()]),
        ],
    }
}

/// Transitions that left a state.
const LEFT: Filter = Filter::Exists("seconds_in_from");

const fn seconds(label: &'static str, percent: u8) -> Metric {
    Metric::of(label, Measure::Percentile("seconds_in_from", percent))
}

fn times_in_states() -> Panel {
    Panel {
        id: "times-in-states",
        title: "Time in each state",
        view: View::Transitions,
        filter: LEFT,
        chart: Chart::Table,
        buckets: vec![Bucket::Values(Values::of("from", "State", 12))],
        metrics: vec![
            Metric::count("Stays"),
            seconds("Half are shorter (p50)", 50),
            seconds("19 of 20 are shorter (p95)", 95),
            Metric::of("Longest", Measure::Max("seconds_in_from")),
        ],
    }
}

fn times_in_states_bars() -> Panel {
    let state = Values { order: Order::Alphabetical, ..Values::of("from", "State", 12) };
    Panel {
        id: "times-in-states-bars",
        title: "Time in each state, p50 and p95",
        view: View::Transitions,
        filter: LEFT,
        chart: Chart::LyingBars,
        buckets: vec![Bucket::Values(state)],
        metrics: vec![seconds("p50", 50), seconds("p95", 95)],
    }
}

fn times_over_time() -> Panel {
    let state = Values { order: Order::Alphabetical, ..Values::of("from", "State", 12) };
    Panel {
        id: "times-over-time",
        title: "p95 of the time in a state, by when it was left",
        view: View::Transitions,
        filter: LEFT,
        chart: Chart::Line,
        buckets: vec![Bucket::Values(state), Bucket::Time],
        metrics: vec![seconds("p95", 95)],
    }
}

fn delivery_by_region() -> Panel {
    Panel {
        id: "delivery-by-region",
        title: "On the road until delivered, by region",
        view: View::Transitions,
        filter: Filter::All(vec![
            Filter::state("from", State::Shipped),
            Filter::state("to", State::Delivered),
            LEFT,
        ]),
        chart: Chart::Table,
        buckets: vec![Bucket::Values(Values::of("region", "Region", 20))],
        metrics: vec![
            Metric::count("Parcels"),
            seconds("p50", 50),
            seconds("p95", 95),
            Metric::of("Longest", Measure::Max("seconds_in_from")),
        ],
    }
}

/// The stays of an order add up to how long it has been since it was placed, until it last moved.
fn slowest_orders() -> Panel {
    Panel {
        id: "slowest-orders",
        title: "Slowest orders",
        view: View::Transitions,
        filter: LEFT,
        chart: Chart::Table,
        buckets: vec![Bucket::Values(Values::of("order_id", "Order", 20))],
        metrics: vec![
            Metric::of("Time in all states", Measure::Sum("seconds_in_from")),
            Metric::of("Longest stay", Measure::Max("seconds_in_from")),
            Metric::count("Stays"),
        ],
    }
}
