//! `order-ledger log`: the event log out to files, and in from them.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use archive::{Archive, Archived};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    Failure, bars,
    cli::LogVerb,
    config::Config,
    parts::Parts,
    prepare::{Ready, Wanted, prepare},
};

/// Exports or imports, showing how far it is on a terminal, and prints what was moved. A signal ends it half-way.
pub(crate) async fn run(
    verb: &LogVerb,
    config: &Config,
    stop: CancellationToken,
) -> Result<ExitCode, Failure> {
    let parts = match verb {
        LogVerb::Export { .. } => Parts::open_beside(config).await?,
        LogVerb::Import { folder, .. } => {
            // First: a log is not made for what can't be imported.
            Archive::open(folder)?;
            Parts::open(config).await?
        }
    };
    let bar = bars::spinner()?;
    let moving = async {
        Ok::<_, Failure>(match verb {
            LogVerb::Export { folder, .. } => {
                let (log, now) = (parts.log.as_ref(), parts.clock.now());
                let Archived { records, strays } =
                    archive::export(log, folder, now, |records| bar.set_position(records)).await?;
                format!(
                    "{records} records of orders and {strays} of none exported to {}",
                    folder.display()
                )
            }
            LogVerb::Import { folder, leave_out_strays, .. } => {
                let (ready, _) = watch::channel(Ready::default());
                let nothing_else = Wanted::default();
                prepare(parts.clone(), nothing_else, ready, stop.clone()).await?;
                let log = parts.log.as_ref();
                let progress = |records| bar.set_position(records);
                let Archived { records, strays } =
                    archive::import(log, folder, *leave_out_strays, progress).await?;
                format!("{records} records imported, {strays} left out")
            }
        })
    };
    let moved = stop.run_until_cancelled(moving).await;
    bar.finish_and_clear();
    let moved = moved.ok_or("stopped half-way: what was written is not whole")??;
    writeln!(io::stdout(), "{moved}")?;
    Ok(ExitCode::SUCCESS)
}
