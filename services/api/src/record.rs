//! Commands on existing orders: look at the snapshot, decide, append.

use std::sync::Arc;

use events::{EventBody, EventId, Order, Refusal, Rejection, Version, decide};
use ports::{HistoryOutcome, HistoryRow, OrderStore, Position};
use proto::v1;

use crate::{
    append::{Appender, to_proto},
    call::Context,
    command::Wanted,
    denial::Denial,
    freshness::{Snapshots, damaged},
};

/// What a look at the snapshot says about a command.
enum Look {
    /// It was recorded before, under the same request id, with this result.
    Settled(Result<Position, Denial>),
    /// It can be appended.
    Possible(EventBody),
    /// It can't, as far as the snapshot knows.
    Impossible(Denial),
}

/// Decides commands and appends their events.
pub(crate) struct Recorder {
    appender: Appender,
    store: Arc<dyn OrderStore>,
    snapshots: Arc<Snapshots>,
}

impl Recorder {
    pub(crate) const fn new(
        appender: Appender,
        store: Arc<dyn OrderStore>,
        snapshots: Arc<Snapshots>,
    ) -> Self {
        Self { appender, store, snapshots }
    }

    /// Carries out a command, or says why not. The fold has the last word: a yes here may lose a race there.
    pub(crate) async fn record(
        &self,
        wanted: Wanted,
        context: Context,
    ) -> Result<v1::RecordEventResponse, Denial> {
        let order_id = wanted.order_id;
        let event_id = self.event_id(&wanted);
        let mut look = self.look(&wanted, event_id).await?;
        let must_be_current = match &look {
            Look::Settled(_) => false,
            Look::Possible(_) => wanted.command.depends_on_order(),
            Look::Impossible(_) => true,
        };
        if must_be_current {
            self.snapshots.catch_up(order_id, context.deadline).await?;
            look = self.look(&wanted, event_id).await?;
        }
        let position = match look {
            Look::Settled(result) => result?,
            Look::Impossible(denial) => return Err(denial),
            Look::Possible(body) => {
                let event = self.appender.event(event_id, order_id, body);
                self.appender.append(&event, context.traceparent.as_deref())?.await?
            }
        };
        Ok(v1::RecordEventResponse {
            order_id: order_id.to_string(),
            event_id: event_id.to_string(),
            position: Some(to_proto(position)),
            order: None,
        })
    }

    /// The same request id on the same order is the same event, so that the fold drops a repeat (promise 8).
    fn event_id(&self, wanted: &Wanted) -> EventId {
        wanted.request_id.as_ref().map_or_else(
            || self.appender.fresh_event_id(),
            |request_id| EventId::derived(wanted.order_id, &format!("request/{request_id}")),
        )
    }

    async fn look(&self, wanted: &Wanted, event_id: EventId) -> Result<Look, Denial> {
        let order_id = wanted.order_id;
        let Some(order) = self.snapshots.load(order_id).await? else {
            return Ok(Look::Impossible(Denial::NotFound(order_id)));
        };
        if order.recorded.iter().any(|recorded| recorded.event_id == event_id) {
            return Ok(Look::Settled(self.first_result(wanted, event_id, &order).await?));
        }
        Ok(match decide(&order, wanted.command.clone(), wanted.expected_version) {
            Ok(body) => Look::Possible(body),
            Err(refusal) => Look::Impossible(Denial::Refused { order_id, refusal }),
        })
    }

    /// How this request id was answered when it was first recorded; refused if it stood for something else then.
    async fn first_result(
        &self,
        wanted: &Wanted,
        event_id: EventId,
        order: &Order,
    ) -> Result<Result<Position, Denial>, Denial> {
        let order_id = wanted.order_id;
        let history = self.store.history(order_id).await?;
        for row in history.iter().filter(|row| row.event_id == event_id) {
            let event =
                codec::decode_event(&row.event).map_err(|error| damaged(order_id, &error))?;
            if wanted.command.is(&event.body, order) {
                return Ok(result_of(row, order));
            }
        }
        let refusal = Refusal {
            event: wanted.command.kind(),
            rejection: Rejection::EventIdReused,
            state: order.state,
            version: order.version,
        };
        Ok(Err(Denial::Refused { order_id, refusal }))
    }
}

/// What became of a recorded event, as its first caller was or would have been told.
fn result_of(row: &HistoryRow, order: &Order) -> Result<Position, Denial> {
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
    }
}
