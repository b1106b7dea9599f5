//! Many results in pages: a table a page for people, one JSON document that grows for programs. However many there are,
//! one page is held.

use std::io::{self, BufWriter, Stdout, Write as _};

use comfy_table::Table;
use serde_json::{Map, Value};

use crate::{
    cli::PageArgs,
    client::{
        ClientError,
        out::{Json, Named, Out},
    },
};

/// What the server gives at a time.
const PAGE: u64 = 500;

/// Which page comes next.
pub(crate) struct Pages {
    left: u64,
    token: String,
}

impl Pages {
    pub(crate) fn new(args: &PageArgs) -> Self {
        Self { left: args.limit(), token: args.page_token.clone() }
    }

    /// What to ask for: how many, and after which token.
    pub(crate) fn next(&self) -> (u32, String) {
        (u32::try_from(self.left.min(PAGE)).unwrap_or(u32::MAX), self.token.clone())
    }

    /// Takes note of an answer; whether another page is wanted and there.
    pub(crate) fn go_on(&mut self, got: usize, token: &str) -> bool {
        self.left = self.left.saturating_sub(u64::try_from(got).unwrap_or(u64::MAX));
        token.clone_into(&mut self.token);
        self.left > 0 && !self.token.is_empty()
    }
}

/// A JSON object whose first field is an array that is written as it comes.
pub(crate) struct GrowingDocument {
    out: BufWriter<Stdout>,
    array: &'static str,
    items: u64,
}

impl GrowingDocument {
    /// Writes nothing yet: a call that is refused leaves stdout empty.
    pub(crate) fn new(array: &'static str) -> Self {
        Self { out: BufWriter::new(io::stdout()), array, items: 0 }
    }

    pub(crate) fn item(&mut self, item: &str) -> io::Result<()> {
        self.open()?;
        let separator = if self.items == 0 { "" } else { "," };
        self.items += 1;
        write!(self.out, "{separator}{item}")
    }

    /// Closes it with the other fields.
    pub(crate) fn end(mut self, fields: &Map<String, Value>) -> io::Result<()> {
        self.open()?;
        write!(self.out, "]")?;
        for (name, value) in fields {
            write!(self.out, ",\"{name}\":{value}")?;
        }
        writeln!(self.out, "}}")?;
        self.out.flush()
    }

    fn open(&mut self) -> io::Result<()> {
        if self.items == 0 { write!(self.out, "{{\"{}\":[", self.array) } else { Ok(()) }
    }
}

/// Shows the items of `array`, page after page.
pub(crate) struct Sheet<'a, M> {
    form: Form<'a>,
    array: &'static str,
    table: fn(&[M]) -> Table,
}

enum Form<'a> {
    Human,
    Json(&'a Json, GrowingDocument),
}

impl<'a, M: Named> Sheet<'a, M> {
    pub(crate) fn new(out: &'a Out, array: &'static str, table: fn(&[M]) -> Table) -> Self {
        let form = match out {
            Out::Human => Form::Human,
            Out::Json(json) => Form::Json(json, GrowingDocument::new(array)),
        };
        Self { form, array, table }
    }

    pub(crate) fn page(&mut self, items: &[M]) -> Result<(), ClientError> {
        match &mut self.form {
            Form::Human => writeln!(io::stdout(), "{}", (self.table)(items))?,
            Form::Json(json, document) => {
                for item in items {
                    document.item(&json.text(item)?)?;
                }
            }
        }
        Ok(())
    }

    /// Ends with what else the last answer says, its items taken out; people hear whether there is more.
    pub(crate) fn end<R: Named>(self, rest: &R, next_page_token: &str) -> Result<(), ClientError> {
        match self.form {
            Form::Human if next_page_token.is_empty() => {}
            Form::Human => writeln!(io::stderr(), "there are more: see --limit and --all")?,
            Form::Json(json, document) => {
                let rest = json.text(rest)?;
                let fields = serde_json::from_str::<Map<String, Value>>(&rest);
                let mut fields = fields.map_err(|error| ClientError::Json(error.into()))?;
                fields.remove(self.array);
                document.end(&fields)?;
            }
        }
        Ok(())
    }
}
