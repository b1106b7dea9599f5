//! `order-ledger verify`: the log folded again against everything that is stored of it.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use ports::{GenerationStore, Stage};
use replay::{Compared, Difference, Ledger, Share, Verification, VerifySettings};
use serde_json::json;

use crate::{
    Failure, against, bars,
    cli::{Output, Portion, VerifyArgs},
    config::Config,
    parts::Parts,
    reader_left,
};

/// Verifies, showing how far it is on a terminal, and prints every difference as it is found and what was looked at.
pub(crate) async fn run(args: &VerifyArgs, config: &Config) -> Result<ExitCode, Failure> {
    if let Some(copy) = &args.against {
        // The log alone is looked at.
        let parts = Parts::open_beside(config).await?;
        return against::run(copy, args, config, &parts).await;
    }
    let parts = Parts::open_to_look(config).await?;
    let beside = match args.generation {
        Some(number) => beside(&parts, number).await?,
        None => None,
    };
    let ledger = match (&beside, args.generation) {
        (Some(store), _) => {
            let (store, dead_letters) = (store.as_ref(), store.as_ref());
            Ledger { store, dead_letters, ..ledger(&parts, Portion::None, Portion::None) }
        }
        (None, Some(_)) => ledger(&parts, Portion::None, Portion::None),
        (None, None) => ledger(&parts, args.documents, args.transitions),
    };
    let bar = bars::bar()?;
    let progress = |Compared { records, of, held: _ }| {
        bar.set_length(of);
        bar.set_position(records);
    };
    let mut broken = None;
    let mut tell = |difference: Difference| {
        let line = match args.output {
            Output::Human => difference.to_string(),
            Output::Json => difference_json(&difference).to_string(),
        };
        if let Err(error) = bar.suspend(|| writeln!(io::stdout(), "{line}")) {
            broken.get_or_insert(error);
        }
    };
    let settings = VerifySettings { progress: Some(&progress), ..VerifySettings::default() };
    let found = replay::verify_with(ledger, settings, &mut tell).await?;
    bar.finish_and_clear();
    let last = match args.output {
        Output::Human => summary(&found),
        Output::Json => json!({ "verified": found }).to_string(),
    };
    let told = broken.map_or_else(|| writeln!(io::stdout(), "{last}"), Err);
    match told {
        // The exit code still says whether anything differs.
        Err(error) if reader_left(&error) => {}
        told => told?,
    }
    Ok(if found.differences == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A generation beside the live one; `None` if it is the live one.
async fn beside(parts: &Parts, number: u32) -> Result<Option<Box<dyn GenerationStore>>, Failure> {
    let all = parts.generations.generations().await?;
    let found = all.iter().find(|generation| generation.number == number);
    match found.map(|generation| generation.stage) {
        None => Err(format!("there is no generation {number}").into()),
        Some(Stage::Live) => Ok(None),
        Some(Stage::Loading) => Err(format!("generation {number} has not loaded yet").into()),
        Some(Stage::Ready | Stage::Retired) => Ok(Some(parts.generations.open(number).await?)),
    }
}

/// What there is to verify.
pub(crate) fn ledger(parts: &Parts, documents: Portion, transitions: Portion) -> Ledger<'_> {
    let share = |portion| match portion {
        Portion::All => Some(Share::All),
        Portion::Sample => Some(Share::Sample),
        Portion::None => None,
    };
    Ledger {
        log: parts.log.as_ref(),
        store: parts.orders.as_ref(),
        dead_letters: parts.dead_letters.as_ref(),
        search: share(documents).map(|share| (parts.search.as_ref(), share)),
        transitions: share(transitions).map(|share| (parts.kept_transitions.as_ref(), share)),
    }
}

/// One line for people.
pub(crate) fn summary(found: &Verification) -> String {
    let Verification { records, applied, rejected, duplicates, parked, .. } = found;
    let Verification { dead_letters, behind, orders, documents, differences, .. } = found;
    let transitions = transitions(found);
    let verdict = match differences {
        0 => "every record is accounted for, every stored snapshot equals the fold of the log, byte for byte"
            .to_owned(),
        count => format!("{count} differences"),
    };
    format!(
        "{records} records ({applied} applied, {rejected} rejected, {duplicates} duplicates, {parked} parked, \
         {dead_letters} dead letters; {behind} not folded yet), {orders} orders, {documents} documents{transitions}: \
         {verdict}"
    )
}

/// What was seen of the stream of transitions, if it was looked at.
fn transitions(found: &Verification) -> String {
    let Verification { transitions, transitions_behind, transitions_before, .. } = found;
    if transitions + transitions_behind + transitions_before == 0 {
        return String::new();
    }
    format!(
        ", {transitions} transitions ({transitions_behind} not indexed yet, {transitions_before} missing from before \
         the stream)"
    )
}

fn difference_json(difference: &Difference) -> serde_json::Value {
    let Difference { order_id, position, field, stored, expected } = difference;
    json!({ "difference": {
        "order_id": order_id.map(|id| id.to_string()),
        "partition": position.map(|position| position.partition.0),
        "offset": position.map(|position| position.offset.0),
        "field": field,
        "stored": stored,
        "expected": expected,
    }})
}
