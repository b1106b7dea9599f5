//! SIGTERM and SIGINT: the first asks for a drain, the second ends the process at once.

use std::process;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Listens for the life of the process. The first signal cancels `stop`.
pub(crate) async fn cancel_on_signal(stop: CancellationToken) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let first = next(&mut terminate, &mut interrupt).await;
    tracing::info!(signal = first.0, "draining; the same again ends at once");
    stop.cancel();
    let (name, number) = next(&mut terminate, &mut interrupt).await;
    tracing::warn!(signal = name, "ending at once");
    process::exit(128 + number);
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) -> (&'static str, i32) {
    tokio::select! {
        _ = terminate.recv() => ("SIGTERM", 15),
        _ = interrupt.recv() => ("SIGINT", 2),
    }
}
