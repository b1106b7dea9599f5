//! Throughput of the order path on real servers, beside the bare limit of the same machine in the same run.
//!
//! Start it with `infra/bench`. Rates are only comparable within one run; where cores are shared with the servers, look
//! at the last column.

mod folded;
mod indexed;
mod limits;
mod mailed;
mod observed;
mod placed;
mod read;
mod replayed;
mod setup;
mod sink;

use std::{error::Error, io::Write as _, num::NonZeroU32, time::Duration};

use clap::{Parser, ValueEnum};

type Failure = Box<dyn Error + Send + Sync>;

#[derive(Debug, Parser)]
#[command(about = "Throughput beside the bare limits of this machine")]
struct Args {
    /// What to measure; everything if nothing is named
    #[arg(value_enum)]
    measures: Vec<Measure>,
    /// How long to place orders, each way
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    seconds: u64,
    /// Unary calls under way at the same time
    #[arg(long, default_value_t = 256)]
    callers: usize,
    /// Bulk streams under way at the same time
    #[arg(long, default_value_t = 4)]
    streams: usize,
    /// How many watch while orders are placed
    #[arg(long, default_value_t = 1_000)]
    watchers: usize,
    /// How many orders of five events each are folded, and replayed; a fifth of them is indexed
    #[arg(long, default_value_t = 100_000)]
    orders: usize,
    /// How many mails are sent, to each mail server
    #[arg(long, default_value_t = 2_000)]
    mails: usize,
    /// Records a second that the replay beside `PlaceOrder` keeps to
    #[arg(long, value_name = "RECORDS", default_value = "50000")]
    rate: NonZeroU32,
    /// Follow so many of the calls, from 0 to 1; their spans are made, and thrown away instead of sent
    #[arg(long, value_name = "RATIO")]
    traces: Option<f64>,
    /// Record neither metrics nor measures
    #[arg(long, conflicts_with = "traces")]
    unobserved: bool,
    /// Print nothing but the rates, one a line
    #[arg(long)]
    rates: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Measure {
    /// `PlaceOrder`, one order a call, acknowledged by Kafka
    Unary,
    /// `PlaceOrders`, acknowledged by Kafka
    Streamed,
    /// Events, five an order, from Kafka into Postgres
    Folded,
    /// `PlaceOrder` and folding with metrics and traces, beside without
    Observed,
    /// What became of them, from Kafka into Elasticsearch: documents and transitions
    Indexed,
    /// Mails about state changes, from Kafka over Postgres to a mail server
    Mailed,
    /// The same events again, from Kafka into another generation in Postgres
    Replayed,
    /// `PlaceOrder`, while the log is replayed
    Beside,
    /// `GetOrder`, from Postgres
    Got,
    /// `PlaceOrder`, folded, while others watch
    Watched,
}

/// One line of the report.
struct Row {
    what: String,
    per_second: f64,
    latency: Option<placed::Latency>,
    limit: String,
    limit_per_second: f64,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let args = Args::parse();
    let wanted = |measure| args.measures.is_empty() || args.measures.contains(&measure);
    let duration = Duration::from_secs(args.seconds);
    if !args.unobserved {
        observed::record()?;
    }
    if let Some(ratio) = args.traces {
        observed::follow(ratio);
    }
    let mut rows = Vec::new();
    if wanted(Measure::Unary) || wanted(Measure::Streamed) {
        let server = setup::Server::start().await?;
        if wanted(Measure::Unary) {
            rows.push(placed::unary(&server, args.callers, duration).await?);
        }
        if wanted(Measure::Streamed) {
            rows.push(placed::streamed(&server, args.streams, duration).await?);
        }
        server.stop().await?;
    }
    if wanted(Measure::Folded) {
        rows.push(folded::folded(args.orders).await?);
    }
    if wanted(Measure::Observed) {
        rows.extend(observed::observed(args.callers, args.seconds, args.orders).await?);
    }
    if wanted(Measure::Indexed) {
        rows.push(indexed::indexed(args.orders / 5).await?);
    }
    if wanted(Measure::Mailed) {
        rows.extend(mailed::mailed(args.mails).await?);
    }
    if wanted(Measure::Replayed) {
        rows.extend(replayed::replayed(args.orders).await?);
    }
    if wanted(Measure::Beside) {
        rows.push(replayed::beside(args.orders, duration, args.rate).await?);
    }
    if wanted(Measure::Got) || wanted(Measure::Watched) {
        let server = setup::Server::start().await?;
        if wanted(Measure::Got) {
            let orders = read::lives(&server).await?;
            rows.push(read::got(&server, &orders, args.callers, duration).await?);
        }
        if wanted(Measure::Watched) {
            let (callers, watchers) = (args.callers, args.watchers);
            rows.push(read::watched(&server, callers, watchers, duration).await?);
        }
        server.stop().await?;
    }
    if args.rates { rates(&rows) } else { report(&rows) }
}

fn rates(rows: &[Row]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    for row in rows {
        writeln!(out, "{}", row.per_second)?;
    }
    Ok(())
}

fn report(rows: &[Row]) -> Result<(), Failure> {
    let mut table = comfy_table::Table::new();
    table.set_header([
        "",
        "per second",
        "p50 / p99 ms",
        "bare limit",
        "per second",
        "of the limit",
    ]);
    for row in rows {
        table.add_row([
            row.what.clone(),
            format!("{:.0}", row.per_second),
            row.latency.map_or_else(String::new, |l| format!("{:.1} / {:.1}", l.p50_ms, l.p99_ms)),
            row.limit.clone(),
            format!("{:.0}", row.limit_per_second),
            format!("{:.2}", row.per_second / row.limit_per_second),
        ]);
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "{table}")?;
    writeln!(out, "Largest resident set of this process: {} MiB", setup::peak_resident_mib()?)?;
    writeln!(
        out,
        "Kafka is one broker that does not fsync each record: replication 3 with min.insync.replicas=2 is what makes an \
         acknowledgement durable."
    )?;
    Ok(())
}
