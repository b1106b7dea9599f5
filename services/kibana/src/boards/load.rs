//! Load test: latency and throughput, by the label `load_test_type`. What has no label is everyone else's.

use super::metric;
use crate::{
    Bucket, Chart, Control, Dashboard, Filter, Measure, Metric, Order, Panel, Row, Values, View,
};

pub(super) fn dashboard() -> Dashboard {
    let control = |title, field| Control { title, view: View::Metrics, field };
    Dashboard {
        id: "load-test",
        title: "Load test",
        description: "How fast orders are taken and folded, as the servers see it, by the load test that placed them.",
        from: "now-1h",
        refresh_seconds: 10,
        controls: vec![
            control("Load test", "load_test_type"),
            control("Process", "service.node.name"),
        ],
        rows: vec![
            Row::of(12, vec![load_tests()]),
            Row::of(14, vec![place_latency_over_time(), place_latency_by_test()]),
            Row::of(14, vec![throughput(), failures_over_time()]),
            Row::of(12, vec![streamed_orders(), streamed_latency_over_time()]),
            Row::of(16, vec![state_updates()]),
        ],
    }
}

const fn latency(label: &'static str, percent: u8) -> Metric {
    Metric::of(label, Measure::Percentile("latency_seconds", percent))
}

/// By load test; so many of them.
const fn by_load_test(size: u32, order: Order) -> Bucket {
    let values = Values::of("load_test_type", "Load test", size);
    Bucket::Values(Values { missing: true, order, ..values })
}

/// More lines than this can't be told apart.
const LINES: u32 = 12;

/// More load tests than a process tells apart.
const ROWS: u32 = 100;

/// As long as some intervals of measuring: a shorter one would have all calls of one, and the next none.
const SOME_TIME: Bucket = Bucket::Every("30s");

/// How many, how many of them failed, and how long they took.
fn by_test(id: &'static str, title: &'static str, filter: Filter, counted: &'static str) -> Panel {
    Panel {
        id,
        title,
        view: View::Metrics,
        filter,
        chart: Chart::Table,
        buckets: vec![by_load_test(ROWS, Order::Largest(0))],
        metrics: vec![
            Metric::of(counted, Measure::Sum("count")),
            Metric::of("Failed", Measure::Sum("count"))
                .only(Filter::Is("event.outcome", "failure")),
            latency("p50", 50),
            latency("p95", 95),
            latency("p99", 99),
            Metric::of("Longest", Measure::Max("latency_max_seconds")),
        ],
    }
}

fn latency_over_time(id: &'static str, title: &'static str, filter: Filter) -> Panel {
    Panel {
        id,
        title,
        view: View::Metrics,
        filter,
        chart: Chart::Line,
        buckets: vec![Bucket::Time],
        metrics: vec![latency("p50", 50), latency("p95", 95), latency("p99", 99)],
    }
}

fn load_tests() -> Panel {
    by_test("load-tests", "PlaceOrder by load test", metric("PlaceOrder"), "Calls")
}

fn place_latency_over_time() -> Panel {
    latency_over_time(
        "place-latency-over-time",
        "PlaceOrder: p50, p95 and p99",
        metric("PlaceOrder"),
    )
}

/// Apart from the calls: an order in a stream also waits for those before it.
fn streamed_orders() -> Panel {
    let title = "Orders in PlaceOrders streams, by load test";
    by_test("streamed-orders", title, metric("PlaceOrders"), "Orders")
}

fn streamed_latency_over_time() -> Panel {
    let title = "Orders in PlaceOrders streams: p50, p95 and p99";
    latency_over_time("streamed-latency-over-time", title, metric("PlaceOrders"))
}

fn place_latency_by_test() -> Panel {
    Panel {
        id: "place-latency-by-test",
        title: "PlaceOrder: p95 by load test",
        view: View::Metrics,
        filter: metric("PlaceOrder"),
        chart: Chart::Line,
        buckets: vec![by_load_test(LINES, Order::Alphabetical), Bucket::Time],
        metrics: vec![latency("p95", 95)],
    }
}

fn throughput() -> Panel {
    Panel {
        id: "throughput",
        title: "PlaceOrder: calls a second by load test",
        view: View::Metrics,
        filter: metric("PlaceOrder"),
        chart: Chart::Line,
        buckets: vec![by_load_test(LINES, Order::Largest(0)), SOME_TIME],
        metrics: vec![Metric::of("Calls a second", Measure::Sum("count")).per_second()],
    }
}

fn failures_over_time() -> Panel {
    Panel {
        id: "place-failures",
        title: "PlaceOrder: calls that failed",
        view: View::Metrics,
        filter: Filter::All(vec![metric("PlaceOrder"), Filter::Is("event.outcome", "failure")]),
        chart: Chart::Bars,
        buckets: vec![by_load_test(LINES, Order::Largest(0)), SOME_TIME],
        metrics: vec![Metric::of("Failed", Measure::Sum("count"))],
    }
}

fn state_updates() -> Panel {
    Panel {
        id: "state-updates",
        title: "From an event's appending to its commit, by load test and state",
        view: View::Metrics,
        filter: metric("state_update"),
        chart: Chart::Table,
        buckets: vec![
            by_load_test(ROWS, Order::Largest(0)),
            Bucket::Values(Values::of("state", "State", 12)),
        ],
        metrics: vec![
            Metric::of("Events", Measure::Sum("count")),
            latency("p50", 50),
            latency("p95", 95),
            latency("p99", 99),
            Metric::of("Longest", Measure::Max("latency_max_seconds")),
        ],
    }
}
