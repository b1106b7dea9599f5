//! `order-ledger dead-letters`: what can be said to it.

use std::time::Duration;

use clap::{
    Args, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser as _},
};
use events::OrderId;
use ports::{Consumer, LetterKey, LetterStatus};

use super::{ConfigArgs, Output, values};

#[derive(Debug, Subcommand)]
pub(crate) enum LettersVerb {
    /// Show those that match, by consumer, partition and offset
    List {
        #[command(flatten)]
        letters: LettersArgs,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Show one: its bytes, its headers, and which events of its order wait
    Show {
        /// CONSUMER/PARTITION/OFFSET, as `list` prints it
        #[arg(value_name = "ID", value_parser = values::letter)]
        id: LetterKey,
        /// A table and a dump for people, or one JSON document, bytes in Base64
        #[arg(long, value_enum, default_value_t = Output::Human)]
        output: Output,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Let them be read once more, as after an upgrade: an order that one parks goes on with it, or stays parked
    Retry {
        #[command(flatten)]
        decide: DecideArgs,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Let their orders go on without them, for good: they stay on record, and `retry` comes too late
    Discard {
        #[command(flatten)]
        decide: DecideArgs,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        config: ConfigArgs,
    },
}

impl LettersVerb {
    /// The flags of whichever verb it is.
    pub(crate) const fn config(&self) -> &ConfigArgs {
        match self {
            Self::List { config, .. }
            | Self::Show { config, .. }
            | Self::Retry { config, .. }
            | Self::Discard { config, .. } => config,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct LettersArgs {
    /// Of this consumer
    #[arg(long, value_name = "CONSUMER", value_parser = consumers())]
    pub(crate) consumer: Option<Consumer>,
    /// With this status; repeat it for any of several
    #[arg(
        long = "status",
        value_name = "STATUS",
        value_parser = PossibleValuesParser::new(LetterStatus::ALL.map(LetterStatus::name))
            .try_map(|name| values::status(&name))
    )]
    pub(crate) statuses: Vec<LetterStatus>,
    /// That park this order, or did
    #[arg(long, value_name = "ID")]
    pub(crate) order: Option<OrderId>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) limit: usize,
    /// All there are
    #[arg(long, conflicts_with = "limit")]
    pub(crate) all: bool,
    /// A table for people, or one JSON document
    #[arg(long, value_enum, default_value_t = Output::Human)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct DecideArgs {
    #[command(flatten)]
    pub(crate) which: WhichArgs,
    /// With --all: only of this consumer
    #[arg(long, value_name = "CONSUMER", value_parser = consumers(), conflicts_with = "ids")]
    pub(crate) consumer: Option<Consumer>,
    /// How long to wait until whoever has to carry it out has done so; 0s does not wait
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = values::wait)]
    pub(crate) wait: Duration,
    /// A line a dead letter for people, or one JSON document
    #[arg(long, value_enum, default_value_t = Output::Human)]
    pub(crate) output: Output,
}

/// Some, or all.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct WhichArgs {
    /// CONSUMER/PARTITION/OFFSET, as `list` prints it
    #[arg(value_name = "ID", value_parser = values::letter)]
    pub(crate) ids: Vec<LetterKey>,
    /// All that no one has decided on
    #[arg(long)]
    pub(crate) all: bool,
}

fn consumers() -> impl clap::builder::TypedValueParser<Value = Consumer> {
    PossibleValuesParser::new(Consumer::ALL.map(Consumer::name))
        .try_map(|name| values::consumer(&name))
}
