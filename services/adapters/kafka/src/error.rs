//! From librdkafka's errors to what the caller can do about them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use ports::{AppendError, LogError};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::options::RECORD_BYTES_MAX;

/// A failure that may pass; `what` could not be done.
pub(crate) fn unavailable(what: &str, error: &KafkaError) -> LogError {
    LogError::Unavailable(format!("could not {what}: {error}"))
}

/// A client could not be made: its settings are wrong.
pub(crate) fn unfit_settings(error: &KafkaError) -> LogError {
    // The text never holds a password: librdkafka names the setting and what it allows.
    LogError::Unfit(match error {
        KafkaError::ClientConfig(_, text, name, _) => format!("the setting {name}: {text}"),
        other => other.to_string(),
    })
}

/// Why a record of `size` bytes was not delivered.
pub(crate) fn undelivered(error: &KafkaError, size: usize) -> AppendError {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::QueueFull) => AppendError::QueueFull,
        Some(RDKafkaErrorCode::MessageSizeTooLarge) => {
            AppendError::TooLarge { size, max: RECORD_BYTES_MAX }
        }
        Some(code) => AppendError::Unacknowledged(code.to_string()),
        None => AppendError::Unacknowledged(error.to_string()),
    }
}

/// A lock whose holder panicked is taken all the same: no invariant spans more than one statement under it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
