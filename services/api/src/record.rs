//! Commands on existing orders: look at the snapshot, decide, append.

use std::sync::Arc;

use codec::Violations;
use events::{
    Command, EventBody, EventId, EventKind, Order, OrderId, Refusal, Rejection, Text, Version,
    decide,
};
use ports::{HistoryOutcome, HistoryRow, OrderStore, Position};
use proto::v1;

use crate::{
    append::{Appender, to_proto},
    call::Context,
    denial::Denial,
    freshness::{Snapshots, damaged},
    place::parse_request_id,
};

/// What a caller wants of an existing order.
pub(crate) struct Wanted {
    order_id: OrderId,
    request_id: Option<Text<128>>,
    command: Command,
}

impl Wanted {
    /// Parses what all these requests have in common; `command` parses the rest, so that every fault is named at once.
    pub(crate) fn parse(
        order_id: &str,
        request_id: &str,
        command: impl FnOnce(&mut Violations) -> Option<Command>,
    ) -> Result<Self, Denial> {
        let mut faults = Violations::default();
        let order_id = parse_order_id(order_id, &mut faults);
        let request_id = parse_request_id(request_id, &mut faults);
        let command = command(&mut faults);
        match (order_id, request_id, command) {
            (Some(order_id), Some(request_id), Some(command)) if faults.is_empty() => {
                Ok(Self { order_id, request_id, command })
            }
            _ => Err(Denial::Invalid(faults)),
        }
    }
}

pub(crate) fn parse_order_id(order_id: &str, faults: &mut Violations) -> Option<OrderId> {
    faults.check("order_id", order_id.parse::<OrderId>().map_err(|_| "must be a UUID"))
}

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
            Look::Possible(_) => says_what_the_order_says(&wanted.command),
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
        Ok(match decide(&order, wanted.command.clone()) {
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
            if matches(&wanted.command, &event.body) {
                return Ok(result_of(row, order));
            }
        }
        let refusal = Refusal {
            event: kind(&wanted.command),
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

/// Whether the event's content is taken from the snapshot ("what is still to be paid"), which must then be current.
const fn says_what_the_order_says(command: &Command) -> bool {
    match command {
        Command::CapturePayment { amount, .. } => amount.is_none(),
        Command::StartPreparation
        | Command::Ship(_)
        | Command::Deliver
        | Command::Complete
        | Command::Cancel { .. } => false,
    }
}

/// Whether an event is what the command asks for. An amount left open asks for whatever it was then.
fn matches(command: &Command, body: &EventBody) -> bool {
    match command {
        Command::CapturePayment { amount: wanted, reference: wanted_reference } => {
            matches!(body, EventBody::PaymentCaptured { amount, reference }
                if wanted.is_none_or(|wanted| wanted == *amount) && wanted_reference == reference)
        }
        Command::StartPreparation => *body == EventBody::PreparationStarted,
        Command::Ship(wanted) => {
            matches!(body, EventBody::OrderShipped(parcel) if parcel == wanted)
        }
        Command::Deliver => *body == EventBody::OrderDelivered,
        Command::Complete => *body == EventBody::OrderCompleted,
        Command::Cancel { reason: wanted } => {
            matches!(body, EventBody::OrderCancelled { reason } if reason == wanted)
        }
    }
}

const fn kind(command: &Command) -> EventKind {
    match command {
        Command::CapturePayment { .. } => EventKind::PaymentCaptured,
        Command::StartPreparation => EventKind::PreparationStarted,
        Command::Ship(_) => EventKind::OrderShipped,
        Command::Deliver => EventKind::OrderDelivered,
        Command::Complete => EventKind::OrderCompleted,
        Command::Cancel { .. } => EventKind::OrderCancelled,
    }
}
