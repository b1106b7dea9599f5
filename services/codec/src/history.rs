//! History rows as callers see them.

use ports::{HistoryOutcome, HistoryRow};
use prost::Message as _;
use proto::v1;

use crate::{DecodeError, state_to_proto};

/// A row of an order's history, with its event as logged.
///
/// # Errors
/// [`DecodeError`]: the row's event is not the message it should be.
pub fn history_to_proto(row: &HistoryRow) -> Result<v1::HistoryEntry, DecodeError> {
    let event = v1::OrderEvent::decode(row.event.clone())?;
    let outcome = match row.outcome {
        HistoryOutcome::Applied { .. } => v1::EventOutcome::Applied,
        HistoryOutcome::Rejected { .. } => v1::EventOutcome::Rejected,
        HistoryOutcome::Duplicate { .. } => v1::EventOutcome::Duplicate,
        HistoryOutcome::Parked { .. } => v1::EventOutcome::Parked,
    };
    let (from, to, rejection) = outcome_to_proto(&row.outcome);
    Ok(v1::HistoryEntry {
        event: Some(event),
        position: Some(v1::LogPosition {
            partition: row.position.partition.0,
            offset: row.position.offset.0,
        }),
        version: row.version,
        outcome: outcome.into(),
        from: from.into(),
        to: to.into(),
        rejection,
    })
}

/// Where the order stood, where it stands, and why the event was rejected.
#[must_use]
pub fn outcome_to_proto(outcome: &HistoryOutcome) -> (v1::OrderState, v1::OrderState, String) {
    let (from, to, reason) = outcome.parts();
    let state =
        |state: Option<events::State>| state.map_or(v1::OrderState::Unspecified, state_to_proto);
    (state(from), state(to), reason.map_or_else(String::new, |reason| reason.name().to_owned()))
}
