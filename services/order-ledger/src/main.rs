//! `order-ledger`: the command line over every role, and the only place that prints errors.

mod against;
mod cli;
mod client;
mod clock;
mod config;
mod demo;

mod http;
mod migrate;
mod parts;
mod prepare;
mod roles;
mod serve;
mod signals;
mod table;
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

#[tokio::main]
async fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(misuse) => return client::misused(&misuse),
    };
    match run(cli).await {
        Ok(code) => code,
        Err(failure) => {
            complain(failure.as_ref());
            ExitCode::FAILURE
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
        Verb::Serve { config } => {
            let (_, config) = configured(&config)?;
            let running = serve::start(&config, stop_on_signal()).await?;
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
    let mut line = format!("order-ledger: {failure}");
    let mut cause = failure.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(error.to_string().trim());
        cause = error.source();
    }
    // If stderr is gone there is no one to tell.
    _ = writeln!(io::stderr(), "{line}");
}
