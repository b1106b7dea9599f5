//! Every generation, and how far the one is that is being built.

use std::{
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
    time::Duration,
};

use chrono::{DateTime, SecondsFormat, Utc};
use ports::Generation;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{Building, building, left, offsets_json, offsets_text, progress};
use crate::{
    Failure,
    cli::{Output, StatusArgs},
    parts::Parts,
    table::table,
};

/// How often a terminal or a program is shown it anew, and how often a file.
const OFTEN: Duration = Duration::from_millis(500);
const SELDOM: Duration = Duration::from_secs(5);

/// Shows it once, or until no replay runs.
pub(super) async fn run(
    parts: &Parts,
    args: &StatusArgs,
    stop: &CancellationToken,
) -> Result<ExitCode, Failure> {
    let on_terminal = io::stdout().is_terminal();
    let rest = match args.output {
        Output::Human if !on_terminal => SELDOM,
        Output::Human | Output::Json => OFTEN,
    };
    let mut lines = 0;
    loop {
        let all = parts.generations.generations().await?;
        let building = building(parts.generations.as_ref(), &all).await?;
        let text = match args.output {
            Output::Human => told(&all, building.as_ref()),
            Output::Json => as_json(&all, building.as_ref()).to_string(),
        };
        let mut out = io::stdout().lock();
        if on_terminal && lines > 0 && args.output == Output::Human {
            // Back to where the last one begins, and everything below it away.
            write!(out, "\x1b[{lines}A\x1b[J")?;
        }
        writeln!(out, "{text}")?;
        out.flush()?;
        drop(out);
        lines = text.lines().count();
        let running = building.is_some_and(|building| building.running);
        if !args.follow || !running {
            return Ok(ExitCode::SUCCESS);
        }
        if stop.run_until_cancelled(tokio::time::sleep(rest)).await.is_none() {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

fn told(all: &[Generation], building: Option<&Building>) -> String {
    let mut rows = table([
        "generation",
        "stage",
        "fold",
        "kept",
        "created",
        "live since",
        "live from",
        "search",
    ]);
    for generation in all {
        let Generation { number, stage, fold_version, kept, created_at, live, .. } = generation;
        let (since, from) = live.as_ref().map_or_else(
            || (String::new(), String::new()),
            |(at, offsets)| (instant(*at), offsets_text(offsets)),
        );
        rows.add_row([
            number.to_string(),
            stage.name().to_owned(),
            fold_version.to_string(),
            if *kept { "yes" } else { "" }.to_owned(),
            instant(*created_at),
            since,
            from,
            if generation.search_pending { "pending" } else { "" }.to_owned(),
        ]);
    }
    let Some(Building { generation, report, running }) = building else { return rows.to_string() };
    let number = generation.number;
    if !running {
        let left = left(generation.stage);
        return format!(
            "{rows}\ngeneration {number} was left by a replay that was interrupted: the next `order-ledger replay` {left}"
        );
    }
    let Some(report) = report else { return format!("{rows}\ngeneration {number} is begun") };
    let mut text = format!("{rows}\ngeneration {number} is worked on, {}", progress::line(report));
    if !report.partitions.is_empty() {
        let mut partitions = table(["partition", "at", "until", "lag"]);
        for row in &report.partitions {
            let numbers = [i64::from(row.partition), row.next, row.until, progress::lag(row)];
            partitions.add_row(numbers.map(|number| number.to_string()));
        }
        text.push_str(&format!("\n{partitions}"));
    }
    text
}

fn as_json(all: &[Generation], building: Option<&Building>) -> Value {
    let generations: Vec<_> = all.iter().map(generation_json).collect();
    let replay = building.map(|Building { generation, report, running }| {
        json!({
            "generation": generation.number,
            "running": running,
            "wanted": generation.wanted.name(),
            "percent": report.as_ref().and_then(progress::percent),
            "per_second": report.as_ref().and_then(progress::per_second),
            "report": report,
        })
    });
    json!({ "generations": generations, "replay": replay })
}

fn generation_json(generation: &Generation) -> Value {
    let live = generation.live.as_ref();
    json!({
        "generation": generation.number,
        "stage": generation.stage.name(),
        "fold_version": generation.fold_version,
        "kept": generation.kept,
        "created_at": instant(generation.created_at),
        "live_since": live.map(|(at, _)| instant(*at)),
        "live_from": live.map(|(_, offsets)| offsets_json(offsets)),
        "search_pending": generation.search_pending,
    })
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
