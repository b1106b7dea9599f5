//! Placing an order: decode, validate, append. The hot path: no store, no lock held across an await.

use codec::Violations;
use events::{Event, EventBody, EventId, OrderDetails, OrderId, Text};
use metrics::Counter;
use ports::{Ack, AppendError, Position};
use proto::v1;

use crate::{
    append::{Appender, to_proto},
    command::parse_request_id,
    denial::Denial,
};

/// Turns requests into `OrderPlaced` events and appends them.
#[derive(Clone)]
pub(crate) struct Placer {
    appender: Appender,
    placed: Counter,
}

impl Placer {
    pub(crate) fn new(appender: Appender) -> Self {
        Self { appender, placed: metrics::counter!("order_ledger_orders_placed_total") }
    }

    /// Parses a request, all of its faults at once.
    pub(crate) fn event(&self, request: &v1::PlaceOrderRequest) -> Result<Event, Denial> {
        let mut faults = Violations::default();
        let request_id = parse_request_id(&request.request_id, &mut faults);
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
        match (request_id, details) {
            (Some(request_id), Some(details)) => {
                Ok(self.event_of(request_id.as_ref().map(Text::as_str), details))
            }
            _ => Err(Denial::Invalid(faults)),
        }
    }

    /// The event that places these. A request id names order and event, so a repeat is the same event again and the
    /// fold drops it; the same id with other details is the same event id saying something else, and rejected there
    /// (promise 8).
    pub(crate) fn event_of(&self, request_id: Option<&str>, details: OrderDetails) -> Event {
        let order_id =
            request_id.map_or_else(|| self.appender.fresh_order_id(), OrderId::for_request);
        let event_id = EventId::derived(order_id, "place");
        self.appender.event(event_id, order_id, EventBody::OrderPlaced(Box::new(details)))
    }

    /// Queues the event.
    pub(crate) fn append(
        &self,
        event: &Event,
        traceparent: Option<&str>,
    ) -> Result<Ack, AppendError> {
        self.appender.append(event, traceparent)
    }

    /// Appends the event and waits until the log has it.
    pub(crate) async fn place(
        &self,
        event: Event,
        traceparent: Option<&str>,
    ) -> Result<v1::PlaceOrderResponse, Denial> {
        let ack = self.append(&event, traceparent)?;
        let order_id = event.order_id;
        drop(event);
        Ok(self.acknowledged(order_id, ack.await?))
    }

    /// The answer once the log has the event (promise 1); counts it.
    pub(crate) fn acknowledged(
        &self,
        order_id: OrderId,
        position: Position,
    ) -> v1::PlaceOrderResponse {
        self.placed.increment(1);
        v1::PlaceOrderResponse {
            order_id: order_id.to_string(),
            position: Some(to_proto(position)),
            order: None,
        }
    }
}
