//! Carrying a plan out, and saying what came of it.

use std::{
    io::{self, Write as _},
    process::ExitCode,
    sync::Arc,
};

use ports::{Offset, Stage, StoreError};
use replay::{Plan, RefusedDocument, Reindexed, ReplayError, Replayed, Source, Until, Watch};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{BETWEEN_TRIES, TRIES, differing, offsets_json, offsets_text, progress::Progress};
use crate::{
    Failure, Misuse,
    cli::{MannerArgs, Only, Output, ReplayRun},
    parts::Parts,
    prepare, verify,
};

/// Which mails were sent went with the store.
const AFTER_A_LOSS: &str = "the live state was empty: `serve` announces every order anew, and the mailer mails every \
                            customer again; see \"A lost state store\" in docs/operating.md first";

pub(super) async fn run(
    parts: &Parts,
    args: &ReplayRun,
    stop: CancellationToken,
) -> Result<ExitCode, Failure> {
    let (plan, output) = (plan(args)?, args.manner.output);
    let replayed = perform(parts, &plan, output, stop).await?;
    if args.diff {
        differing::tell(parts, replayed.generation, output).await?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn rollback(
    parts: &Parts,
    manner: &MannerArgs,
    stop: CancellationToken,
) -> Result<ExitCode, Failure> {
    let rate = manner.rate.bound();
    let plan = Plan { source: Source::Previous, rate, ..Plan::WHOLE };
    perform(parts, &plan, manner.output, stop).await?;
    Ok(ExitCode::SUCCESS)
}

fn plan(args: &ReplayRun) -> Result<Plan, Failure> {
    let ReplayRun { only, no_swap, from_generation, until, diff: _, manner } = args;
    let of_state = *no_swap || from_generation.is_some() || until.is_some();
    let only = only.map(|only| match only {
        Only::State => replay::Only::State,
        Only::Search => replay::Only::Search,
    });
    if only == Some(replay::Only::Search) && of_state {
        let alone = "--only search builds the search index from the live generation: leave the other flags out";
        return Err(Misuse(alone.to_owned()).into());
    }
    let until = until.clone().unwrap_or(Until::Now);
    Ok(Plan {
        source: from_generation.map_or(Source::Log, Source::Generation),
        // What ends in the past never becomes live.
        swap: !no_swap && until == Until::Now,
        until,
        only,
        rate: manner.rate.bound(),
    })
}

async fn perform(
    parts: &Parts,
    plan: &Plan,
    output: Output,
    stop: CancellationToken,
) -> Result<Replayed, Failure> {
    // Where the index stays as it is, its server may be away.
    let search = match plan.only {
        None => plan.swap,
        Some(replay::Only::State) => false,
        Some(replay::Only::Search) => true,
    };
    if prepare::for_replay(parts, search, &stop).await?.is_none() {
        return Err("stopped before the replay began".into());
    }
    let before = live(parts).await?;
    let was_empty = is_empty(parts).await?;
    let progress = Arc::new(Progress::for_person_or_program(output)?);
    let replaying = carry_out(parts, plan, Progress::watch(&progress));
    let replayed = stop.run_until_cancelled(Box::pin(replaying)).await;
    progress.end();
    let Some(replayed) = replayed else { return Err(stopped(parts, before).await) };
    let replayed = replayed?;
    let text = match output {
        Output::Human => told(&replayed),
        Output::Json => as_json(&replayed).to_string(),
    };
    writeln!(io::stdout(), "{text}")?;
    if was_empty && replayed.live && replayed.offsets.iter().any(|end| end.offset > Offset(0)) {
        writeln!(io::stderr(), "order-ledger: {AFTER_A_LOSS}")?;
    }
    Ok(replayed)
}

/// Whether the live state never folded anything.
async fn is_empty(parts: &Parts) -> Result<bool, StoreError> {
    let progress = parts.orders.progress(&[]).await?;
    Ok(progress.iter().all(|partition| partition.next == Offset(0)))
}

async fn live(parts: &Parts) -> Result<Option<u32>, StoreError> {
    let all = parts.generations.generations().await?;
    let live = all.iter().find(|generation| generation.stage == Stage::Live);
    Ok(live.map(|generation| generation.number))
}

/// What a signal leaves.
async fn stopped(parts: &Parts, before: Option<u32>) -> Failure {
    let next = "the next `order-ledger replay` goes on with what is left, or removes it";
    match live(parts).await {
        Ok(now) if now == before => {
            format!("the replay was stopped: the live generation is as it was; {next}")
        }
        // It came too late, or there is no one to ask.
        Ok(_) | Err(_) => {
            format!(
                "the replay was stopped: `order-ledger replay status` says what is live; {next}"
            )
        }
    }
    .into()
}

/// Carries a plan out, whoever wants it.
pub(super) async fn carry_out(
    parts: &Parts,
    plan: &Plan,
    watch: Watch,
) -> Result<Replayed, ReplayError> {
    let given = parts.of_replay();
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
    let over = match &ended {
        Ok(Replayed { generation, .. }) => Some(*generation),
        Err(ReplayError::SearchPending { number, .. }) => Some(*number),
        Err(_) => None,
    };
    if let Some(generation) = over {
        parts.generations.report(generation, "").await?;
    }
    ended
}

fn told(replayed: &Replayed) -> String {
    let Replayed { generation, verified, live, offsets, search } = replayed;
    let at = offsets_text(offsets);
    let mut lines: Vec<_> = verified.iter().map(verify::summary).collect();
    if let Some(Reindexed { documents, transitions, refused, refusals }) = search {
        lines.push(format!("{documents} documents in the new search index, {refused} refused"));
        if *transitions > 0 {
            lines.push(format!("{transitions} transitions that their stream lacked"));
        }
        for RefusedDocument { order_id, why } in refusals {
            lines.push(format!("order {order_id} can't be found: {why}"));
        }
    }
    lines.push(match (verified, live) {
        (None, _) => format!("the search index is built anew from generation {generation}"),
        (Some(_), true) => format!("generation {generation} is live, at {at}"),
        (Some(_), false) => format!(
            "generation {generation} is kept, at {at}; the live one is as it was\n\
             look into it: order-ledger replay show {generation}\n\
             make it live: order-ledger replay --from-generation {generation}\n\
             remove it:    order-ledger replay remove {generation}"
        ),
    });
    lines.join("\n")
}

fn as_json(replayed: &Replayed) -> Value {
    let Replayed { generation, verified, live, offsets, search } = replayed;
    let refusal = |RefusedDocument { order_id, why }: &RefusedDocument| json!({ "order_id": order_id.to_string(), "why": why });
    let search = search.as_ref().map(|search| {
        json!({
            "documents": search.documents,
            "transitions": search.transitions,
            "refused": search.refused,
            "refusals": search.refusals.iter().map(refusal).collect::<Vec<_>>(),
        })
    });
    json!({ "replayed": {
        "generation": generation,
        "live": live,
        "offsets": offsets_json(offsets),
        "verified": verified,
        "search": search,
    }})
}
