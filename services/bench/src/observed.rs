//! What watching the order path costs: metrics, measures and traces are made as in the product, and spans thrown away instead
//! of sent.

use std::{process::Stdio, sync::OnceLock};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use opentelemetry::global;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{Sampler, SdkTracerProvider, SpanData, SpanExporter},
};
use ports::Measures;
use tokio::process::Command;

use crate::{Failure, Row};

/// Whether this process watches what it does.
static WATCHED: OnceLock<()> = OnceLock::new();

/// Records metrics and measures from now on, as long as the process lives.
pub(crate) fn record() -> Result<(), Failure> {
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &[0.001, 0.01, 0.1, 1.0])?
        .set_buckets_for_metric(Matcher::Suffix("_records".to_owned()), &[1.0, 64.0, 4096.0])?
        .install_recorder()?;
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(std::time::Duration::from_secs(5)).await;
            recorder.run_upkeep();
        }
    });
    WATCHED.get_or_init(|| ());
    Ok(())
}

/// What the roles are given to measure with.
pub(crate) fn measures() -> Measures {
    WATCHED.get().map_or_else(Measures::default, |()| Measures::on())
}

/// Begins a trace for so many of the calls that bring none, as long as the process lives.
pub(crate) fn follow(ratio: f64) {
    let provider = SdkTracerProvider::builder()
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
        .with_batch_exporter(Discard)
        .build();
    global::set_tracer_provider(provider);
    let (topic_prefix, index_prefix) = (String::new(), String::new());
    trace::start(trace::Settings {
        ratio,
        log: "kafka",
        index: "elasticsearch",
        topic_prefix,
        index_prefix,
    });
}

/// A collector that is there at once.
#[derive(Debug)]
struct Discard;

impl SpanExporter for Discard {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        Ok(())
    }
}

/// How often each way is measured; the medians are compared.
const ROUNDS: usize = 3;

/// Calls that are followed: what the product does by default.
const RATIO: &str = "0.01";

/// Placing and folding, watched and not, in turns and in processes of their own: what is recorded can't be stopped.
pub(crate) async fn observed(
    callers: usize,
    seconds: u64,
    orders: usize,
) -> Result<Vec<Row>, Failure> {
    let with: &[&str] = &["--traces", RATIO];
    let without: &[&str] = &["--unobserved"];
    let (mut watched, mut alone) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        for (flags, rates) in [(without, &mut alone), (with, &mut watched)] {
            rates.push(run(flags, callers, seconds, orders).await?);
        }
    }
    let row = |what: &str, which: fn(&Rates) -> f64| Row {
        what: format!("{what}, with metrics and one of a hundred calls traced"),
        per_second: median(watched.iter().map(which)),
        latency: None,
        limit: "without either".to_owned(),
        limit_per_second: median(alone.iter().map(which)),
    };
    Ok(vec![row("`PlaceOrder`", |rates| rates.placed), row("events folded", |rates| rates.folded)])
}

struct Rates {
    placed: f64,
    folded: f64,
}

async fn run(
    flags: &[&str],
    callers: usize,
    seconds: u64,
    orders: usize,
) -> Result<Rates, Failure> {
    let output = Command::new(std::env::current_exe()?)
        .args(["unary", "folded", "--rates"])
        .args(["--callers", &callers.to_string(), "--seconds", &seconds.to_string()])
        .args(["--orders", &orders.to_string()])
        .args(flags)
        .stderr(Stdio::inherit())
        .output()
        .await?;
    let text = String::from_utf8(output.stdout)?;
    let rates: Vec<f64> = text.lines().map(str::parse).collect::<Result<_, _>>()?;
    match rates[..] {
        [placed, folded] => Ok(Rates { placed, folded }),
        _ => Err(format!("two rates were to come: {text}").into()),
    }
}

fn median(rates: impl Iterator<Item = f64>) -> f64 {
    let mut rates: Vec<_> = rates.collect();
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or_default()
}
