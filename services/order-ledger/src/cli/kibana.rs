//! `order-ledger kibana`: what can be said to it.

use clap::{Args, Subcommand, builder::NonEmptyStringValueParser};

use super::{ConfigArgs, Output};

/// What the help of `import` says last.
const AFTER_HELP: &str = "\
Who asks is said in the environment alone, so that no list of processes shows it:
  ORDER_LEDGER_KIBANA_API_KEY                              an encoded API key, or
  ORDER_LEDGER_KIBANA_USER and ORDER_LEDGER_KIBANA_PASSWORD

Exit codes:
  0  every object was imported
  1  some were not, or anything not named below
  2  the command line is wrong
  3  there is no such space
  4  that Kibana is too old
  6  Kibana is away or not ready: trying again may help";

#[derive(Debug, Subcommand)]
pub(crate) enum KibanaVerb {
    /// Put data views, searches and dashboards into a Kibana, in the place of what an earlier import put there
    #[command(after_help = AFTER_HELP)]
    Import {
        #[command(flatten)]
        import: ImportArgs,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Print what `import` would put there, a saved object a line, for Kibana's own import
    Export {
        #[command(flatten)]
        config: ConfigArgs,
    },
}

impl KibanaVerb {
    /// The flags of whichever verb it is.
    pub(crate) const fn config(&self) -> &ConfigArgs {
        match self {
            Self::Import { config, .. } | Self::Export { config } => config,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Kibana, with its path if it has one
    #[arg(
        long,
        env = "ORDER_LEDGER_KIBANA_URL",
        default_value = "http://localhost:5601",
        value_name = "URL"
    )]
    pub(crate) url: String,
    /// The space that they are for
    #[arg(long, value_name = "SPACE", default_value = "default", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) space: String,
    /// Leave what is there already as it is, and end with 1 if anything is
    #[arg(long)]
    pub(crate) no_overwrite: bool,
    /// Lines for people, or one JSON document; errors too
    #[arg(long, value_enum, default_value_t = Output::Human)]
    pub(crate) output: Output,
}
