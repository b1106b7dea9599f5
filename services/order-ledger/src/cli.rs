//! The command line: what can be said, not what it does.

mod dead_letters;
mod kibana;
mod load;
mod order;
mod record;
mod replay;
mod values;

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, Parser, Subcommand, ValueEnum};

pub(crate) use dead_letters::{DecideArgs, LettersArgs, LettersVerb, WhichArgs};
pub(crate) use kibana::{ImportArgs, KibanaVerb};
pub(crate) use load::{LoadArgs, Wait};
pub(crate) use order::{
    ClientArgs, FilterArgs, GetArgs, OrderVerb, Output, PageArgs, PlaceArgs, SearchArgs, WatchArgs,
};
pub(crate) use record::{GoodsVerb, RecordVerb};
pub(crate) use replay::{
    MannerArgs, Only, ReplayArgs, ReplayRun, ReplayVerb, ShowArgs, StatusArgs,
};

use crate::config::{ConfigError, KEYS, Resolved};

/// An event-sourced order ledger.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run the main job on this machine alone: sample orders go through their whole life while you watch
    Demo {
        #[command(flatten)]
        demo: DemoArgs,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Play all roles, or those named by --roles, until SIGTERM or SIGINT
    Serve {
        /// If another version of the fold made what is stored, replay the log first, beside what is there, and swap; without
        /// it `serve` ends and says so
        #[arg(long)]
        replay_if_needed: bool,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Create or check topics, tables and indices, then end
    Migrate {
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Fold the log again and compare with everything that is stored of it; ends with 1 if anything differs
    Verify {
        #[command(flatten)]
        verify: VerifyArgs,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Build the state anew from the log, beside the live one, verify it and put it in its place; and look at how it goes
    Replay(ReplayArgs),
    /// Look at records that could not be read, and decide on them
    DeadLetters {
        #[command(subcommand)]
        verb: LettersVerb,
    },
    /// Take the event log out to files, or in from them
    Log {
        #[command(subcommand)]
        verb: LogVerb,
    },
    /// Data views, searches and dashboards for Kibana
    Kibana {
        #[command(subcommand)]
        verb: KibanaVerb,
    },
    /// Print the configuration in effect and who set it, secrets masked
    Config {
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Place, move, find and watch orders through a running server
    #[command(after_help = order::EXIT_CODES)]
    Order {
        #[command(flatten)]
        client: ClientArgs,
        #[command(subcommand)]
        verb: OrderVerb,
    },
    /// Call a running server as many clients would, and tell how long it took them
    #[command(after_help = load::AFTER_HELP)]
    Load {
        #[command(flatten)]
        client: ClientArgs,
        #[command(flatten)]
        load: LoadArgs,
    },
    /// Print the completions of a shell, to be put where it looks for them
    Completions { shell: clap_complete::Shell },
}

#[derive(Debug, Subcommand)]
pub(crate) enum LogVerb {
    /// Write every record that the log has by now into a new folder, compressed and with digests
    Export {
        /// Must not exist, or be empty
        folder: PathBuf,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Append what an archive holds to a log without events, of any number of partitions; makes its topics
    Import {
        /// What an export wrote
        folder: PathBuf,
        /// Import all but the records that belong to no order: without key or value, or in another partition than that
        /// of their key
        #[arg(long)]
        leave_out_strays: bool,
        #[command(flatten)]
        config: ConfigArgs,
    },
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// How many documents of the search index to compare: of a sample, those of the first thousand orders of each
    /// partition's log and of one in a hundred of the rest
    #[arg(long, value_enum, default_value_t = Portion::Sample)]
    pub(crate) documents: Portion,
    /// How many transitions of the stream to compare, of the same sample; surplus ones are looked for with `all`
    #[arg(long, value_enum, default_value_t = Portion::None)]
    pub(crate) transitions: Portion,
    /// `json` prints an object a line: every difference, and the counts last
    #[arg(long, value_enum, default_value_t = Output::Human)]
    pub(crate) output: Output,
    /// Verify this generation beside the live one, without documents and transitions
    #[arg(long, value_name = "N", conflicts_with_all = ["documents", "transitions"])]
    pub(crate) generation: Option<u32>,
    /// Compare the log with a second copy instead, order by order: kafka://HOST:PORT[,…], sqlite:FILE, or the folder of
    /// an archive
    #[arg(long, value_name = "COPY", conflicts_with_all = ["documents", "transitions", "generation"])]
    pub(crate) against: Option<String>,
    /// The prefix of the copy's topics on Kafka [default: as that of the log's]
    #[arg(long, value_name = "PREFIX", requires = "against")]
    pub(crate) against_topic_prefix: Option<String>,
}

/// How much of what the index has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Portion {
    All,
    Sample,
    None,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Forget what earlier runs left in the data folder
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Stay up after the report, until SIGTERM or SIGINT
    #[arg(long)]
    pub(crate) keep_running: bool,
    /// Orders to place instead of the built-in ones, one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub(crate) orders: Option<PathBuf>,
}

/// A flag for every key of the configuration, and the file.
#[derive(Debug, Clone, Default)]
pub(crate) struct ConfigArgs {
    file: Option<PathBuf>,
    flags: Vec<(&'static str, String)>,
}

impl ConfigArgs {
    /// What these flags, the environment and the file say together.
    pub(crate) fn resolve(&self) -> Result<Resolved, ConfigError> {
        Resolved::new(
            self.file.as_deref(),
            |key| {
                self.flags
                    .iter()
                    .find(|(name, _)| *name == key.name)
                    .map(|(_, value)| value.clone())
            },
            |name| std::env::var(name).ok(),
        )
    }
}

impl FromArgMatches for ConfigArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut args = Self::default();
        args.update_from_arg_matches(matches)?;
        Ok(args)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.file = matches.get_one::<PathBuf>("config").cloned();
        self.flags = KEYS
            .iter()
            .filter_map(|key| Some((key.name, matches.get_one::<String>(key.name)?.clone())))
            .collect();
        Ok(())
    }
}

impl Args for ConfigArgs {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help("A TOML file [env: ORDER_LEDGER_CONFIG] [default: order-ledger.toml if it is there]");
        KEYS.iter().fold(command.arg(file), |command, key| {
            let default = if key.default.is_empty() { "none" } else { key.default };
            let help = format!(
                "{}: {} [env: {}] [default: {default}]",
                key.help,
                key.allowed,
                key.variable()
            );
            let arg = Arg::new(key.name).long(key.flag()).value_name("VALUE").help(help);
            command.arg(arg.help_heading("Configuration"))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn every_verb_can_be_said() {
        Cli::command().debug_assert();
    }
}
