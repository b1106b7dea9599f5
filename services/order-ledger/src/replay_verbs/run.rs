//! Carrying a plan out, and saying what came of it.

use std::{
    io::{self, Write as _},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use replay::{Plan, Reindexed, ReplayError, Replayed, Source, Until, Watch};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{differing, offsets_json, offsets_text, progress::Progress};
use crate::{
    Failure,
    cli::{Only, Output, ReplayRun},
    parts::Parts,
    prepare, verify,
};

/// What a signal leaves.
const STOPPED: &str = "the replay was stopped: the live generation is as it was; the next `order-ledger replay` goes on \
                       with what had loaded, or removes it";

/// Tries for the lease: whoever only looks at the status has it for a moment.
const TRIES: u32 = 3;
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

pub(super) async fn run(
    parts: &Parts,
    args: &ReplayRun,
    stop: CancellationToken,
) -> Result<ExitCode, Failure> {
    let (plan, output) = (plan(args), args.output.form);
    let replayed = perform(parts, &plan, output, stop).await?;
    if args.diff {
        differing::tell(parts, replayed.generation, output).await?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn rollback(
    parts: &Parts,
    output: Output,
    stop: CancellationToken,
) -> Result<ExitCode, Failure> {
    let plan = Plan { source: Source::Previous, until: Until::Now, swap: true, only: None };
    perform(parts, &plan, output, stop).await?;
    Ok(ExitCode::SUCCESS)
}

fn plan(args: &ReplayRun) -> Plan {
    let until = args.until.clone().unwrap_or(Until::Now);
    Plan {
        source: args.from_generation.map_or(Source::Log, Source::Generation),
        // What ends in the past never becomes live.
        swap: !args.no_swap && until == Until::Now,
        until,
        only: args.only.map(|only| match only {
            Only::State => replay::Only::State,
            Only::Search => replay::Only::Search,
        }),
    }
}

async fn perform(
    parts: &Parts,
    plan: &Plan,
    output: Output,
    stop: CancellationToken,
) -> Result<Replayed, Failure> {
    if prepare::for_replay(parts, &stop).await?.is_none() {
        return Err(STOPPED.into());
    }
    let progress = Arc::new(Progress::for_person_or_program(output)?);
    let replaying = carry_out(parts, plan, Progress::watch(&progress));
    let replayed = stop.run_until_cancelled(Box::pin(replaying)).await;
    progress.end();
    let replayed = replayed.ok_or(STOPPED)??;
    let text = match output {
        Output::Human => told(&replayed),
        Output::Json => as_json(&replayed).to_string(),
    };
    writeln!(io::stdout(), "{text}")?;
    Ok(replayed)
}

/// Carries a plan out, whoever wants it.
pub(super) async fn carry_out(
    parts: &Parts,
    plan: &Plan,
    watch: Watch,
) -> Result<Replayed, ReplayError> {
    let given = parts.for_replay();
    for _ in 1..TRIES {
        match replay::replay(&given, plan, Arc::clone(&watch)).await {
            Err(ReplayError::Busy) => tokio::time::sleep(BETWEEN_TRIES).await,
            ended => return done(parts, ended).await,
        }
    }
    done(parts, replay::replay(&given, plan, watch).await).await
}

/// Takes back what the replay said of itself, so that no one takes the generation for one that is being built.
async fn done(
    parts: &Parts,
    ended: Result<Replayed, ReplayError>,
) -> Result<Replayed, ReplayError> {
    let replayed = ended?;
    parts.generations.report(replayed.generation, "").await?;
    Ok(replayed)
}

fn told(replayed: &Replayed) -> String {
    let Replayed { generation, verified, live, offsets, search } = replayed;
    let at = offsets_text(offsets);
    let what = if *live {
        format!("generation {generation} is live, at {at}")
    } else {
        format!(
            "generation {generation} is kept, at {at}; the live one is as it was\n\
             look into it: order-ledger replay show {generation}\n\
             make it live: order-ledger replay --from-generation {generation}\n\
             remove it:    order-ledger replay remove {generation}"
        )
    };
    let verified = verified.as_ref().map(verify::summary);
    let lines = verified.into_iter().chain(search.as_ref().map(indexed)).chain([what]);
    lines.collect::<Vec<_>>().join("\n")
}

fn indexed(Reindexed { documents, refused, refusals }: &Reindexed) -> String {
    let mut told =
        format!("the search index is built anew: {documents} documents, {refused} refused");
    for refusal in refusals {
        told.push_str(&format!("\n  order {}: {}", refusal.order_id, refusal.why));
    }
    told
}

fn as_json(replayed: &Replayed) -> Value {
    let Replayed { generation, verified, live, offsets, search } = replayed;
    let search = search
        .as_ref()
        .map(|search| json!({ "documents": search.documents, "refused": search.refused }));
    json!({ "replayed": {
        "generation": generation,
        "live": live,
        "offsets": offsets_json(offsets),
        "verified": verified,
        "search": search,
    }})
}
