//! `order-ledger verify`: the log folded again against what is stored.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use replay::Verification;

use crate::{Failure, config::Config, parts::Parts};

/// Verifies and prints what was found.
pub(crate) async fn run(config: &Config) -> Result<ExitCode, Failure> {
    let parts = Parts::open(config).await?;
    let found = replay::verify(parts.log.as_ref(), parts.orders.as_ref()).await?;
    let mut out = io::stdout().lock();
    for difference in &found.differences {
        writeln!(out, "{difference}")?;
    }
    writeln!(out, "{}", summary(&found))?;
    Ok(if found.differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One line for people.
pub(crate) fn summary(found: &Verification) -> String {
    let Verification { records, undecodable, behind, orders, differences } = found;
    let verdict = match differences.len() {
        0 => "every stored snapshot equals the fold of the log, byte for byte".to_owned(),
        count => format!("{count} orders differ"),
    };
    format!(
        "{records} records ({undecodable} undecodable, {behind} not folded yet), {orders} orders: {verdict}"
    )
}
