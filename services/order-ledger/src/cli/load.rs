//! `order-ledger load`: how many calls, of which kinds, for how long.

use std::time::Duration;

use clap::{Args, ValueEnum, builder::NonEmptyStringValueParser};

use super::values;
use crate::load::Mix;

/// What the help says last.
pub(crate) const AFTER_HELP: &str = "\
Exit codes:
  0  every call was made and answered with OK, or --allow-failures
  1  a call failed, or one that was due was not started
  2  the command line is wrong
  6  the server can't be reached at the start";

#[derive(Debug, Args)]
#[command(next_help_heading = "Load")]
pub(crate) struct LoadArgs {
    #[command(flatten)]
    pub(crate) pace: PaceArgs,
    /// How long to measure
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = values::some_time)]
    pub(crate) duration: Duration,
    /// How long to call before that; these calls are counted apart
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = values::wait)]
    pub(crate) warm_up: Duration,
    /// Which calls, by weight: place, get, history, pay, prepare, ship, deliver, cancel, list, search
    #[arg(long, value_name = "CALL=WEIGHT,…", default_value = "place=100")]
    pub(crate) mix: Mix,
    /// Place orders over so many streams (`PlaceOrders`) instead of by a call each
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) stream: Option<u32>,
    /// When a write counts as answered: once it is logged, or once the state machine has judged it; orders in streams: logged
    #[arg(long, value_enum, value_name = "FOR", default_value_t = Wait::Logged)]
    pub(crate) wait: Wait,
    /// Connections that the calls share
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) connections: u32,
    /// What this run is called: the label `load_test_type` of its orders, and part of every output
    #[arg(long, value_name = "LABEL", default_value = "load", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) load_test_type: String,
    /// Customers that place orders
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) customers: u32,
    /// The same seed gives the same calls and the same orders
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// What request ids begin with; with that of an earlier run, its seed, mix and customers, no order is placed anew
    /// [default: a new one]
    #[arg(long, value_name = "ID", value_parser = values::run_id)]
    pub(crate) run_id: Option<String>,
    /// End with 0 whatever failed
    #[arg(long)]
    pub(crate) allow_failures: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Load")]
pub(crate) struct PaceArgs {
    /// Open loop: start so many calls a second, however long the answers take
    #[arg(long, value_name = "N", conflicts_with = "callers", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) rate: Option<u32>,
    /// Closed loop: so many callers, each of which calls again once it is answered [default: 16, or 128 a stream]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) callers: Option<u32>,
    /// In the open loop: calls under way at the same time at most; what is due beyond that waits, and its wait is counted
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) in_flight_max: u32,
}

/// When a call that writes is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Wait {
    Logged,
    Applied,
}
