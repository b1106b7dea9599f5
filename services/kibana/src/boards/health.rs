//! Pipeline health: how far behind, what could not be read, what was rejected, what was not mailed.
//!
//! Every process measures the same store: what is taken of gauges is their largest value, never a sum.

use super::metric;
use crate::{Bucket, Chart, Dashboard, Filter, Measure, Metric, Order, Panel, Row, Values, View};

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        id: "pipeline-health",
        title: "Pipeline health",
        description: "Whether the pipeline keeps up: lag, dead letters, rejected events, mails.",
        from: "now-3h",
        refresh_seconds: 10,
        controls: Vec::new(),
        rows: vec![
            Row::of(14, vec![lag_records(), lag_seconds()]),
            Row::of(14, vec![update_latency(), dead_letters()]),
            Row::of(14, vec![mails(), mails_pending()]),
            Row::of(14, vec![rejections_over_time(), rejections()]),
            Row::search("rejected-events"),
            Row::search("failed-deliveries"),
        ],
    }
}

/// A gauge over time, a line a value of a field.
fn gauge(
    id: &'static str,
    title: &'static str,
    filter: Filter,
    by: Values,
    measured: Metric,
) -> Panel {
    Panel {
        id,
        title,
        view: View::Metrics,
        filter,
        chart: Chart::Line,
        buckets: vec![Bucket::Values(by), Bucket::Time],
        metrics: vec![measured],
    }
}

/// The partitions that are furthest behind.
const fn partitions() -> Values {
    Values { numbers: true, ..Values::of("partition", "Partition", 24) }
}

fn lag_records() -> Panel {
    let lag = Metric::of("Records", Measure::Max("lag_records"));
    gauge(
        "lag-records",
        "Records to be folded, by partition",
        metric("partition"),
        partitions(),
        lag,
    )
}

fn lag_seconds() -> Panel {
    let lag = Metric::of("Behind", Measure::Max("lag_seconds"));
    gauge("lag-seconds", "How far behind, by partition", metric("partition"), partitions(), lag)
}

fn dead_letters() -> Panel {
    let open = Metric::of("Dead letters", Measure::Max("dead_letters_open"));
    let consumer = Values::of("consumer", "Consumer", 4);
    gauge("dead-letters", "Open dead letters", metric("consumers"), consumer, open)
}

fn update_latency() -> Panel {
    let latency =
        |label, percent| Metric::of(label, Measure::Percentile("latency_seconds", percent));
    Panel {
        id: "update-latency",
        title: "From an event's appending to its commit: p50, p95 and p99",
        view: View::Metrics,
        filter: metric("state_update"),
        chart: Chart::Line,
        buckets: vec![Bucket::Time],
        metrics: vec![latency("p50", 50), latency("p95", 95), latency("p99", 99)],
    }
}

fn mailer() -> Filter {
    Filter::All(vec![metric("consumers"), Filter::Is("consumer", "mailer")])
}

fn mails() -> Panel {
    Panel {
        id: "mails",
        title: "Mails sent, and given up",
        view: View::Metrics,
        filter: mailer(),
        chart: Chart::Bars,
        buckets: vec![Bucket::Every("30s")],
        metrics: vec![
            Metric::of("Sent", Measure::Sum("mails_sent")),
            Metric::of("Failed", Measure::Sum("mails_failed")),
        ],
    }
}

fn mails_pending() -> Panel {
    Panel {
        id: "mails-pending",
        title: "Mails that are to be sent",
        view: View::Metrics,
        filter: mailer(),
        chart: Chart::Line,
        buckets: vec![Bucket::Time],
        metrics: vec![Metric::of("Pending", Measure::Max("mails_pending"))],
    }
}

fn rejected() -> Filter {
    Filter::Is("event.outcome", "failure")
}

fn rejections_over_time() -> Panel {
    Panel {
        id: "rejections-over-time",
        title: "Rejected events, by reason",
        view: View::Transitions,
        filter: rejected(),
        chart: Chart::Bars,
        buckets: vec![Bucket::Values(Values::of("rejection", "Reason", 12)), Bucket::Time],
        metrics: vec![Metric::count("Events")],
    }
}

fn rejections() -> Panel {
    let action = Values { order: Order::Alphabetical, ..Values::of("event.action", "Event", 12) };
    Panel {
        id: "rejections",
        title: "Which events are rejected, and why",
        view: View::Transitions,
        filter: rejected(),
        chart: Chart::Table,
        buckets: vec![
            Bucket::Values(action),
            Bucket::Values(Values::of("rejection", "Reason", 12)),
        ],
        metrics: vec![Metric::count("Events"), Metric::of("Orders", Measure::Distinct("order_id"))],
    }
}
