//! `order-ledger dead-letters`: what could not be read, and what someone decides about it.
//!
//! Looks at the store and writes down what is wanted; whoever owns the partition, or the role that gave up, carries it out.
//! Runs beside them.

mod decide;
mod list;
mod show;

use std::process::ExitCode;

use ports::{DeadLetter, DeadLetters, LetterFilter, LetterKey, Offset, Position, StoreError};

use crate::{Failure, cli::LettersVerb, config::Config, parts::Parts};

/// Runs a verb.
pub(crate) async fn run(verb: LettersVerb, config: &Config) -> Result<ExitCode, Failure> {
    let parts = Parts::open_to_look(config).await?;
    match verb {
        LettersVerb::List { letters, .. } => list::run(&parts, &letters).await,
        LettersVerb::Show { id, output, .. } => show::run(&parts, id, output).await,
        LettersVerb::Retry { decide, .. } => decide::retry(&parts, &decide).await,
        LettersVerb::Discard { decide, yes, .. } => decide::discard(&parts, &decide, yes).await,
    }
}

/// As `--order` and the verbs take it: `projector/3/120`.
fn id(key: LetterKey) -> String {
    let LetterKey { consumer, position: Position { partition, offset } } = key;
    format!("{}/{partition}/{offset}", consumer.name())
}

/// One letter, if it is there.
async fn find(letters: &dyn DeadLetters, key: LetterKey) -> Result<Option<DeadLetter>, StoreError> {
    let filter = LetterFilter { consumer: Some(key.consumer), ..LetterFilter::default() };
    let Position { partition, offset } = key.position;
    let before = Position { partition, offset: Offset(offset.0.saturating_sub(1)) };
    let after = LetterKey { position: before, ..key };
    let found = letters.letters(&filter, Some(after), 1).await?.pop();
    Ok(found.filter(|letter| letter.key() == key))
}

fn unknown(key: LetterKey) -> String {
    format!("there is no dead letter {}: see `order-ledger dead-letters list`", id(key))
}
