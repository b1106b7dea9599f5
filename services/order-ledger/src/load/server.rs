//! The server under load: each call of the mix, made over gRPC.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use proto::v1::{self, order_ledger_client::OrderLedgerClient};
use tonic::{Request, Status, transport::Channel};

use super::{
    dice::Dice,
    mix::CallKind,
    orders,
    pace::Target,
    plan::Plan,
    pool::{self, Pool},
    streams::Streams,
    tally::Answer,
};
use crate::{
    cli::Wait,
    client::{self, ClientError, Refused},
};

/// Where a mix places no orders by itself, it places so many before it reads the first.
const READ_MIN: usize = 100;

/// Connections to one server, and the orders that this run placed there.
pub(super) struct Server {
    plan: Arc<Plan>,
    clients: Vec<OrderLedgerClient<Channel>>,
    streams: Option<Streams>,
    pool: Mutex<Pool>,
    placed_instead: AtomicU64,
}

/// What a call comes down to.
enum Step {
    Place,
    OfOrder(CallKind, String),
    List,
    Search,
}

impl Step {
    const fn kind(&self) -> CallKind {
        match self {
            Self::Place => CallKind::Place,
            Self::OfOrder(kind, _) => *kind,
            Self::List => CallKind::List,
            Self::Search => CallKind::Search,
        }
    }
}

impl Server {
    /// Opens every connection; fails if one can't be.
    pub(super) async fn connect(plan: &Arc<Plan>) -> Result<Self, ClientError> {
        let mut clients = Vec::new();
        for _ in 0..plan.connections {
            clients.push(client::connect(&plan.server, plan.timeout).await?);
        }
        let streams = plan.streams.map(|streams| Streams::new(streams, &clients, plan));
        let (plan, pool) = (Arc::clone(plan), Mutex::default());
        Ok(Self { plan, clients, streams, pool, placed_instead: AtomicU64::new(0) })
    }

    /// How many calls placed an order because there was none to move or to read.
    pub(super) fn placed_instead(&self) -> u64 {
        self.placed_instead.load(Ordering::Relaxed)
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the number-th call is, as the orders are now.
    fn step(&self, number: u64) -> Step {
        let kind = self.kind(number);
        let order = match kind {
            CallKind::Place => return Step::Place,
            CallKind::List => return Step::List,
            CallKind::Search => return Step::Search,
            CallKind::Get | CallKind::History => {
                let at_least = if self.plan.mix.has(CallKind::Place) { 1 } else { READ_MIN };
                self.pool().any(&mut Dice::new(self.plan.seed.wrapping_add(4), number), at_least)
            }
            CallKind::Pay
            | CallKind::Prepare
            | CallKind::Ship
            | CallKind::Deliver
            | CallKind::Cancel => self.pool().take(kind),
        };
        order.map_or_else(
            || {
                self.placed_instead.fetch_add(1, Ordering::Relaxed);
                Step::Place
            },
            |order| Step::OfOrder(kind, order),
        )
    }

    async fn perform(&self, number: u64, step: Step) -> Result<(), Refused> {
        match step {
            Step::Place => {
                let placed = self.place(number).await?;
                self.pool().placed(placed.order_id);
            }
            Step::OfOrder(kind @ (CallKind::Get | CallKind::History), order_id) => {
                self.read(number, kind, order_id).await?;
            }
            Step::OfOrder(kind, order_id) => {
                self.write(number, kind, order_id.clone()).await?;
                if let Some(stage) = pool::after(kind) {
                    self.pool().put(stage, order_id);
                }
            }
            Step::List => {
                let filter = Some(orders::filter(&self.plan, number));
                let request = v1::ListOrdersRequest { filter, ..Default::default() };
                self.client(number)?.list_orders(self.within(request)).await?;
            }
            Step::Search => {
                let text = orders::words(&self.plan, number);
                let request = v1::SearchOrdersRequest { text, ..Default::default() };
                self.client(number)?.search_orders(self.within(request)).await?;
            }
        }
        Ok(())
    }

    async fn place(&self, number: u64) -> Result<v1::PlaceOrderResponse, Refused> {
        let mut order = orders::order(&self.plan, number);
        if let Some(streams) = &self.streams {
            return streams.place(number, order).await;
        }
        order.wait_for = self.wait_for();
        Ok(self.client(number)?.place_order(self.within(order)).await?.into_inner())
    }

    async fn read(&self, number: u64, kind: CallKind, order_id: String) -> Result<(), Refused> {
        let mut client = self.client(number)?;
        if kind == CallKind::History {
            let request = v1::GetOrderHistoryRequest { order_id, ..Default::default() };
            client.get_order_history(self.within(request)).await?;
        } else {
            let request = v1::GetOrderRequest { order_id, ..Default::default() };
            client.get_order(self.within(request)).await?;
        }
        Ok(())
    }

    /// An order's life goes on, or ends.
    async fn write(&self, number: u64, kind: CallKind, order_id: String) -> Result<(), Refused> {
        let mut client = self.client(number)?;
        macro_rules! request {
            ($message:ident { $($field:ident: $value:expr),* }) => {
                self.within(v1::$message {
                    order_id,
                    request_id: orders::request_id(&self.plan, number),
                    wait_for: self.wait_for(),
                    actor: "load".to_owned(),
                    $($field: $value,)*
                    ..Default::default()
                })
            };
        }
        match kind {
            CallKind::Pay => {
                let request = request!(RecordPaymentCapturedRequest {});
                client.record_payment_captured(request).await?;
            }
            CallKind::Prepare => {
                let request = request!(RecordPreparationStartedRequest {});
                client.record_preparation_started(request).await?;
            }
            CallKind::Ship => {
                let (carrier, tracking_number) = ("Chilexpress".to_owned(), format!("CX-{number}"));
                let parcel = Some(v1::Parcel { carrier, tracking_number });
                client.record_shipped(request!(RecordShippedRequest { parcel: parcel })).await?;
            }
            CallKind::Deliver => {
                client.record_delivered(request!(RecordDeliveredRequest {})).await?;
            }
            CallKind::Cancel => {
                let reason = "changed my mind".to_owned();
                client.cancel_order(request!(CancelOrderRequest { reason: reason })).await?;
            }
            // These write nothing to an order that is there.
            CallKind::Place
            | CallKind::Get
            | CallKind::History
            | CallKind::List
            | CallKind::Search => {}
        }
        Ok(())
    }

    /// The connection that the number-th call goes over: all in turn.
    fn client(&self, number: u64) -> Result<OrderLedgerClient<Channel>, Refused> {
        let count = u64::try_from(self.clients.len()).unwrap_or(u64::MAX);
        let index = number.checked_rem(count).and_then(|index| usize::try_from(index).ok());
        let client = index.and_then(|index| self.clients.get(index));
        client.cloned().ok_or_else(|| Status::internal("there is no connection").into())
    }

    fn within<R>(&self, message: R) -> Request<R> {
        let mut request = Request::new(message);
        request.set_timeout(self.plan.timeout);
        request
    }

    fn wait_for(&self) -> i32 {
        client::wait_for(self.plan.wait == Wait::Applied)
    }
}

impl Target for Server {
    fn kind(&self, number: u64) -> CallKind {
        self.plan.mix.kind(self.plan.seed, number)
    }

    async fn call(&self, number: u64) -> Answer {
        let step = self.step(number);
        let kind = step.kind();
        let ended = self.perform(number, step).await;
        Answer { kind, failure: ended.err() }
    }
}
