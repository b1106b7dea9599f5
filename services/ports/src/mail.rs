//! Sending mail.

use async_trait::async_trait;
use events::Email;

/// A mail, ready to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Without angle brackets; the same mail always has the same.
    pub message_id: String,
    /// To whom.
    pub to: Email,
    /// The recipient's name, if known.
    pub to_name: Option<String>,
    /// One line.
    pub subject: String,
    /// The plain-text part.
    pub text: String,
    /// The HTML part.
    pub html: String,
}

/// Why a mail was not sent.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The server is away or said "later" (4xx); this mail, or any, may pass in a while.
    #[error("the mail server can't take it now: {0}")]
    Transient(String),
    /// The server has all of the mail and did not say whether it took it. It may arrive.
    #[error("the mail server did not say whether it took the mail, so it may have arrived: {0}")]
    Unanswered(String),
    /// The server refused this mail for good (5xx), or it can't be put together.
    #[error("the mail was refused: {0}")]
    Refused(String),
}

/// Sends mails.
#[async_trait]
pub trait Mailer: Send + Sync {
    /// Hands one mail over. OK means that the receiving side is responsible for it now. Sending the same mail again
    /// (same Message-ID) after a crash is allowed; a receiver can tell.
    async fn send(&self, mail: &Mail) -> Result<(), MailError>;

    /// Whether the server answers.
    async fn ping(&self) -> Result<(), MailError>;
}
