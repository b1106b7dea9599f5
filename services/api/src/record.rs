//! Commands on existing orders: look at the snapshot, decide, append, and if the caller asks wait for the verdict.

use std::sync::Arc;

use events::{EventBody, EventId, Order, Refusal, Rejection, decide};
use ports::{HistoryRow, LookedUp, Position};
use proto::v1::{self, WaitFor};

use crate::{
    append::{Appender, Trail, to_proto},
    call::Context,
    command::Wanted,
    denial::Denial,
    freshness::{Snapshots, damaged, decode},
    judge::{Judge, Named, result},
};

/// What a look at the snapshot says about a command.
enum Look {
    /// It was recorded before, under the same request id, as this event and with this result.
    Settled(EventBody, Result<Position, Denial>),
    /// It can be appended.
    Possible(EventBody),
    /// It can't, as far as the snapshot knows.
    Impossible(Denial),
}

/// Decides commands and appends their events.
pub(crate) struct Recorder {
    appender: Appender,
    snapshots: Arc<Snapshots>,
    judge: Judge,
}

impl Recorder {
    pub(crate) const fn new(appender: Appender, snapshots: Arc<Snapshots>, judge: Judge) -> Self {
        Self { appender, snapshots, judge }
    }

    /// Carries out a command, or says why not. The fold has the last word: a yes here may lose a race there, and who
    /// names a version or waits for APPLIED is told.
    pub(crate) async fn record(
        &self,
        wanted: Wanted,
        context: Context,
    ) -> Result<v1::RecordEventResponse, Denial> {
        let order_id = wanted.order_id;
        let event_id = self.event_id(&wanted);
        let mut look = self.look(&wanted, event_id).await?;
        let must_be_current = match &look {
            Look::Settled(..) => false,
            Look::Possible(_) => wanted.command.depends_on_order(),
            Look::Impossible(_) => true,
        };
        if must_be_current {
            self.snapshots.catch_up(order_id, context.deadline).await?;
            look = self.look(&wanted, event_id).await?;
        }
        let waits = wanted.wait_for == WaitFor::Applied || wanted.expected_version.is_some();
        let body = match &look {
            Look::Settled(body, _) | Look::Possible(body) if waits => Some(body),
            _ => None,
        };
        let named = body.map(|body| {
            let fingerprint = codec::fingerprint(body);
            Named { order_id, event_id, fingerprint }
        });
        let position = match look {
            Look::Settled(_, result) => result?,
            Look::Impossible(denial) => return Err(denial),
            Look::Possible(body) => {
                let Wanted { actor, expected_version, .. } = wanted;
                let event = self.appender.event(event_id, order_id, actor, expected_version, body);
                let mut trail = Trail::of_call(context.traceparent);
                self.appender.append(&event, &mut trail)?.await?
            }
        };
        let order = match named {
            Some(named) => Some(self.judge.verdict(named, position, context.deadline).await?),
            None => None,
        };
        Ok(v1::RecordEventResponse {
            order_id: order_id.to_string(),
            event_id: event_id.to_string(),
            position: Some(to_proto(position)),
            order,
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
        let Some(looked) = self.snapshots.look_up(order_id, event_id).await? else {
            return Ok(Look::Impossible(Denial::NotFound(order_id)));
        };
        let order = decode(&looked.snapshot)?;
        if order.recorded.iter().any(|recorded| recorded.event_id == event_id) {
            return match first_result(wanted, &order, &looked)? {
                Some((row, body)) => Ok(Look::Settled(body, result(row, &order))),
                None => Err(Denial::Refused {
                    order_id,
                    refusal: Refusal {
                        event: wanted.command.kind(),
                        rejection: Rejection::EventIdReused,
                        state: order.state,
                        version: order.version,
                    },
                }),
            };
        }
        Ok(match decide(&order, wanted.command.clone(), wanted.expected_version) {
            Ok(body) => Look::Possible(body),
            Err(refusal) => Look::Impossible(Denial::Refused { order_id, refusal }),
        })
    }
}

/// How this request id was answered when it was first recorded; none if it stood for something else then.
fn first_result<'a>(
    wanted: &Wanted,
    order: &Order,
    looked: &'a LookedUp,
) -> Result<Option<(&'a HistoryRow, EventBody)>, Denial> {
    for row in looked.history.iter().filter(|row| row.outcome.is_recorded()) {
        let event =
            codec::decode_event(&row.event).map_err(|error| damaged(wanted.order_id, &error))?;
        if wanted.command.is(&event.body, order) {
            return Ok(Some((row, event.body)));
        }
    }
    Ok(None)
}
