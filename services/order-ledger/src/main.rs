//! `order-ledger`: the command line over every role, and the only place that prints errors.

mod against;
mod bars;
mod cli;
mod client;
mod clock;
mod config;
mod dead_letters;
mod demo;

mod http;
mod kibana_verbs;
mod load;
mod migrate;
mod parts;
mod prepare;
mod replay_verbs;
mod roles;
mod serve;
mod signals;
mod table;
mod telemetry;
mod transfer;
mod verify;

use std::{
    error::Error,
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
};

use clap::{CommandFactory as _, Parser as _};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::{
    cli::{Cli, ConfigArgs, LogVerb, Verb},
    config::{ConfigError, LogFormat, Resolved},
};

/// Whatever ends a command early.
type Failure = Box<dyn Error + Send + Sync>;

/// Flags and values that each can be said, but not together, or not here.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Misuse(String);

#[tokio::main]
async fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(misuse) => return client::misused(&misuse),
    };
    match unless_reader_left(run(cli).await) {
        Ok(code) => code,
        Err(failure) => {
            complain(failure.as_ref());
            if failure.is::<ConfigError>() || failure.is::<Misuse>() {
                client::Kind::Usage.into()
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

async fn run(cli: Cli) -> Result<ExitCode, Failure> {
    match cli.verb {
        Verb::Demo { demo, config } => {
            let mut resolved = config.resolve()?;
            demo::defaults(&mut resolved);
            start_logging(&resolved)?;
            demo::run(&demo, &resolved.config()?, stop_on_signal()).await
        }
        Verb::Serve { replay_if_needed, config } => {
            let (_, config) = configured(&config)?;
            let running = serve::start(&config, replay_if_needed, stop_on_signal()).await?;
            running.join().await?;
            Ok(ExitCode::SUCCESS)
        }
        Verb::Migrate { config } => {
            let (_, config) = configured(&config)?;
            migrate::run(&config, stop_on_signal()).await?;
            Ok(ExitCode::SUCCESS)
        }
        Verb::Verify { verify: args, config } => {
            let (_, config) = configured(&config)?;
            verify::run(&args, &config).await
        }
        Verb::Replay(args) => {
            let config = configured_for_tool(args.config())?;
            replay_verbs::run(&args, &config, stop_on_signal()).await
        }
        Verb::DeadLetters { verb } => {
            let config = configured_for_tool(verb.config())?;
            dead_letters::run(verb, &config).await
        }
        Verb::Kibana { verb } => {
            let config = configured_for_tool(verb.config())?;
            kibana_verbs::run(verb, &config).await
        }
        Verb::Log { verb } => {
            let (LogVerb::Export { config, .. } | LogVerb::Import { config, .. }) = &verb;
            let (_, config) = configured(config)?;
            transfer::run(&verb, &config, stop_on_signal()).await
        }
        Verb::Config { config } => {
            let resolved = config.resolve()?;
            resolved.config()?;
            write!(io::stdout(), "{resolved}")?;
            Ok(ExitCode::SUCCESS)
        }
        Verb::Order { client, verb } => Ok(client::run(&client, verb).await),
        Verb::Load { client, load } => load::run(&client, load, stop_on_signal()).await,
        Verb::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "order-ledger", &mut script);
            io::stdout().write_all(&script)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn configured(args: &ConfigArgs) -> Result<(Resolved, config::Config), Failure> {
    let resolved = args.resolve()?;
    start_logging(&resolved)?;
    let config = resolved.config()?;
    Ok((resolved, config))
}

/// As `configured`, for a tool that says by itself what it does: the log is for what goes wrong.
fn configured_for_tool(args: &ConfigArgs) -> Result<config::Config, Failure> {
    let mut resolved = args.resolve()?;
    resolved.default_to("log_filter", "warn");
    start_logging(&resolved)?;
    Ok(resolved.config()?)
}

/// Whoever read has enough, as `head` does: nothing failed.
fn unless_reader_left(ended: Result<ExitCode, Failure>) -> Result<ExitCode, Failure> {
    match ended {
        Err(failure) if failure.downcast_ref().is_some_and(reader_left) => Ok(ExitCode::SUCCESS),
        Err(failure) => match failure.downcast_ref() {
            Some(client::ClientError::Write(error)) if reader_left(error) => Ok(ExitCode::SUCCESS),
            Some(_) | None => Err(failure),
        },
        Ok(code) => Ok(code),
    }
}

/// Whether what was written has no reader any more.
fn reader_left(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}

/// Log lines go to stderr; stdout is for what was asked for.
fn start_logging(resolved: &Resolved) -> Result<(), ConfigError> {
    let (format, filter) = resolved.logging()?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    match format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().init(),
    }
    Ok(())
}

/// A token that the first signal cancels. The listener lives as long as the process.
fn stop_on_signal() -> CancellationToken {
    let stop = CancellationToken::new();
    let cancelled = stop.clone();
    tokio::spawn(async move {
        if let Err(error) = signals::cancel_on_signal(cancelled).await {
            tracing::warn!(%error, "signals can't be listened to: only SIGKILL ends this process");
        }
    });
    stop
}

/// One line: what failed, and because of what, down to the cause.
fn complain(failure: &dyn Error) {
    // If stderr is gone there is no one to tell.
    _ = writeln!(io::stderr(), "order-ledger: {}", told(failure));
}

/// An error and its causes in one line, but for a cause that was said already: drivers repeat theirs.
fn told(failure: &dyn Error) -> String {
    let mut line = failure.to_string();
    let mut cause = failure.source();
    while let Some(error) = cause {
        let text = error.to_string();
        let text = text.trim();
        if !line.ends_with(text) {
            line.push_str(": ");
            line.push_str(text);
        }
        cause = error.source();
    }
    line
}
