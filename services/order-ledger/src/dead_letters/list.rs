//! Those that match, a page at a time.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use chrono::SecondsFormat;
use comfy_table::Table;
use ports::{DeadLetter, LetterFilter};
use serde_json::{Map, Value, json};

use super::id;
use crate::{
    Failure,
    cli::{LettersArgs, Output},
    client::GrowingDocument,
    parts::Parts,
    table::table,
};

/// Letters read at a time: each may be as large as a record.
const PAGE: usize = 100;

pub(super) async fn run(parts: &Parts, args: &LettersArgs) -> Result<ExitCode, Failure> {
    let LettersArgs { consumer, order, .. } = *args;
    let filter = LetterFilter { consumer, statuses: args.statuses.clone(), order };
    let mut left = if args.all { usize::MAX } else { args.limit };
    let mut shown = Shown::new(args.output);
    let mut after = None;
    loop {
        // One more than is shown says whether there are more.
        let page =
            parts.dead_letters.letters(&filter, after, PAGE.min(left).saturating_add(1)).await?;
        let is_last = page.len() <= PAGE.min(left);
        let page: Vec<_> = page.into_iter().take(PAGE.min(left)).collect();
        left -= page.len();
        after = page.last().map(DeadLetter::key).or(after);
        shown.page(&page)?;
        if is_last || left == 0 {
            return shown.end(is_last);
        }
    }
}

enum Shown {
    Human(Table),
    Json(GrowingDocument),
}

impl Shown {
    fn new(output: Output) -> Self {
        match output {
            Output::Human => Self::Human(table([
                "dead letter",
                "status",
                "parks order",
                "reason",
                "detail",
                "since",
            ])),
            Output::Json => Self::Json(GrowingDocument::new("dead_letters")),
        }
    }

    fn page(&mut self, letters: &[DeadLetter]) -> Result<(), Failure> {
        for letter in letters {
            match self {
                Self::Human(table) => _ = table.add_row(row(letter)),
                Self::Json(document) => document.item(&as_json(letter).to_string())?,
            }
        }
        Ok(())
    }

    fn end(self, is_last: bool) -> Result<ExitCode, Failure> {
        match self {
            Self::Human(table) => writeln!(io::stdout(), "{table}")?,
            Self::Json(document) => document.end(&Map::new())?,
        }
        if !is_last {
            writeln!(io::stderr(), "there are more: see --limit and --all")?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn row(letter: &DeadLetter) -> [String; 6] {
    [
        id(letter.key()),
        letter.status.name().to_owned(),
        letter.parks.map_or_else(String::new, |order| order.to_string()),
        letter.reason.name().to_owned(),
        letter.detail.clone(),
        since(letter),
    ]
}

/// A letter without its bytes.
pub(super) fn as_json(letter: &DeadLetter) -> Value {
    let position = letter.record.position;
    json!({
        "id": id(letter.key()),
        "consumer": letter.consumer.name(),
        "partition": position.partition.0,
        "offset": position.offset.0,
        "status": letter.status.name(),
        "parks_order": letter.parks.map(|order| order.to_string()),
        "reason": letter.reason.name(),
        "detail": letter.detail,
        "since": since(letter),
    })
}

pub(super) fn since(letter: &DeadLetter) -> String {
    letter.at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
