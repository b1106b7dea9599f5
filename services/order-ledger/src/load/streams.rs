//! Orders placed over `PlaceOrders` streams. Answers come in the order of the requests, so each stream keeps a queue of
//! those who wait; a stream that breaks off fails all of them and is opened anew by the next order.

use std::{sync::Arc, time::Duration};

use futures::stream;
use proto::v1::{
    self, order_ledger_client::OrderLedgerClient, place_orders_response::Result as Answer,
};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;
use tonic::{Request, Response, Status, Streaming, transport::Channel};

use super::plan::Plan;
use crate::client::Refused;

type Placed = Result<v1::PlaceOrderResponse, Refused>;

/// All streams of a run.
pub(super) struct Streams(Vec<Lane>);

/// One stream, and how to open it anew.
struct Lane {
    client: OrderLedgerClient<Channel>,
    timeout: Duration,
    /// Who may wait on one stream.
    waiting_max: usize,
    open: Mutex<Option<Open>>,
}

/// A stream that was opened and not seen to break off.
struct Open {
    orders: mpsc::Sender<v1::PlaceOrderRequest>,
    waiting: mpsc::Sender<oneshot::Sender<Placed>>,
    _reader: AbortOnDropHandle<()>,
}

impl Streams {
    /// Shares the streams out among the connections; opens none yet.
    pub(super) fn new(
        count: u32,
        clients: &[OrderLedgerClient<Channel>],
        plan: &Arc<Plan>,
    ) -> Self {
        let waiting_max = usize::try_from(plan.in_flight_max()).unwrap_or(usize::MAX);
        let lane = |client: &OrderLedgerClient<Channel>| Lane {
            client: client.clone(),
            timeout: plan.timeout,
            waiting_max,
            open: Mutex::default(),
        };
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        Self(clients.iter().cycle().take(count).map(lane).collect())
    }

    /// Places the number-th order and waits for its answer, both within the time-out.
    pub(super) async fn place(&self, number: u64, order: v1::PlaceOrderRequest) -> Placed {
        let count = u64::try_from(self.0.len()).unwrap_or(u64::MAX);
        let index = number.checked_rem(count).and_then(|index| usize::try_from(index).ok());
        let lane = index.and_then(|index| self.0.get(index));
        let lane = lane.ok_or_else(|| Refused::from(Status::internal("there is no stream")))?;
        let answer = async { lane.send(order).await?.await.unwrap_or_else(|_| Err(broken_off())) };
        let late = || Status::deadline_exceeded("no answer in the stream in time");
        tokio::time::timeout(lane.timeout, answer).await.unwrap_or_else(|_| Err(late().into()))
    }
}

impl Lane {
    /// Sends it over the stream, or over a new one if that broke off.
    async fn send(
        &self,
        order: v1::PlaceOrderRequest,
    ) -> Result<oneshot::Receiver<Placed>, Refused> {
        let mut open = self.open.lock().await;
        let usable = open.take().filter(|open| !open.waiting.is_closed());
        let stream = open.insert(usable.unwrap_or_else(|| self.open()));
        let (answer, answered) = oneshot::channel();
        // Both places are had before either is filled: whoever is cancelled in between leaves no one waiting for an
        // answer that is another's.
        let waiting = stream.waiting.reserve().await.map_err(|_| broken_off())?;
        let orders = stream.orders.reserve().await.map_err(|_| broken_off())?;
        waiting.send(answer);
        orders.send(order);
        Ok(answered)
    }

    fn open(&self) -> Open {
        let (orders, mut orders_out) = mpsc::channel(self.waiting_max);
        let (waiting, waiting_out) = mpsc::channel(self.waiting_max);
        let mut client = self.client.clone();
        let reader = tokio::spawn(async move {
            let orders = stream::poll_fn(move |context| orders_out.poll_recv(context));
            let answers = client.place_orders(Request::new(orders)).await;
            hand_out(answers.map(Response::into_inner), waiting_out).await;
        });
        Open { orders, waiting, _reader: AbortOnDropHandle::new(reader) }
    }
}

/// Gives each answer to whoever waits for it; once the stream ends, everyone who still waits hears why.
async fn hand_out(
    answers: Result<Streaming<v1::PlaceOrdersResponse>, Status>,
    mut waiting: mpsc::Receiver<oneshot::Sender<Placed>>,
) {
    let end = match answers {
        Err(status) => status.into(),
        Ok(mut answers) => loop {
            let answer = match answers.message().await {
                Ok(answer) => answer.and_then(|answer| answer.result),
                Err(status) => break status.into(),
            };
            let answer = match answer {
                Some(Answer::Placed(placed)) => Ok(placed),
                Some(Answer::Refused(refused)) => Err(Refused::from(&refused)),
                None => break broken_off(),
            };
            if let Some(waits) = waiting.recv().await {
                // Whoever waited too long is gone.
                _ = waits.send(answer);
            }
        },
    };
    waiting.close();
    while let Some(waits) = waiting.recv().await {
        _ = waits.send(Err(end.clone()));
    }
}

fn broken_off() -> Refused {
    Status::unavailable("the stream broke off").into()
}
