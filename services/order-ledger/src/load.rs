//! `order-ledger load`: calls a server as many clients would, and tells how long it took them.
//!
//! A client and nothing else: it knows the API alone. Owns the course of a run; the modules below own the pace, the calls,
//! the orders, the counting and the telling. Data follow from the seed, request ids from the run's id.

mod dice;
mod mix;
mod orders;
mod pace;
mod plan;
mod pool;
mod progress;
mod report;
mod server;
mod streams;
mod tally;

use std::{io, process::ExitCode, sync::Arc};

use tokio_util::sync::CancellationToken;

pub(crate) use mix::Mix;

use crate::{
    Failure,
    cli::{ClientArgs, LoadArgs, Output},
    client::ClientError,
    load::{
        plan::Plan,
        progress::Progress,
        report::{Report, document},
        server::Server,
        tally::Board,
    },
};

/// Runs it to its end, or to the first signal, and reports either way.
pub(crate) async fn run(
    client: &ClientArgs,
    args: LoadArgs,
    stop: CancellationToken,
) -> Result<ExitCode, Failure> {
    let (allow_failures, output) = (args.allow_failures, client.output);
    let plan = Arc::new(Plan::new(client, args));
    let server = match Server::connect(&plan).await {
        Ok(server) => Arc::new(server),
        Err(error) => return Ok(error.report(output)),
    };
    let board = Arc::new(Board::new(plan.warm_up));
    let progress = Progress::start(&plan, &board)?;
    let ended_early = pace::drive(&server, &board, &plan, &stop).await?;
    progress.end();
    let tally = board.take();
    let placed_instead = server.placed_instead();
    let report = Report { plan: &plan, tally: &tally, ended_early, placed_instead };
    if let Err(error) = tell(&report, output) {
        return Ok(ClientError::Write(error).report(output));
    }
    Ok(if allow_failures || report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// On stdout, once, at the end.
fn tell(report: &Report<'_>, output: Output) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match output {
        Output::Human => report.write(&mut out),
        Output::Json => document::write(report, &mut out),
    }
}
