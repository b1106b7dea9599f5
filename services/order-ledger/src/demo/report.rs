//! What came out, and whether it is right.

use std::{
    fs,
    io::{self, Write},
};

use events::OrderId;
use ports::{HistoryOutcome, HistoryRow, Topic};

use crate::{
    Failure,
    cli::Portion,
    config::{Config, MailLocation},
    demo::rest,
    parts::Parts,
    table::table,
    verify,
};

/// A claim, and whether it holds.
struct Check {
    holds: bool,
    what: String,
}

/// Prints the report; whether every check holds.
pub(crate) async fn print(
    config: &Config,
    parts: &Parts,
    placed: &[OrderId],
    missing: Option<String>,
) -> Result<bool, Failure> {
    let mut out = Vec::new();
    states(parts, &mut out).await?;
    let mut events = 0;
    for end in parts.log.end_offsets(Topic::Events).await? {
        events += end.offset.0;
    }
    writeln!(out, "\nEvents in the log: {events}")?;
    let mails = mails(config, parts, &mut out).await?;
    if let Some(order_id) = placed.first() {
        writeln!(out, "\nHistory of order {order_id}:")?;
        let history = parts.orders.history(*order_id).await?;
        writeln!(out, "{}", history_table(&history))?;
    }
    let mut differences = Vec::new();
    let all = verify::ledger(parts, Portion::All, Portion::None);
    let found = replay::verify(all, &mut |difference| differences.push(difference)).await?;
    let stored = parts.orders.load(placed).await?.len();
    let in_store: u64 = parts.orders.count_by_state().await?.iter().map(|(_, n)| n).sum();
    let in_index: u64 = parts.search.count_by_state().await?.iter().map(|(_, n)| n).sum();
    let checks = [
        Check {
            holds: missing.is_none(),
            what: missing.map_or_else(
                || "every order went through, and all that follows from it happened".to_owned(),
                |missing| format!("time is up: {missing}"),
            ),
        },
        Check {
            holds: stored == placed.len(),
            what: format!("{stored} of {} acknowledged orders are stored", placed.len()),
        },
        mails,
        Check {
            holds: in_index == in_store,
            what: format!("{in_index} of {in_store} orders are in the search index"),
        },
        Check { holds: found.differences == 0 && found.behind == 0, what: verify::summary(&found) },
    ];
    writeln!(out, "End check:")?;
    for Check { holds, what } in &checks {
        writeln!(out, "  {}  {what}", if *holds { "ok    " } else { "FAILED" })?;
    }
    for difference in &differences {
        writeln!(out, "          {difference}")?;
    }
    io::stdout().write_all(&out)?;
    Ok(checks.iter().all(|check| check.holds))
}

async fn states(parts: &Parts, out: &mut Vec<u8>) -> Result<(), Failure> {
    let mut states = table(["state", "orders"]);
    for (state, count) in parts.orders.count_by_state().await? {
        if count > 0 {
            states.add_row([state.name().to_owned(), count.to_string()]);
        }
    }
    writeln!(out, "\nOrders per state:\n{states}")?;
    Ok(())
}

async fn mails(config: &Config, parts: &Parts, out: &mut Vec<u8>) -> Result<Check, Failure> {
    let expected = rest::mails_expected(parts).await?;
    let (pending, sent, failed) = parts.deliveries.counts().await?;
    let (place, found) = match &config.mail {
        MailLocation::Folder(folder) => (folder.display().to_string(), files(folder)?),
        // What a mail server did with them is not for us to see.
        MailLocation::Smtp(_) => ("the mail server".to_owned(), sent),
    };
    writeln!(out, "Mails written: {sent}, in {place}")?;
    Ok(Check {
        holds: sent == expected && found == expected && pending == 0 && failed == 0,
        what: format!(
            "{found} mails in {place} for {expected} state changes that ask for one ({failed} failed)"
        ),
    })
}

fn files(folder: &std::path::Path) -> io::Result<u64> {
    let mut count = 0;
    for entry in fs::read_dir(folder)? {
        count += u64::from(entry?.path().extension().is_some_and(|e| e == "eml"));
    }
    Ok(count)
}

fn history_table(history: &[HistoryRow]) -> comfy_table::Table {
    let mut rows = table(["version", "event", "outcome", "state", "occurred at", "position"]);
    for row in history {
        let state = match &row.outcome {
            HistoryOutcome::Applied { from: Some(from), to } => {
                format!("{} -> {}", from.name(), to.name())
            }
            HistoryOutcome::Applied { from: None, to } => to.name().to_owned(),
            HistoryOutcome::Rejected { state, reason, .. } => {
                format!("{} ({})", state.map_or("none", events::State::name), reason.name())
            }
            HistoryOutcome::Duplicate { state } => state.name().to_owned(),
            HistoryOutcome::Parked { state } => {
                state.map_or_else(String::new, |state| state.name().to_owned())
            }
        };
        let position = row.position;
        rows.add_row([
            row.version.to_string(),
            row.kind.name().to_owned(),
            row.outcome.name().to_owned(),
            state,
            row.occurred_at.format("%H:%M:%S%.3f UTC").to_string(),
            format!("{}/{}", position.partition, position.offset),
        ]);
    }
    rows
}
