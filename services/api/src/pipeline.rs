//! `PlaceOrders`: orders in, results out, in order, a bounded number in between.
//!
//! Written as a state machine by hand because it is the fastest path there is: an order costs one slot in a ring, no
//! task and no lock. Only the oldest slot is polled; the others' acknowledgements arrive by themselves meanwhile.
//! When the log's queue is full the stream stops reading, and HTTP/2 flow control makes the client wait.

use std::{
    collections::VecDeque,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use events::{Event, OrderId};
use futures::Stream;
use ports::{Ack, AppendError};
use proto::v1::{self, place_orders_response::Result as Placed};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, Sleep, sleep, sleep_until},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::{Code, Status};

use crate::{
    denial::{Denial, to_rpc_status},
    observe::Observed,
    place::Placer,
};

/// How long to wait before a full queue is tried again.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(2);

/// What a stream of orders needs besides the orders.
pub(crate) struct Terms {
    pub(crate) placer: Placer,
    pub(crate) traceparent: Option<String>,
    /// Orders read and not yet answered.
    pub(crate) orders_max: usize,
    pub(crate) deadline: Option<Instant>,
    pub(crate) stop: CancellationToken,
    pub(crate) observed: Observed,
    pub(crate) place: OwnedSemaphorePermit,
}

/// One stream of orders. Dropping it gives up on the answers; what was appended stays appended.
pub(crate) struct Pipeline<S> {
    orders: S,
    placer: Placer,
    traceparent: Option<String>,
    /// The results to come, oldest first.
    slots: VecDeque<Slot>,
    slots_max: usize,
    /// The index of the oldest slot.
    index: u64,
    /// An order that found the log's queue full, and when to try it again.
    held: Option<(Event, Pin<Box<Sleep>>)>,
    reading: Reading,
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
    deadline: Option<Pin<Box<Sleep>>>,
    observed: Observed,
    _place: OwnedSemaphorePermit,
}

/// The result of one order, now or later.
enum Slot {
    Appended(OrderId, Ack),
    Refused(tonic_types::Status),
}

/// Whether orders are still read.
enum Reading {
    Open,
    /// No more; once every slot is answered the stream ends, with this if it is something.
    Over(Option<Status>),
}

impl<S> Pipeline<S>
where
    S: Stream<Item = Result<v1::PlaceOrderRequest, Status>> + Unpin,
{
    pub(crate) fn new(orders: S, terms: Terms) -> Self {
        Self {
            orders,
            placer: terms.placer,
            traceparent: terms.traceparent,
            slots: VecDeque::new(),
            slots_max: terms.orders_max.max(1),
            index: 0,
            held: None,
            reading: Reading::Open,
            stop: Box::pin(terms.stop.cancelled_owned()),
            deadline: terms.deadline.map(|deadline| Box::pin(sleep_until(deadline))),
            observed: terms.observed,
            _place: terms.place,
        }
    }

    /// Reads and appends as long as there is something to read and room for it.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.slots.len() < self.slots_max {
            if let Some((_, pause)) = &mut self.held {
                ready!(pause.as_mut().poll(cx));
            }
            let event = match self.held.take() {
                Some((event, _)) => Ok(event),
                None => match ready!(self.poll_read(cx)) {
                    Some(request) => self.placer.event(&request),
                    None => break,
                },
            };
            match event {
                Ok(event) => self.append(event),
                Err(denial) => self.refuse(denial),
            }
        }
        Poll::Ready(())
    }

    /// The next request; `None` once no more are read.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Option<v1::PlaceOrderRequest>> {
        if matches!(self.reading, Reading::Over(_)) {
            return Poll::Ready(None);
        }
        match ready!(Pin::new(&mut self.orders).poll_next(cx)) {
            Some(Ok(request)) => return Poll::Ready(Some(request)),
            Some(Err(status)) => self.reading = Reading::Over(Some(status)),
            None => self.reading = Reading::Over(None),
        }
        Poll::Ready(None)
    }

    fn append(&mut self, event: Event) {
        match self.placer.append(&event, self.traceparent.as_deref()) {
            Ok(ack) => self.slots.push_back(Slot::Appended(event.order_id, ack)),
            Err(AppendError::QueueFull) => {
                self.held = Some((event, Box::pin(sleep(QUEUE_FULL_PAUSE))));
            }
            Err(error) => self.refuse(error.into()),
        }
    }

    fn refuse(&mut self, denial: Denial) {
        self.slots.push_back(Slot::Refused(to_rpc_status(&denial.into())));
    }

    /// The oldest order's result, or the stream's end.
    fn poll_oldest(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<v1::PlaceOrdersResponse, Status>>> {
        let result = match self.slots.front_mut() {
            Some(Slot::Appended(order_id, ack)) => match ready!(ack.as_mut().poll(cx)) {
                Ok(position) => Placed::Placed(self.placer.acknowledged(*order_id, position)),
                Err(error) => Placed::Refused(to_rpc_status(&Denial::from(error).into())),
            },
            Some(Slot::Refused(status)) => Placed::Refused(mem::take(status)),
            None => return self.poll_end(),
        };
        self.slots.pop_front();
        let index = self.index;
        self.index += 1;
        Poll::Ready(Some(Ok(v1::PlaceOrdersResponse { index, result: Some(result) })))
    }

    fn poll_end(&mut self) -> Poll<Option<Result<v1::PlaceOrdersResponse, Status>>> {
        match &mut self.reading {
            Reading::Over(status) if self.held.is_none() => {
                let status = status.take();
                self.observed.ends_with(status.as_ref().map_or(Code::Ok, Status::code));
                Poll::Ready(status.map(Err))
            }
            Reading::Over(_) | Reading::Open => Poll::Pending,
        }
    }

    /// Whether the api stops or the caller's time is over, and reading ended for that.
    fn poll_interrupted(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if matches!(self.reading, Reading::Open) && self.stop.as_mut().poll(cx).is_ready() {
            self.reading = Reading::Over(Some(Denial::Closing.into()));
            return Poll::Ready(());
        }
        if let Some(deadline) = &mut self.deadline {
            ready!(deadline.as_mut().poll(cx));
            self.deadline = None;
            // No one waits for the rest.
            self.slots.clear();
            self.held = None;
            self.reading = Reading::Over(Some(Denial::Late.into()));
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

impl<S> Stream for Pipeline<S>
where
    S: Stream<Item = Result<v1::PlaceOrderRequest, Status>> + Unpin,
{
    type Item = Result<v1::PlaceOrdersResponse, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            // Whether anything is left to read does not matter to the oldest order.
            _ = this.poll_fill(cx);
            if let Poll::Ready(item) = this.poll_oldest(cx) {
                return Poll::Ready(item);
            }
            // Asked only when the stream would rest: both take a lock.
            ready!(this.poll_interrupted(cx));
        }
    }
}
