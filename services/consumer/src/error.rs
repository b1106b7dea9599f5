//! One error for whatever a reaction leans on, by what can be done about it.

use ports::{AppendError, LogError, MailError, SearchError, StoreError};

/// What kept a reaction from doing its work; the text is that of the port which failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading state changes failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Appending events failed.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The search index failed.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// The mail server does not answer.
    #[error(transparent)]
    Mail(#[from] MailError),
}

impl Error {
    /// Whether waiting can help. If not, an operator must act and the role ends.
    #[must_use]
    pub const fn is_away(&self) -> bool {
        match self {
            Self::Log(LogError::Unavailable(_))
            | Self::Append(AppendError::QueueFull | AppendError::Unacknowledged(_))
            | Self::Store(StoreError::Unavailable(_))
            | Self::Search(SearchError::Unavailable(_))
            // A server that refuses to talk to us may be told otherwise while we run: a password, an allow list.
            | Self::Mail(
                MailError::Transient(_) | MailError::Unanswered(_) | MailError::Refused(_),
            ) => true,
            Self::Log(LogError::Unfit(_) | LogError::Expired { .. })
            | Self::Append(AppendError::TooLarge { .. })
            | Self::Store(StoreError::Corrupt(_) | StoreError::OtherFold { .. })
            | Self::Search(SearchError::Unfit(_)) => false,
        }
    }
}
