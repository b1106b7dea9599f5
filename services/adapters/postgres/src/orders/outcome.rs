//! What became of a record, as columns of `order_history`.

use events::{Rejection, State};
use ports::HistoryOutcome;
use sqlx::{Row as _, postgres::PgRow};

use crate::{columns, error::Error};

pub(super) struct OutcomeColumns {
    pub(super) outcome: &'static str,
    pub(super) from_state: Option<&'static str>,
    pub(super) to_state: Option<&'static str>,
    pub(super) reason: Option<&'static str>,
    pub(super) recorded: bool,
}

impl From<HistoryOutcome> for OutcomeColumns {
    fn from(outcome: HistoryOutcome) -> Self {
        let (from, to, reason) = outcome.parts();
        Self {
            outcome: outcome.name(),
            from_state: from.map(State::name),
            to_state: to.map(State::name),
            reason: reason.map(Rejection::name),
            recorded: outcome.is_recorded(),
        }
    }
}

pub(super) fn outcome(row: &PgRow) -> Result<HistoryOutcome, Error> {
    let from = columns::state(row, "from_state")?;
    let to = columns::state(row, "to_state")?;
    let reason: Option<&str> = row.try_get("reason")?;
    let name: &str = row.try_get("outcome")?;
    match (name, to, reason) {
        ("applied", Some(to), None) => Ok(HistoryOutcome::Applied { from, to }),
        ("rejected", state, Some(reason)) => Ok(HistoryOutcome::Rejected {
            reason: columns::named("reason", reason, Rejection::from_name)?,
            state,
            recorded: row.try_get("recorded")?,
        }),
        ("duplicate", Some(state), None) => Ok(HistoryOutcome::Duplicate { state }),
        ("parked", state, None) => Ok(HistoryOutcome::Parked { state }),
        _ => Err(Error::Corrupt(format!(
            "a history row says {name:?}, to state {to:?}, for reason {reason:?}"
        ))),
    }
}
