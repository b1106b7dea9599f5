//! `PlaceOrders`: orders in, results out, in order, a bounded number in between.
//!
//! Written as a state machine by hand because it is the fastest path there is: an order costs one slot in a ring, no
//! task and no lock. Two slots are polled: the oldest that is not appended yet, and the oldest of all; the others'
//! acknowledgements arrive by themselves meanwhile. When the log's queue is full, or the ring, the stream stops reading,
//! and HTTP/2 flow control makes the client wait.

use std::{
    collections::VecDeque,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use events::OrderId;
use futures::Stream;
use ports::{Ack, AppendError, Measured, Position, Traceparent};
use proto::v1::{self, place_orders_response::Result as Placed};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, Sleep, sleep, sleep_until},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::{Code, Status};

use crate::{
    append::Trail,
    denial::{Denial, to_rpc_status},
    judge::Named,
    observe::{Observed, ObservedOrders},
    place::{Placer, Placing, answer},
};

/// How long to wait before a full queue is tried again.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(2);

/// How long to wait until it is known what a request id that stands for something else stands for.
const REPEAT_PATIENCE: Duration = Duration::from_secs(10);

/// What a stream of orders needs besides the orders.
pub(crate) struct Terms {
    pub(crate) placer: Placer,
    pub(crate) traceparent: Option<Traceparent>,
    /// Orders read and not yet answered.
    pub(crate) orders_max: usize,
    pub(crate) deadline: Option<Instant>,
    pub(crate) stop: CancellationToken,
    pub(crate) observed: Observed,
    pub(crate) observed_orders: ObservedOrders,
    pub(crate) place: OwnedSemaphorePermit,
}

/// One stream of orders. Dropping it gives up on the answers; what was appended stays appended.
pub(crate) struct Pipeline<S> {
    orders: S,
    placer: Placer,
    traceparent: Option<Traceparent>,
    /// The results to come, oldest first.
    slots: VecDeque<Slot>,
    slots_max: usize,
    /// How many of the oldest slots are appended or refused; those after it may not be.
    appended: usize,
    /// The log's queue was full; when to try again.
    pause: Option<Pin<Box<Sleep>>>,
    /// The index of the oldest slot.
    index: u64,
    reading: Reading,
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
    deadline: Option<Pin<Box<Sleep>>>,
    observed: Observed,
    /// Those that have a slot.
    observed_orders: ObservedOrders,
    _place: OwnedSemaphorePermit,
}

/// The result of one order, now or later.
enum Slot {
    /// It may have come before, under the same request id; the store is asked.
    Asked(Box<Placing>, First),
    /// It is to be appended.
    New(Box<Placing>),
    Appended {
        order_id: OrderId,
        named: Option<Named>,
        ack: Ack,
    },
    /// It came before and is logged there.
    Repeated(OrderId, Position),
    Refused(tonic_types::Status),
}

/// Where an order was logged before, if it was.
type First = Pin<Box<dyn Future<Output = Result<Option<Position>, Denial>> + Send>>;

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
            appended: 0,
            pause: None,
            index: 0,
            reading: Reading::Open,
            stop: Box::pin(terms.stop.cancelled_owned()),
            deadline: terms.deadline.map(|deadline| Box::pin(sleep_until(deadline))),
            observed: terms.observed,
            observed_orders: terms.observed_orders,
            _place: terms.place,
        }
    }

    /// Reads and appends as long as there is something to read and room for it.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let appended = self.poll_append(cx);
            if self.pause.is_some() || self.slots.len() >= self.slots_max {
                return appended;
            }
            let Some(request) = ready!(self.poll_read(cx)) else { return appended };
            self.observed_orders.read(&request);
            let slot = match self.placer.parse_streamed(&request) {
                Ok(mut placing) => {
                    placing.trail = Trail::of_stream(self.traceparent);
                    self.begin(placing, cx)
                }
                Err(denial) => refused(denial),
            };
            self.slots.push_back(slot);
        }
    }

    /// Brings every order as far as it can, in the order of the stream.
    fn poll_append(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            let Some(slot) = self.slots.get_mut(self.appended) else { return Poll::Ready(()) };
            let next = match mem::replace(slot, Slot::Refused(tonic_types::Status::default())) {
                Slot::Asked(placing, mut first) => match first.as_mut().poll(cx) {
                    Poll::Ready(first) => self.asked(*placing, first),
                    Poll::Pending => {
                        *slot = Slot::Asked(placing, first);
                        return Poll::Pending;
                    }
                },
                Slot::New(placing) => self.append(*placing),
                done => done,
            };
            let is_done = !matches!(next, Slot::New(_));
            if let Some(slot) = self.slots.get_mut(self.appended) {
                *slot = next;
            }
            self.appended += usize::from(is_done);
        }
    }

    /// Starts with an order: what can't have come before is appended at once.
    fn begin(&mut self, placing: Placing, cx: &mut Context<'_>) -> Slot {
        let Some(named) = placing.named else {
            let waits = self.pause.is_some();
            return if waits { Slot::New(Box::new(placing)) } else { self.append(placing) };
        };
        let patience = Instant::now() + REPEAT_PATIENCE;
        let mut first: First = Box::pin(self.placer.clone().first(named, patience));
        // Asked right away, so that the questions of many orders go to the store together.
        match first.as_mut().poll(cx) {
            Poll::Ready(first) => self.asked(placing, first),
            Poll::Pending => Slot::Asked(Box::new(placing), first),
        }
    }

    fn asked(&mut self, placing: Placing, first: Result<Option<Position>, Denial>) -> Slot {
        match first {
            Ok(Some(position)) => Slot::Repeated(placing.event.order_id, position),
            Ok(None) => self.append(placing),
            Err(denial) => refused(denial),
        }
    }

    fn append(&mut self, mut placing: Placing) -> Slot {
        match self.placer.append(&mut placing) {
            Ok(ack) => {
                Slot::Appended { order_id: placing.event.order_id, named: placing.named, ack }
            }
            Err(AppendError::QueueFull) => {
                self.pause = Some(Box::pin(sleep(QUEUE_FULL_PAUSE)));
                Slot::New(Box::new(placing))
            }
            Err(error) => refused(error.into()),
        }
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

    /// The oldest order's result, or the stream's end.
    fn poll_oldest(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<v1::PlaceOrdersResponse, Status>>> {
        let result = match self.slots.front_mut() {
            Some(Slot::Appended { order_id, named, ack }) => match ready!(ack.as_mut().poll(cx)) {
                Ok(position) => {
                    self.placer.acknowledged(*order_id, *named, position);
                    Placed::Placed(answer(*order_id, position))
                }
                Err(error) => Placed::Refused(to_rpc_status(&Denial::from(error).into())),
            },
            Some(Slot::Repeated(order_id, position)) => {
                Placed::Placed(answer(*order_id, *position))
            }
            Some(Slot::Refused(status)) => Placed::Refused(mem::take(status)),
            Some(Slot::Asked(..) | Slot::New(_)) => return Poll::Pending,
            None => return self.poll_end(),
        };
        let is_placed = matches!(result, Placed::Placed(_));
        self.observed_orders.ends(if is_placed { Measured::Success } else { Measured::Failure });
        self.slots.pop_front();
        self.appended = self.appended.saturating_sub(1);
        let index = self.index;
        self.index += 1;
        Poll::Ready(Some(Ok(v1::PlaceOrdersResponse { index, result: Some(result) })))
    }

    fn poll_end(&mut self) -> Poll<Option<Result<v1::PlaceOrdersResponse, Status>>> {
        match &mut self.reading {
            Reading::Over(status) => {
                let status = status.take();
                self.observed.ends_with(status.as_ref().map_or(Code::Ok, Status::code));
                Poll::Ready(status.map(Err))
            }
            Reading::Open => Poll::Pending,
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
            self.observed_orders.give_up();
            self.appended = 0;
            self.pause = None;
            self.reading = Reading::Over(Some(Denial::Late.into()));
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

fn refused(denial: Denial) -> Slot {
    Slot::Refused(to_rpc_status(&denial.into()))
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
            // Only when the stream would rest: each takes a lock.
            if this.poll_interrupted(cx).is_pending() {
                this.observed_orders.rest();
                return Poll::Pending;
            }
        }
    }
}
