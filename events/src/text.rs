//! Text that has been looked at: bounded, without control characters, never empty.

use std::fmt;

use email_address::{EmailAddress, Options};

/// A non-empty text of at most `MAX` characters, without control characters (line breaks and tabs are allowed inside).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text<const MAX: usize>(Box<str>);

/// Why a text was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Nothing, or blanks alone.
    #[error("must not be empty")]
    Empty,
    /// More characters than allowed.
    #[error("must have at most {max} characters, has {found}")]
    TooLong {
        /// How many are allowed.
        max: usize,
        /// How many there are.
        found: usize,
    },
    /// A character that no one can see.
    #[error("must not contain control characters")]
    Control,
}

impl<const MAX: usize> Text<MAX> {
    /// Takes a text as it is: nothing is trimmed or changed.
    ///
    /// # Errors
    /// [`TextError`], the first that applies in the order of its variants.
    pub fn new(text: &str) -> Result<Self, TextError> {
        if text.trim().is_empty() {
            return Err(TextError::Empty);
        }
        let found = text.chars().count();
        if found > MAX {
            return Err(TextError::TooLong { max: MAX, found });
        }
        if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            return Err(TextError::Control);
        }
        Ok(Self(text.into()))
    }

    /// Takes a text that may be left out: empty means none.
    ///
    /// # Errors
    /// As [`Text::new`], but never [`TextError::Empty`] for the empty text.
    pub fn optional(text: &str) -> Result<Option<Self>, TextError> {
        if text.is_empty() { Ok(None) } else { Self::new(text).map(Some) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> fmt::Display for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A mail address with a domain that a mail could be sent to (RFC 5321, no display name, no literal).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Email(Box<str>);

/// The text is not a mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a mail address such as ana@example.com")]
pub struct EmailError;

impl Email {
    /// Parses a bare address, at most 254 octets.
    ///
    /// # Errors
    /// [`EmailError`].
    pub fn new(text: &str) -> Result<Self, EmailError> {
        let options =
            Options::default().with_required_tld().without_display_text().without_domain_literal();
        // Line breaks can never be let through: the address becomes a mail header.
        if text.len() > 254 || !text.is_ascii() || text.chars().any(char::is_control) {
            return Err(EmailError);
        }
        EmailAddress::parse_with_options(text, options).map_err(|_| EmailError)?;
        Ok(Self(text.into()))
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A BCP 47 language tag as the customer gave it, `es-CL`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Locale(Text<35>);

/// A language that customers are written to in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    /// English, also for every locale that has no templates of its own.
    English,
    /// Spanish.
    Spanish,
}

impl Locale {
    /// Takes a tag of at most 35 letters, digits, `-` and `_`.
    ///
    /// # Errors
    /// [`TextError`]; any other character counts as [`TextError::Control`].
    pub fn new(tag: &str) -> Result<Self, TextError> {
        let text = Text::new(tag)?;
        if !tag.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')) {
            return Err(TextError::Control);
        }
        Ok(Self(text))
    }

    /// The tag.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The language to write in.
    #[must_use]
    pub fn language(&self) -> Language {
        let primary = self.as_str().split(['-', '_']).next().unwrap_or_default();
        if primary.eq_ignore_ascii_case("es") { Language::Spanish } else { Language::English }
    }
}
