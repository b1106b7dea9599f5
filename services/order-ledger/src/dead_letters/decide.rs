//! Deciding: what is wanted is written down, and whoever has to carry it out is waited for.

use std::{
    collections::BTreeSet,
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
    time::Duration,
};

use events::OrderId;
use ports::{Consumer, DeadLetter, DeadLetters, LetterFilter, LetterKey, LetterStatus};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{find, id, unknown};
use crate::{
    Failure,
    cli::{DecideArgs, Output, WhichArgs},
    parts::Parts,
};

/// How often a letter is looked at while it is waited for.
const GLANCE: Duration = Duration::from_millis(200);
/// Letters read at a time.
const PAGE: usize = 100;

/// What was decided on a letter.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Decision {
    Retry,
    Discard,
}

/// What became of it.
enum Became {
    /// It was read, and what it says was done.
    Read,
    Discarded,
    /// Nothing: it is open as before.
    Refused(String),
    /// Nothing: it was discarded for good earlier.
    Final,
    /// No one has carried it out yet.
    Waits,
}

pub(super) async fn retry(parts: &Parts, args: &DecideArgs) -> Result<ExitCode, Failure> {
    let keys = which(parts, args).await?;
    decide(parts, args, &keys, Decision::Retry).await
}

pub(super) async fn discard(
    parts: &Parts,
    args: &DecideArgs,
    yes: bool,
) -> Result<ExitCode, Failure> {
    let keys = which(parts, args).await?;
    if !yes && !keys.is_empty() && !agreed(&keys)? {
        return Err("nothing is discarded".into());
    }
    decide(parts, args, &keys, Decision::Discard).await
}

/// Those that are named, or all that no one has decided on.
async fn which(parts: &Parts, args: &DecideArgs) -> Result<Vec<LetterKey>, Failure> {
    let WhichArgs { ids, all } = &args.which;
    if !all {
        return Ok(ids.clone());
    }
    let statuses = vec![LetterStatus::Open];
    let filter = LetterFilter { consumer: args.consumer, statuses, order: None };
    let mut keys: Vec<LetterKey> = Vec::new();
    loop {
        let page = parts.dead_letters.letters(&filter, keys.last().copied(), PAGE).await?;
        if page.is_empty() {
            return Ok(keys);
        }
        keys.extend(page.iter().map(DeadLetter::key));
    }
}

/// Asks, if there is someone to ask.
fn agreed(keys: &[LetterKey]) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err("what is discarded can't be taken back: say --yes".into());
    }
    for key in keys {
        writeln!(io::stderr(), "{}", id(*key))?;
    }
    let question = "Discard for good? Orders that these park go on without them. [y/N]";
    write!(io::stderr(), "{question} ")?;
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Writes every decision down, then waits for all of them together.
async fn decide(
    parts: &Parts,
    args: &DecideArgs,
    keys: &[LetterKey],
    decision: Decision,
) -> Result<ExitCode, Failure> {
    let letters = parts.dead_letters.as_ref();
    let mut wanted = Vec::with_capacity(keys.len());
    for key in keys {
        let letter = find(letters, *key).await?.ok_or_else(|| unknown(*key))?;
        wanted.push((letter, decision));
    }
    let mut decided = Vec::with_capacity(wanted.len());
    for (letter, decision) in wanted {
        let status = letters.decide(letter.key(), status(&letter, decision)).await?;
        decided.push((letter, status));
    }
    let until = Instant::now() + args.wait;
    let mut all_done = true;
    let mut outcomes = Vec::with_capacity(decided.len());
    for (letter, status) in decided {
        let became = wait(letters, &letter, status, decision, until).await?;
        all_done &= !matches!(became, Became::Refused(_) | Became::Final);
        outcomes.push((letter, became));
    }
    // Only now: one of these letters may park the order of another.
    let parked = parked(letters, &outcomes).await?;
    let mut told = Vec::new();
    for (letter, became) in &outcomes {
        let waits = letter.parks.is_some_and(|order| parked.contains(&order));
        match args.output {
            Output::Human => writeln!(io::stdout(), "{}", line(letter, became, waits))?,
            Output::Json => told.push(as_json(letter, became, waits)),
        }
    }
    if args.output == Output::Json {
        writeln!(io::stdout(), "{}", json!({ "decided": told }))?;
    } else if keys.is_empty() {
        writeln!(io::stdout(), "no dead letter is open")?;
    }
    Ok(if all_done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What to write down. Where nothing has to be folded again, to discard is no more than to say so.
const fn status(letter: &DeadLetter, decision: Decision) -> LetterStatus {
    match (decision, letter.consumer) {
        (Decision::Retry, _) => LetterStatus::Retry,
        (Decision::Discard, Consumer::Projector) if letter.parks.is_some() => LetterStatus::Discard,
        (
            Decision::Discard,
            Consumer::Projector | Consumer::Search | Consumer::Mailer | Consumer::Fulfilment,
        ) => LetterStatus::Discarded,
    }
}

/// Looks at a letter until something became of it or the time is over.
async fn wait(
    letters: &dyn DeadLetters,
    letter: &DeadLetter,
    mut status: Option<LetterStatus>,
    decision: Decision,
    until: Instant,
) -> Result<Became, Failure> {
    let mut now = letter.clone();
    loop {
        match (status, decision) {
            (None, Decision::Retry | Decision::Discard) => return Ok(Became::Read),
            (Some(LetterStatus::Discarded), Decision::Discard) => return Ok(Became::Discarded),
            (Some(LetterStatus::Discarded), Decision::Retry) => return Ok(Became::Final),
            (Some(LetterStatus::Open), Decision::Retry) => {
                return Ok(Became::Refused(format!("{}: {}", now.reason.name(), now.detail)));
            }
            (Some(LetterStatus::Open), Decision::Discard) => {
                let why = "its history can't be folded again; the projector's log says why";
                return Ok(Became::Refused(why.to_owned()));
            }
            (Some(LetterStatus::Retry | LetterStatus::Discard), _) if Instant::now() >= until => {
                return Ok(Became::Waits);
            }
            (Some(LetterStatus::Retry | LetterStatus::Discard), _) => sleep(GLANCE).await,
        }
        let found = find(letters, letter.key()).await?;
        status = found.as_ref().map(|found| found.status);
        now = found.unwrap_or(now);
    }
}

/// Which of their orders are parked still.
async fn parked(
    letters: &dyn DeadLetters,
    outcomes: &[(DeadLetter, Became)],
) -> Result<BTreeSet<OrderId>, Failure> {
    let orders: BTreeSet<_> = outcomes.iter().filter_map(|(letter, _)| letter.parks).collect();
    let orders: Vec<_> = orders.into_iter().collect();
    let mut parked = BTreeSet::new();
    for page in orders.chunks(PAGE) {
        parked.extend(letters.parked(page).await?);
    }
    Ok(parked)
}

fn line(letter: &DeadLetter, became: &Became, waits: bool) -> String {
    let id = id(letter.key());
    let then = match letter.parks {
        Some(order) if waits => format!(
            "order {order} still waits for another dead letter: see `order-ledger dead-letters list --order {order}`"
        ),
        Some(order) => format!("order {order} goes on"),
        None => "done".to_owned(),
    };
    match became {
        Became::Read => format!("{id}: read, {then}"),
        Became::Discarded => format!("{id}: discarded, {then}"),
        Became::Final if letter.parks.is_some() => {
            format!("{id}: it is discarded for good; {then}")
        }
        Became::Final => format!("{id}: it is discarded for good"),
        Became::Refused(why) => match letter.parks {
            Some(order) => format!("{id}: order {order} stays parked: {why}"),
            None => format!("{id}: it stays a dead letter: {why}"),
        },
        Became::Waits => {
            let role = letter.consumer.name();
            format!(
                "{id}: not carried out yet; the wish stands, and the next {role} to run carries it out"
            )
        }
    }
}

fn as_json(letter: &DeadLetter, became: &Became, waits: bool) -> Value {
    let (result, why) = match became {
        Became::Read => ("read", None),
        Became::Discarded => ("discarded", None),
        Became::Final => ("refused", Some("it is discarded for good")),
        Became::Refused(why) => ("refused", Some(why.as_str())),
        Became::Waits => ("waits", None),
    };
    let order = letter.parks.map(|order| order.to_string());
    json!({ "id": id(letter.key()), "parks_order": order, "order_waits": waits, "result": result, "why": why })
}
