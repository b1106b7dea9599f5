//! What became of each line: ids and messages for people under a progress bar, one growing document for programs.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
};

use indicatif::{ProgressBar, ProgressStyle};
use proto::v1;
use serde_json::{Map, Value};

use crate::client::{
    ClientError,
    out::{Json, Out},
    place,
    refused::{Kind, Refused},
    sheet::GrowingDocument,
};

/// Tells of the lines as they are answered, and counts them.
pub(super) struct Report {
    file: String,
    form: Form,
    bar: ProgressBar,
    placed: u64,
    failed: u64,
    /// Of the failures, as long as all are of one kind.
    kind: Option<Kind>,
}

enum Form {
    Human,
    Json(Json, GrowingDocument),
}

impl Report {
    pub(super) fn new(file: &Path, out: Out) -> Self {
        let form = match out {
            Out::Human => Form::Human,
            Out::Json(json) => Form::Json(json, GrowingDocument::new("results")),
        };
        Self { file: place::name(file), form, bar: bar(file), placed: 0, failed: 0, kind: None }
    }

    /// `orders.jsonl:12`.
    pub(super) fn place(&self, line: u64) -> String {
        format!("{}:{line}", self.file)
    }

    pub(super) fn progress(&self, bytes_read: u64) {
        if !self.bar.is_hidden() {
            self.bar.set_position(bytes_read);
            self.bar.set_message(format!("{} placed, {} failed", self.placed, self.failed));
        }
    }

    pub(super) fn placed(
        &mut self,
        line: u64,
        placed: &v1::PlaceOrderResponse,
    ) -> Result<(), ClientError> {
        self.placed += 1;
        match &mut self.form {
            Form::Human => {
                self.bar.suspend(|| writeln!(io::stdout(), "{}", placed.order_id))?;
            }
            Form::Json(json, document) => {
                let placed = json.text(placed)?;
                document.item(&format!(r#"{{"line":{line},"placed":{placed}}}"#))?;
            }
        }
        Ok(())
    }

    pub(super) fn failed(&mut self, line: u64, refused: Refused) -> Result<(), ClientError> {
        self.kind = match self.kind {
            None => Some(refused.kind()),
            Some(kind) if kind == refused.kind() => Some(kind),
            Some(_) => Some(Kind::Other),
        };
        self.failed += 1;
        let place = self.place(line);
        match &mut self.form {
            Form::Human => {
                self.bar.suspend(|| writeln!(io::stderr(), "{place}: {refused}"))?;
            }
            Form::Json(_, document) => {
                let refused = serde_json::to_string(&refused)
                    .map_err(|error| ClientError::Json(error.into()))?;
                document.item(&format!(r#"{{"line":{line},"refused":{refused}}}"#))?;
            }
        }
        Ok(())
    }

    /// The stream broke off: says from which line on nothing is known.
    pub(super) fn broken(self, line: u64, refused: Refused) -> Result<(), ClientError> {
        let refused = refused.unanswered_from(&self.place(line));
        self.close()?;
        Err(ClientError::Refused(refused))
    }

    /// The end of the file: a failure if a line failed.
    pub(super) fn end(self) -> Result<(), ClientError> {
        let (failed, orders) = (self.failed, self.placed + self.failed);
        let kind = self.kind;
        self.close()?;
        kind.map_or(Ok(()), |kind| Err(ClientError::Lines { orders, failed, kind }))
    }

    /// Closes the document with the counts.
    pub(super) fn close(self) -> Result<(), ClientError> {
        self.bar.finish_and_clear();
        if let Form::Json(_, document) = self.form {
            let counts = [("placed", self.placed), ("failed", self.failed)];
            let counts = counts.map(|(name, count)| (name.to_owned(), Value::from(count)));
            document.end(&Map::from_iter(counts))?;
        }
        Ok(())
    }
}

/// On stderr, and only if that is a terminal; measured in bytes if the size is known.
fn bar(file: &Path) -> ProgressBar {
    let size = fs::metadata(file).ok().filter(fs::Metadata::is_file).map(|file| file.len());
    let (bar, template) = size.map_or_else(
        || (ProgressBar::new_spinner(), "{spinner} {msg}  {elapsed}"),
        |size| (ProgressBar::new(size), "{wide_bar} {percent:>3}%  {msg}  {elapsed}"),
    );
    let style = ProgressStyle::with_template(template);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
