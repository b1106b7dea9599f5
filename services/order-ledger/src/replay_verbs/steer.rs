//! What someone wants of the replay that is running, or of a generation that no one needs.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use ports::{Stage, Wanted};

use super::{Building, building, lease, left};
use crate::{Failure, parts::Parts};

const NOTHING_RUNS: &str = "no replay is running; `order-ledger replay` runs one";

pub(super) async fn pause(parts: &Parts) -> Result<ExitCode, Failure> {
    want(
        parts,
        Wanted::Pause,
        "waits, as soon as it hears; `order-ledger replay resume` lets it go on",
    )
    .await
}

pub(super) async fn resume(parts: &Parts) -> Result<ExitCode, Failure> {
    want(parts, Wanted::Run, "goes on").await
}

pub(super) async fn cancel(parts: &Parts) -> Result<ExitCode, Failure> {
    want(parts, Wanted::Cancel, "ends, as soon as it hears; the live generation stays as it is")
        .await
}

async fn want(parts: &Parts, wanted: Wanted, what: &str) -> Result<ExitCode, Failure> {
    let generations = parts.generations.as_ref();
    let all = generations.generations().await?;
    let Some(Building { generation, running, .. }) = building(generations, &all).await? else {
        return Err(NOTHING_RUNS.into());
    };
    let number = generation.number;
    if !running {
        let left = left(generation.stage);
        return Err(format!(
            "no replay is running: the one that built generation {number} was interrupted; the next `order-ledger \
             replay` {left}, and `order-ledger replay remove {number}` removes it at once"
        )
        .into());
    }
    generations.want(number, wanted).await?;
    writeln!(io::stdout(), "the replay that works on generation {number} {what}")?;
    Ok(ExitCode::SUCCESS)
}

/// Removes one that is not live, while no one builds.
pub(super) async fn remove(parts: &Parts, number: u32) -> Result<ExitCode, Failure> {
    let Some(_lease) = lease(parts.generations.as_ref()).await? else {
        return Err("a replay is running: wait for its end, or `order-ledger replay cancel`".into());
    };
    let all = parts.generations.generations().await?;
    let found = all.iter().find(|generation| generation.number == number);
    match found.map(|generation| generation.stage) {
        Some(Stage::Loading | Stage::Ready | Stage::Retired) => {
            parts.generations.remove(number).await?;
            writeln!(io::stdout(), "generation {number} is removed")?;
            Ok(ExitCode::SUCCESS)
        }
        Some(Stage::Live) => {
            let live = format!(
                "generation {number} is live and can't be removed; make another one live first"
            );
            Err(live.into())
        }
        None => {
            Err(format!("there is no generation {number}: see `order-ledger replay status`").into())
        }
    }
}
