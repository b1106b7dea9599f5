//! The one JSON document of a run.

use std::io::{self, Write};

use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

use super::{Calls, QUANTILES, Report, rate};
use crate::{cli::Wait, load::plan::Pace};

/// Writes it in one line.
pub(in crate::load) fn write(report: &Report<'_>, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}", document(report))
}

fn document(report: &Report<'_>) -> Value {
    let Report { plan, tally, ended_early, placed_instead } = report;
    let calls = tally.by_kind.iter().map(|(kind, calls)| {
        let mut call = Map::from_iter([("call".to_owned(), Value::from(kind.name()))]);
        call.extend(counts(report, calls));
        Value::from(call)
    });
    let failures = tally.failures.iter().map(|(cause, seen)| {
        json!({
            "call": cause.kind.name(),
            "code": cause.code,
            "reason": cause.reason,
            "count": seen.count,
            "message": seen.message,
        })
    });
    json!({
        "run_id": plan.run_id,
        "load_test_type": plan.load_test_type,
        "began_at": plan.began_at.to_rfc3339(),
        "settings": settings(report),
        "seconds": tally.measured.as_secs_f64(),
        "ended_early": ended_early,
        "answered": tally.answered(),
        "failed": tally.failed(),
        "not_started": tally.not_started(),
        "held_up": tally.held_up,
        "per_second": rate(tally.answered(), tally.measured),
        "warm_up": { "answered": tally.warm_up_answered, "failed": tally.warm_up_failed },
        "orders_placed": tally.placed,
        "placed_instead": placed_instead,
        "calls": calls.collect::<Vec<_>>(),
        "failures": failures.collect::<Vec<_>>(),
    })
}

fn settings(report: &Report<'_>) -> Value {
    let plan = report.plan;
    let (loop_name, rate, callers, in_flight_max) = match plan.pace {
        Pace::Rate { per_second, in_flight_max } => {
            ("open", Some(per_second), None, Some(in_flight_max))
        }
        Pace::Callers(callers) => ("closed", None, Some(callers), None),
    };
    let wait = match plan.wait {
        Wait::Logged => "logged",
        Wait::Applied => "applied",
    };
    let mix: Map<String, Value> =
        plan.mix.weights().map(|(kind, weight)| (kind.name().to_owned(), weight.into())).collect();
    json!({
        "server": plan.server,
        "timeout_seconds": plan.timeout.as_secs(),
        "loop": loop_name,
        "rate": rate,
        "in_flight_max": in_flight_max,
        "callers": callers,
        "duration_seconds": plan.duration.as_secs_f64(),
        "warm_up_seconds": plan.warm_up.as_secs_f64(),
        "mix": mix,
        "streams": plan.streams,
        "wait": wait,
        "connections": plan.connections,
        "customers": plan.customers,
        "seed": plan.seed,
    })
}

fn counts(report: &Report<'_>, calls: &Calls) -> Map<String, Value> {
    let corrected = if report.is_open() { times(&calls.corrected) } else { Value::Null };
    Map::from_iter([
        ("answered".to_owned(), calls.answered.into()),
        ("failed".to_owned(), calls.failed.into()),
        ("not_started".to_owned(), calls.not_started.into()),
        ("per_second".to_owned(), rate(calls.answered, report.tally.measured).into()),
        ("corrected_us".to_owned(), corrected),
        ("uncorrected_us".to_owned(), times(&calls.uncorrected)),
    ])
}

/// Microseconds.
fn times(of: &Histogram<u64>) -> Value {
    let mut times = Map::from_iter([
        ("count".to_owned(), of.len().into()),
        ("mean".to_owned(), of.mean().into()),
    ]);
    let quantiles = QUANTILES.into_iter();
    times.extend(
        quantiles.map(|(name, quantile)| (name.to_owned(), of.value_at_quantile(quantile).into())),
    );
    Value::from(times)
}
