//! Every fault of a message at once, each with the path of its field.

use std::fmt::{self, Display};

/// One fault: which field, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The field's path in the message, `details.lines[2].quantity`.
    pub field: String,
    /// Continues a sentence that begins with the field: "must not be empty".
    pub description: String,
}

/// One fault or more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Violations(Vec<Violation>);

impl Violations {
    /// Notes a fault.
    pub fn add(&mut self, field: impl Into<String>, description: impl Display) {
        self.0.push(Violation { field: field.into(), description: description.to_string() });
    }

    /// Takes the value out of a result, or notes its error as a fault of `field`.
    pub fn check<T, E: Display>(
        &mut self,
        field: impl Into<String>,
        result: Result<T, E>,
    ) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.add(field, error);
                None
            }
        }
    }

    /// Adds the faults of a nested message, their paths below `prefix`.
    pub fn nest(&mut self, prefix: &str, nested: Self) {
        self.0.extend(nested.0.into_iter().map(|violation| Violation {
            field: format!("{prefix}.{}", violation.field),
            ..violation
        }));
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The faults, in the order of the fields.
    #[must_use]
    pub fn as_slice(&self) -> &[Violation] {
        &self.0
    }
}

impl Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Violation { field, description }) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{field} {description}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Violations {}
