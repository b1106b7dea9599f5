//! What became of an import: for people in lines, for programs as one document.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use kibana::SavedObject;
use serde_json::{Value, json};

use super::server::{Answer, Kibana, NotImported, Reason};
use crate::{cli::Output, table::table};

/// An import that Kibana took, wholly or in part.
pub(super) struct Told {
    url: String,
    space: String,
    version: String,
    imported: Vec<Imported>,
    failed: Vec<Failed>,
}

struct Imported {
    object: SavedObject,
    /// Where a browser finds it.
    address: Option<String>,
}

struct Failed {
    kind: String,
    id: String,
    title: String,
    reason: String,
    why: String,
    next: &'static str,
}

impl Told {
    /// Compares what was sent with what Kibana says of it.
    pub(super) fn new(
        kibana: &Kibana,
        version: String,
        sent: Vec<SavedObject>,
        answer: Answer,
    ) -> Self {
        let Answer { success, success_count, errors } = answer;
        let title = |error: &NotImported| {
            let of = sent.iter().find(|o| o.kind == error.r#type && o.id == error.id);
            of.map_or_else(String::new, |object| object.title.clone())
        };
        let mut failed: Vec<_> = errors.iter().map(|e| Failed::new(e, title(e))).collect();
        let is_failed = |object: &SavedObject| {
            errors.iter().any(|error| error.r#type == object.kind && error.id == object.id)
        };
        let left: Vec<_> = sent.into_iter().filter(|object| !is_failed(object)).collect();
        if left.len() != success_count || (failed.is_empty() && !success) {
            failed.push(Failed::uncounted(left.len(), success_count));
        }
        let imported = left.into_iter().map(|object| {
            let address = kibana.address(object.kind, &object.id);
            Imported { object, address }
        });
        Self {
            url: kibana.url().to_owned(),
            space: kibana.space().to_owned(),
            version,
            imported: imported.collect(),
            failed,
        }
    }

    /// Writes it, and says how the verb ends.
    pub(super) fn tell(&self, output: Output) -> io::Result<ExitCode> {
        match output {
            Output::Json => writeln!(io::stdout(), "{}", self.document())?,
            Output::Human => self.lines()?,
        }
        Ok(if self.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn lines(&self) -> io::Result<()> {
        let mut shown = table(["imported", "kind", "where"]);
        for Imported { object, address } in &self.imported {
            let address = address.as_deref().unwrap_or_default();
            shown.add_row([object.title.as_str(), word(object.kind), address]);
        }
        let Self { url, space, version, .. } = self;
        let mut out = io::stdout().lock();
        writeln!(out, "{shown}")?;
        let (imported, all) = (self.imported.len(), self.imported.len() + self.failed.len());
        writeln!(out, "Kibana {version} at {url}, space {space}: {imported} of {all} imported")?;
        for Failed { kind, id, title, why, next, .. } in &self.failed {
            let kind = word(kind);
            writeln!(io::stderr(), "not imported: {kind} {id} {title}: {why}; {next}")?;
        }
        Ok(())
    }

    fn document(&self) -> Value {
        let imported = self.imported.iter().map(|Imported { object, address }| {
            json!({
                "type": object.kind,
                "id": object.id,
                "title": object.title,
                "address": address,
            })
        });
        let failed = self.failed.iter().map(|failed| {
            json!({
                "type": failed.kind,
                "id": failed.id,
                "title": failed.title,
                "reason": failed.reason,
                "why": failed.why,
                "next": failed.next,
            })
        });
        json!({
            "kibana": { "url": self.url, "version": self.version, "space": self.space },
            "imported": imported.collect::<Vec<_>>(),
            "failed": failed.collect::<Vec<_>>(),
        })
    }
}

/// What people call a kind of objects.
fn word(kind: &str) -> &str {
    if kind == "index-pattern" { "data view" } else { kind }
}

impl Failed {
    fn new(error: &NotImported, title: String) -> Self {
        let NotImported { r#type: kind, id, error: Reason { r#type: reason, message, references } } =
            error;
        let missing: Vec<_> = references.iter().map(|r| format!("{} {}", r.r#type, r.id)).collect();
        let (why, next) = match reason.as_str() {
            "conflict" => {
                ("it is there already".to_owned(), "leave --no-overwrite out to replace it")
            }
            "ambiguous_conflict" => (
                "several copies of it are there".to_owned(),
                "delete all but one under Stack Management, Saved Objects, and import again",
            ),
            "missing_references" => (
                format!("it refers to what is not there: {}", missing.join(", ")),
                "see why that was not imported, and import again",
            ),
            "unsupported_type" => (
                "this Kibana does not know its kind".to_owned(),
                "turn on the plugin that does (dashboards, Discover, data views)",
            ),
            _ if message.is_empty() => (reason.clone(), "Kibana's log says more"),
            _ => (message.clone(), "Kibana's log says more"),
        };
        Self { kind: kind.clone(), id: id.clone(), title, reason: reason.clone(), why, next }
    }

    fn uncounted(sent: usize, counted: usize) -> Self {
        Self {
            kind: "the".to_owned(),
            id: "file".to_owned(),
            title: String::new(),
            reason: "uncounted".to_owned(),
            why: format!("Kibana names no failure of {sent} objects, and counts {counted}"),
            next: "look under Stack Management, Saved Objects, and import again",
        }
    }
}
