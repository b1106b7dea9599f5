//! The verbs of `order-ledger order` that place, read and watch; exit codes; the flags they share.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::{
    Args, Subcommand, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser as _},
};
use proto::v1;

use super::{record::RecordVerb, values};

/// What every verb tells in its help: how a script hears what went wrong.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  anything not named below, or failures of several kinds in one file
  2  the command line is wrong
  3  not found
  4  refused: the order's state forbids it, the request id stood for something else, or the order is not at the expected version
  5  invalid: a field, or a version or token beyond what there is
  6  unavailable or too late: trying again may help";

/// How long a page is if nobody says.
const LIMIT: &str = "50";

#[derive(Debug, Args)]
#[command(next_help_heading = "Server and output")]
pub(crate) struct ClientArgs {
    /// The server
    #[arg(
        long,
        env = "ORDER_LEDGER_SERVER",
        default_value = "http://127.0.0.1:50051",
        global = true,
        value_name = "URL"
    )]
    pub(crate) server: String,
    /// How long to wait for an answer (of a stream: for its begin), in seconds
    #[arg(
        long,
        default_value_t = 10,
        global = true,
        value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(1..=86_400)
    )]
    pub(crate) timeout: u64,
    /// Tables for people, or one JSON document (of `watch`: one a line) with the names of the .proto files; errors too
    #[arg(long, value_enum, default_value_t = Output::Human, global = true)]
    pub(crate) output: Output,
}

/// For whom results and errors are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    Human,
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum OrderVerb {
    /// Place one order, or a file of orders through one stream
    #[command(after_help = EXIT_CODES)]
    Place(PlaceArgs),
    /// Show an order as it is, or as it was
    #[command(after_help = EXIT_CODES, disable_version_flag = true)]
    Get(GetArgs),
    /// Show orders that match, newest placed first
    #[command(after_help = EXIT_CODES)]
    List {
        #[command(flatten)]
        filter: FilterArgs,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show every event of an order and what became of it, oldest first
    #[command(after_help = EXIT_CODES)]
    History {
        order_id: String,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Find orders in which every one of these words occurs, newest placed first
    #[command(after_help = EXIT_CODES)]
    Search(SearchArgs),
    /// Show an order, or all that match, and then every change until SIGINT or SIGTERM
    #[command(after_help = EXIT_CODES)]
    Watch(WatchArgs),
    #[command(flatten)]
    Record(RecordVerb),
}

/// Where the orders are: one of them.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct OrderSource {
    /// One order: a file with one JSON object; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) order: Option<PathBuf>,
    /// Many orders: a file with one JSON object a line; a bad line does not stop the others
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct PlaceArgs {
    #[command(flatten)]
    pub(crate) source: OrderSource,
    /// The idempotency key; in a file, line N that has none of its own gets ID-N, so that the file can be placed again
    #[arg(long, value_name = "ID")]
    pub(crate) request_id: Option<String>,
    /// Who places it [default: "api"]
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) actor: String,
    /// Wait until the state machine has accepted it, and answer with the order
    #[arg(long, conflicts_with = "file")]
    pub(crate) wait: bool,
}

#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    pub(crate) order_id: String,
    /// As it was at this version
    #[arg(long, value_name = "N", conflicts_with = "time")]
    pub(crate) version: Option<u64>,
    /// As it was then: when a day began (in UTC), or at an instant as in 2026-05-01T12:00:00Z
    #[arg(long, value_name = "WHEN", value_parser = values::day_or_instant)]
    pub(crate) time: Option<DateTime<Utc>>,
    /// As it was once this record of the event log was folded
    #[arg(long, value_name = "PARTITION/OFFSET", value_parser = values::position,
          conflicts_with_all = ["version", "time"])]
    pub(crate) position: Option<v1::LogPosition>,
    #[command(flatten)]
    pub(crate) fresh: FreshArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SearchArgs {
    /// The words, in any order
    #[arg(value_name = "TEXT")]
    pub(crate) words: Vec<String>,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    /// Paid through that gateway
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) payment_gateway: String,
    #[command(flatten)]
    pub(crate) page: PageArgs,
}

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// The order; without it, all that match
    #[arg(conflicts_with_all = ["states", "region", "customer", "from", "until", "changes_only"])]
    pub(crate) order_id: Option<String>,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    /// Go on after the response that brought this token
    #[arg(long, value_name = "TOKEN", default_value = "", hide_default_value = true)]
    pub(crate) resume: String,
    /// Start with the next change instead of with the orders as they are
    #[arg(long)]
    pub(crate) changes_only: bool,
}

/// Which orders; what is left out matches everything.
#[derive(Debug, Args)]
pub(crate) struct FilterArgs {
    /// In this state; repeat it for any of several
    #[arg(
        long = "state",
        value_name = "STATE",
        ignore_case = true,
        value_parser = PossibleValuesParser::new(events::State::ALL.map(events::State::name))
            .try_map(|name| values::state(&name))
    )]
    states: Vec<events::State>,
    /// Shipped to this region
    #[arg(long, default_value = "", hide_default_value = true)]
    region: String,
    /// Of the customer with this e-mail address
    #[arg(long, value_name = "EMAIL", default_value = "", hide_default_value = true)]
    customer: String,
    /// Placed then or later: a day (in UTC), or an instant as in 2026-05-01T12:00:00Z
    #[arg(long, value_name = "WHEN", value_parser = values::day_or_instant)]
    from: Option<DateTime<Utc>>,
    /// Placed earlier
    #[arg(long, value_name = "WHEN", value_parser = values::day_or_instant)]
    until: Option<DateTime<Utc>>,
}

impl FilterArgs {
    pub(crate) fn into_proto(self) -> v1::OrderFilter {
        let states = self.states.into_iter().map(|state| codec::state_to_proto(state).into());
        v1::OrderFilter {
            states: states.collect(),
            region: self.region,
            customer_email: self.customer,
            placed_from: self.from.map(codec::encode_instant),
            placed_until: self.until.map(codec::encode_instant),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct PageArgs {
    /// At most so many; as many pages as that takes
    #[arg(long, value_name = "N", default_value = LIMIT, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// All there are
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// Go on after an earlier answer, by its `next_page_token`
    #[arg(long, value_name = "TOKEN", default_value = "", hide_default_value = true)]
    pub(crate) page_token: String,
    #[command(flatten)]
    pub(crate) fresh: FreshArgs,
}

impl PageArgs {
    /// How many at most.
    pub(crate) const fn limit(&self) -> u64 {
        if self.all { u64::MAX } else { self.limit }
    }
}

#[derive(Debug, Args)]
pub(crate) struct FreshArgs {
    /// Not before that record of the event log is folded: the position a write was answered with
    #[arg(long, value_name = "PARTITION/OFFSET", value_parser = values::position)]
    pub(crate) not_before: Option<v1::LogPosition>,
}
