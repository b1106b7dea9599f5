//! Orders: how many, where they stand, where they come from, what they are worth.

use events::State;

use super::entered;
use crate::{
    Bucket, Chart, Control, Dashboard, Filter, Measure, Metric, Order, Panel, Row, Values, View,
    search::MOVING,
};

pub(super) fn dashboard() -> Dashboard {
    let control = |title, field| Control { title, view: View::Orders, field };
    Dashboard {
        id: "orders",
        title: "Orders",
        description: "Orders placed in the chosen time, as they stand now; states over time and the funnel count what \
                      happened in it.",
        from: "now-30d",
        refresh_seconds: 60,
        controls: vec![
            control("Region", "region"),
            control("Gateway", "payment.gateway"),
            control("Currency", "currency"),
        ],
        rows: vec![
            Row::of(6, numbers()),
            Row::of(14, vec![states_over_time()]),
            Row::of(16, vec![where_orders_stand(), funnel()]),
            Row::of(16, vec![regions(), gateways_and_banks()]),
            Row::of(12, vec![value_by_currency(), longest_waiting()]),
            Row::search("stuck-orders"),
        ],
    }
}

fn numbers() -> Vec<Panel> {
    let number = |id, title, filter| Panel {
        id,
        title,
        view: View::Orders,
        filter,
        chart: Chart::Number,
        buckets: Vec::new(),
        metrics: vec![Metric::count(title)],
    };
    vec![
        number("orders-placed", "Orders placed", Filter::Everything),
        number("orders-moving", "Under way", Filter::states("state", &MOVING)),
        number("orders-anomalous", "With facts that did not fit", Filter::Above("anomalies", 0)),
    ]
}

fn states_over_time() -> Panel {
    Panel {
        id: "states-over-time",
        title: "Orders that came into a state, over time",
        view: View::Transitions,
        filter: entered(),
        chart: Chart::Bars,
        buckets: vec![Bucket::Values(Values::of("to", "State", 12)), Bucket::Time],
        metrics: vec![Metric::count("Orders")],
    }
}

fn where_orders_stand() -> Panel {
    Panel {
        id: "where-orders-stand",
        title: "Where orders stand",
        view: View::Orders,
        filter: Filter::Everything,
        chart: Chart::LyingBars,
        buckets: vec![Bucket::Values(Values::of("state", "State", 12))],
        metrics: vec![Metric::count("Orders")],
    }
}

/// Each order once a stage, however often it came there, and if the stream has a transition twice.
fn funnel() -> Panel {
    let stages = [
        ("1 Placed", State::Placed),
        ("2 Paid", State::Paid),
        ("3 Preparing", State::Preparing),
        ("4 Shipped", State::Shipped),
        ("5 Delivered", State::Delivered),
        ("6 Completed", State::Completed),
    ];
    let stages = stages.map(|(label, state)| (label, Filter::state("to", state)));
    Panel {
        id: "funnel",
        title: "Funnel: orders that came this far",
        view: View::Transitions,
        filter: entered(),
        chart: Chart::LyingBars,
        buckets: vec![Bucket::Filters("Came to", stages.into())],
        metrics: vec![Metric::of("Orders", Measure::Distinct("order_id"))],
    }
}

fn regions() -> Panel {
    Panel {
        id: "regions",
        title: "Orders by region and state",
        view: View::Orders,
        filter: Filter::Everything,
        chart: Chart::LyingBars,
        buckets: vec![
            Bucket::Values(Values::of("region", "Region", 20)),
            Bucket::Values(Values::of("state", "State", 12)),
        ],
        metrics: vec![Metric::count("Orders")],
    }
}

fn gateways_and_banks() -> Panel {
    Panel {
        id: "gateways-and-banks",
        title: "Orders by payment gateway and bank",
        view: View::Orders,
        filter: Filter::Everything,
        chart: Chart::Donut,
        buckets: vec![
            Bucket::Values(Values::of("payment.gateway", "Gateway", 10)),
            Bucket::Values(Values { missing: true, ..Values::of("payment.bank", "Bank", 15) }),
        ],
        metrics: vec![Metric::count("Orders")],
    }
}

/// A row a currency: amounts of different currencies have no sum.
fn value_by_currency() -> Panel {
    Panel {
        id: "value-by-currency",
        title: "Value by currency, in minor units",
        view: View::Orders,
        filter: Filter::Everything,
        chart: Chart::Table,
        buckets: vec![Bucket::Values(Values::of("currency", "Currency", 50))],
        metrics: vec![
            Metric::count("Orders"),
            Metric::of("Total", Measure::Sum("total_minor")),
            Metric::of("Captured", Measure::Sum("captured_minor")),
            Metric::of("Refunded", Measure::Sum("refunded_minor")),
            Metric::of("Still to be paid", Measure::Sum("outstanding_minor"))
                .only(Filter::Not(Box::new(Filter::state("state", State::Cancelled)))),
        ],
    }
}

fn longest_waiting() -> Panel {
    let state = Values { order: Order::Alphabetical, ..Values::of("state", "State", 12) };
    Panel {
        id: "longest-waiting",
        title: "States that orders should leave: since when",
        view: View::Orders,
        filter: Filter::states("state", &MOVING),
        chart: Chart::Table,
        buckets: vec![Bucket::Values(state)],
        metrics: vec![
            Metric::count("Orders"),
            Metric::of("The longest there since", Measure::Earliest("entered_at")),
        ],
    }
}
