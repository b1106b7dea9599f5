//! `order-ledger replay`: what can be said to it, and to the verbs below it.

use std::num::NonZeroU32;

use clap::{
    Args, Subcommand, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser as _},
};
use events::{OrderId, State};
use replay::Until;

use super::{ConfigArgs, Output, values};

/// Without a verb: run one.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct ReplayArgs {
    #[command(subcommand)]
    pub(crate) verb: Option<ReplayVerb>,
    #[command(flatten)]
    pub(crate) run: ReplayRun,
    #[command(flatten)]
    config: ConfigArgs,
}

impl ReplayArgs {
    /// The flags of whichever verb it is.
    pub(crate) const fn config(&self) -> &ConfigArgs {
        match &self.verb {
            None => &self.config,
            Some(
                ReplayVerb::Status { config, .. }
                | ReplayVerb::Pause { config }
                | ReplayVerb::Resume { config }
                | ReplayVerb::Cancel { config }
                | ReplayVerb::Rollback { config, .. }
                | ReplayVerb::Remove { config, .. }
                | ReplayVerb::Show { config, .. },
            ) => config,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct ReplayRun {
    /// Build only this anew; the search index is then built from the live state
    #[arg(long, value_enum)]
    pub(crate) only: Option<Only>,
    /// Build a generation and keep it to be looked at: the live one stays
    #[arg(long)]
    pub(crate) no_swap: bool,
    /// Instead of building one, bring this one up to date and make it live: see `replay status`
    #[arg(long, value_name = "N")]
    pub(crate) from_generation: Option<u32>,
    /// Fold no further than this: records appended by then (a day in UTC, or an instant as in 2026-05-01T12:00:00Z), or
    /// below these offsets, as in 0=120,1=340 (nothing of partitions that are left out). What ends in the past is kept
    /// to be looked at, as with --no-swap
    #[arg(long, value_name = "TIME|OFFSETS", value_parser = values::until, conflicts_with = "from_generation")]
    pub(crate) until: Option<Until>,
    /// Tell what would become otherwise: which orders, events and mails, compared with the live generation as far as both
    /// have folded the log
    #[arg(long, requires = "no_swap")]
    pub(crate) diff: bool,
    #[command(flatten)]
    pub(crate) manner: MannerArgs,
}

/// How fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rate {
    /// No more than so many records a second.
    AtMost(NonZeroU32),
    /// As the machine can.
    Max,
}

impl Rate {
    /// The bound, if there is one.
    pub(crate) const fn bound(self) -> Option<NonZeroU32> {
        match self {
            Self::AtMost(rate) => Some(rate),
            Self::Max => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Only {
    /// Snapshots, history and progress
    State,
    /// The search index
    Search,
}

/// What holds for whatever is replayed.
#[derive(Debug, Args)]
pub(crate) struct MannerArgs {
    /// Records a second at most, or `max`: with the default, those who place orders at the same time feel little of it
    #[arg(long, value_name = "N|max", value_parser = values::rate, default_value = "50000")]
    pub(crate) rate: Rate,

    /// `json` prints an object a line: each report of how far it is, and what was done last
    #[arg(long, value_enum, default_value_t = Output::Human, value_name = "OUTPUT")]
    pub(crate) output: Output,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ReplayVerb {
    /// Show every generation, and how far the one is that is being built
    Status {
        #[command(flatten)]
        status: StatusArgs,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Let the replay that is running wait
    Pause {
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Let it go on
    Resume {
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Let it end, and remove what it built; the live generation stays as it is
    Cancel {
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Bring the generation that was live before up to date, verify it and make it live again
    Rollback {
        #[command(flatten)]
        manner: MannerArgs,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Remove a generation that is kept, retired or left by an interrupted replay; never the live one
    Remove {
        /// Which: see `replay status`
        #[arg(value_name = "N")]
        generation: u32,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Look into a generation: what it holds in all, one order, or the orders of a state
    Show {
        #[command(flatten)]
        show: ShowArgs,
        #[command(flatten)]
        config: ConfigArgs,
    },
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Show it again and again until no replay runs
    #[arg(long)]
    pub(crate) follow: bool,
    /// `json` prints one document, with --follow one a line
    #[arg(long, value_enum, default_value_t = Output::Human)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Which: see `replay status`
    #[arg(value_name = "N")]
    pub(crate) generation: u32,
    /// One order as it is there
    pub(crate) order_id: Option<OrderId>,
    /// Every event of the order and what became of it there
    #[arg(long, requires = "order_id")]
    pub(crate) history: bool,
    /// Orders in this state, newest placed first; repeat it for any of several
    #[arg(
        long = "in-state",
        value_name = "STATE",
        ignore_case = true,
        conflicts_with = "order_id",
        value_parser = PossibleValuesParser::new(State::ALL.map(State::name))
            .try_map(|name| values::state(&name))
    )]
    pub(crate) states: Vec<State>,
    /// At most so many orders of a state
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) limit: usize,
    /// Tables for people, or one JSON document
    #[arg(long, value_enum, default_value_t = Output::Human)]
    pub(crate) output: Output,
}
