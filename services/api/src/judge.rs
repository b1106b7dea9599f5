//! The state machine's verdict on an event, for callers who wait for it, and the first result of what comes again.

use std::sync::Arc;

use events::{EventId, Fingerprint, Order, OrderId, Refusal, Version};
use ports::{HistoryOutcome, HistoryRow, LookedUp, Position};
use proto::v1;
use tokio::time::Instant;

use crate::{
    denial::Denial,
    freshness::{Snapshots, damaged, decode},
};

/// An event that was appended, or is about to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named {
    pub(crate) order_id: OrderId,
    pub(crate) event_id: EventId,
    pub(crate) fingerprint: Fingerprint,
}

/// Asks the history what became of events.
#[derive(Clone)]
pub(crate) struct Judge {
    snapshots: Arc<Snapshots>,
}

impl Judge {
    pub(crate) const fn new(snapshots: Arc<Snapshots>) -> Self {
        Self { snapshots }
    }

    /// Waits for the fold of the record at `position`: the order, or why the event was rejected.
    pub(crate) async fn verdict(
        &self,
        named: Named,
        position: Position,
        deadline: Instant,
    ) -> Result<v1::Order, Denial> {
        self.snapshots.folded(position, deadline).await?;
        let looked = self.snapshots.look_up(named.order_id, named.event_id).await?;
        let Some(looked) = looked else { return Err(Denial::Unjudged(position)) };
        let order = decode(&looked.snapshot)?;
        let row = looked.history.iter().find(|row| row.position == position);
        let row = match row.map(|row| row.outcome) {
            None => return Err(Denial::Unjudged(position)),
            Some(HistoryOutcome::Duplicate { .. }) => first_of(&looked, named)?,
            Some(
                HistoryOutcome::Applied { .. }
                | HistoryOutcome::Rejected { .. }
                | HistoryOutcome::Parked { .. },
            ) => row,
        };
        result(row.ok_or(Denial::Unjudged(position))?, &order)?;
        Ok(codec::order_to_proto(&order))
    }
}

/// The row that recorded this very event first, if it was recorded.
pub(crate) fn first_of(looked: &LookedUp, named: Named) -> Result<Option<&HistoryRow>, Denial> {
    for row in looked.history.iter().filter(|row| row.outcome.is_recorded()) {
        let event =
            codec::decode_event(&row.event).map_err(|error| damaged(named.order_id, &error))?;
        if event.fingerprint == named.fingerprint {
            return Ok(Some(row));
        }
    }
    Ok(None)
}

/// What became of a recorded event, as its first caller was or would have been told.
pub(crate) fn result(row: &HistoryRow, order: &Order) -> Result<Position, Denial> {
    match row.outcome {
        HistoryOutcome::Applied { .. } | HistoryOutcome::Duplicate { .. } => Ok(row.position),
        HistoryOutcome::Rejected { reason, state, .. } => Err(Denial::Refused {
            order_id: row.order_id,
            refusal: Refusal {
                event: row.kind,
                rejection: reason,
                state: state.unwrap_or(order.state),
                version: Version::new(row.version),
            },
        }),
        HistoryOutcome::Parked { .. } => {
            Err(Denial::Parked { order_id: row.order_id, position: row.position })
        }
    }
}
