//! Placing an order: decode, validate, append. The hot path: no lock held across an await, and no store unless the order
//! comes under a request id and may have come before.

use std::sync::Arc;

use codec::Violations;
use events::{
    Event, EventBody, EventId, EventKind, OrderDetails, OrderId, Refusal, Rejection, Text,
};
use metrics::Counter;
use ports::{Ack, AppendError, Position};
use proto::v1::{self, WaitFor};
use tokio::time::Instant;

use crate::{
    append::{Appender, Trail, to_proto},
    call::Context,
    command::{parse_actor, parse_request_id, parse_wait_for},
    denial::Denial,
    freshness::{Snapshots, decode},
    judge::{Judge, Named, first_of, result},
    recent::{Known, Recent},
};

/// An order to place.
pub(crate) struct Placing {
    pub(crate) event: Event,
    /// If it came under a request id, which makes it the same order each time.
    pub(crate) named: Option<Named>,
    pub(crate) trail: Trail,
    wait_for: WaitFor,
}

/// Turns requests into `OrderPlaced` events and appends them.
#[derive(Clone)]
pub(crate) struct Placer {
    appender: Appender,
    snapshots: Arc<Snapshots>,
    judge: Judge,
    recent: Arc<Recent>,
    placed: Counter,
}

impl Placer {
    pub(crate) fn new(appender: Appender, snapshots: Arc<Snapshots>, judge: Judge) -> Self {
        let placed = metrics::counter!("order_ledger_orders_placed_total");
        Self { appender, snapshots, judge, recent: Arc::default(), placed }
    }

    /// Parses a request, all of its faults at once.
    pub(crate) fn parse(&self, request: &v1::PlaceOrderRequest) -> Result<Placing, Denial> {
        let mut faults = Violations::default();
        let request_id = parse_request_id(&request.request_id, &mut faults);
        let actor = parse_actor(&request.actor, &mut faults);
        let wait_for = parse_wait_for(request.wait_for, &mut faults);
        let details = match request.details.as_ref().map(codec::decode_details) {
            Some(Ok(details)) => Some(details),
            Some(Err(nested)) => {
                faults.nest("details", nested);
                None
            }
            None => {
                faults.add("details", "must be given");
                None
            }
        };
        match (request_id, actor, wait_for, details) {
            (Some(request_id), Some(actor), Some(wait_for), Some(details)) => {
                Ok(self.placing(request_id.as_ref(), actor, wait_for, details))
            }
            _ => Err(Denial::Invalid(faults)),
        }
    }

    /// Parses one request of a stream, whose results come as soon as they are logged.
    pub(crate) fn parse_streamed(
        &self,
        request: &v1::PlaceOrderRequest,
    ) -> Result<Placing, Denial> {
        let placing = self.parse(request)?;
        if placing.wait_for == WaitFor::Applied {
            let mut faults = Violations::default();
            faults.add("wait_for", "must be LOGGED in a stream of orders");
            return Err(Denial::Invalid(faults));
        }
        Ok(placing)
    }

    /// An order without a request id, acknowledged once it is logged.
    pub(crate) fn unnamed(&self, details: OrderDetails) -> Placing {
        self.placing(None, None, WaitFor::Logged, details)
    }

    /// A request id names order and event, so a repeat is the same event again and the fold drops it; the same id with
    /// other details is the same event id saying something else, and rejected there (promise 8).
    fn placing(
        &self,
        request_id: Option<&Text<128>>,
        actor: Option<Text<100>>,
        wait_for: WaitFor,
        details: OrderDetails,
    ) -> Placing {
        let order_id = request_id.map_or_else(
            || self.appender.fresh_order_id(),
            |request_id| OrderId::for_request(request_id.as_str()),
        );
        let event_id = EventId::derived(order_id, "place");
        let body = EventBody::OrderPlaced(Box::new(details));
        let is_named = request_id.is_some() || wait_for == WaitFor::Applied;
        let named =
            is_named.then(|| Named { order_id, event_id, fingerprint: codec::fingerprint(&body) });
        Placing {
            event: self.appender.event(event_id, order_id, actor, None, body),
            named,
            trail: Trail::default(),
            wait_for,
        }
    }

    /// Where the order was logged before, if it was; refused if its request id stood for something else.
    ///
    /// A store that is away is no reason to turn orders away: then the fold finds the repeat.
    pub(crate) async fn first(
        self,
        named: Named,
        deadline: Instant,
    ) -> Result<Option<Position>, Denial> {
        let Named { order_id, event_id, fingerprint } = named;
        let known = self.recent.begin(order_id, fingerprint);
        match known {
            Known::Same(Some(position)) => return Ok(Some(position)),
            Known::Same(None) | Known::New => {}
            Known::Other => self.snapshots.catch_up(order_id, deadline).await?,
        }
        let looked = match self.snapshots.look_up(order_id, event_id).await {
            Ok(Some(looked)) => looked,
            Err(Denial::Away(_)) if known != Known::Other => return Ok(None),
            Ok(None) => return Ok(None),
            Err(denial) => return Err(denial),
        };
        let order = decode(&looked.snapshot)?;
        if let Some(row) = first_of(&looked, named)? {
            return result(row, &order).map(Some);
        }
        let refusal = Refusal {
            event: EventKind::OrderPlaced,
            rejection: Rejection::EventIdReused,
            state: order.state,
            version: order.version,
        };
        Err(Denial::Refused { order_id, refusal })
    }

    /// Queues the event.
    pub(crate) fn append(&self, placing: &mut Placing) -> Result<Ack, AppendError> {
        self.appender.append(&placing.event, &mut placing.trail)
    }

    /// Appends the order unless it came before, and waits until the log has it, or for its verdict.
    pub(crate) async fn place(
        &self,
        mut placing: Placing,
        context: Context,
    ) -> Result<v1::PlaceOrderResponse, Denial> {
        placing.trail = Trail::of_call(context.traceparent);
        let (order_id, named, wait_for) = (placing.event.order_id, placing.named, placing.wait_for);
        let first = match named {
            Some(named) => self.clone().first(named, context.deadline).await?,
            None => None,
        };
        let position = if let Some(position) = first {
            position
        } else {
            let ack = self.append(&mut placing)?;
            drop(placing);
            let position = ack.await?;
            self.acknowledged(order_id, named, position);
            position
        };
        let order = match named {
            Some(named) if wait_for == WaitFor::Applied => {
                Some(self.judge.verdict(named, position, context.deadline).await?)
            }
            Some(_) | None => None,
        };
        Ok(v1::PlaceOrderResponse { order, ..answer(order_id, position) })
    }

    /// Counts an order that the log has.
    pub(crate) fn acknowledged(&self, order_id: OrderId, named: Option<Named>, position: Position) {
        self.placed.increment(1);
        if let Some(Named { fingerprint, .. }) = named {
            self.recent.logged(order_id, fingerprint, position);
        }
    }
}

/// The answer about an order that is logged there (promise 1).
pub(crate) fn answer(order_id: OrderId, position: Position) -> v1::PlaceOrderResponse {
    v1::PlaceOrderResponse {
        order_id: order_id.to_string(),
        position: Some(to_proto(position)),
        order: None,
    }
}
