//! `orderledger.v1.OrderLedger`: one short function a call, from request to response.

use std::sync::{Arc, atomic::AtomicBool};

use events::Currency;
use ports::Measures;
use proto::v1::{self, order_ledger_server::OrderLedger};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use crate::{
    Parts, Settings,
    append::Appender,
    call::{self, Calls, Context},
    command::{CommandRequest, Wanted},
    denial::Denial,
    freshness::Snapshots,
    judge::Judge,
    observe::{Observed, ObservedOrders, load_test_type},
    pipeline::{Pipeline, Terms},
    place::Placer,
    read::Reads,
    record::Recorder,
    watch::{Many, One, Updates, Watches},
};

/// What both services work with.
pub(crate) struct Edge {
    pub(crate) calls: Calls,
    pub(crate) placer: Placer,
    pub(crate) seed_currency: Currency,
    pub(crate) measures: Measures,
    recorder: Recorder,
    reads: Reads,
    pub(crate) watches: Arc<Watches>,
    stream_orders_max: usize,
    stop: CancellationToken,
}

impl Edge {
    /// Streams stop reading once `stop` is cancelled; nothing is appended while `log_is_away`.
    pub(crate) fn new(
        parts: &Parts,
        settings: &Settings,
        log_is_away: Arc<AtomicBool>,
        stop: CancellationToken,
    ) -> Self {
        let (log, store) = (Arc::clone(&parts.log), Arc::clone(&parts.store));
        let snapshots = Snapshots::new(Arc::clone(&log), Arc::clone(&store), settings.catch_up_max);
        let snapshots = Arc::new(snapshots);
        let watches =
            Watches::new(log, Arc::clone(&store), Arc::clone(&snapshots), settings, stop.clone());
        let appender = Appender::new(parts, log_is_away);
        let judge = Judge::new(Arc::clone(&snapshots));
        Self {
            calls: Calls::new(settings.calls_max, settings.call_time_max),
            placer: Placer::new(appender.clone(), Arc::clone(&snapshots), judge.clone()),
            seed_currency: settings.seed_currency,
            measures: parts.measures.clone(),
            recorder: Recorder::new(appender, Arc::clone(&snapshots), judge),
            watches: Arc::new(watches),
            reads: Reads::new(snapshots, store, Arc::clone(&parts.index)),
            stream_orders_max: settings.stream_orders_max,
            stop,
        }
    }
}

/// Serves the ledger's own contract.
pub(crate) struct LedgerService(pub(crate) Arc<Edge>);

impl LedgerService {
    /// The calls that want something of an existing order differ only in the command that is in them.
    async fn record<R: CommandRequest>(
        &self,
        method: &'static str,
        request: Request<R>,
    ) -> Result<Response<v1::RecordEventResponse>, Status> {
        let recorder = &self.0.recorder;
        self.call(method, request, |message, context| async move {
            recorder.record(Wanted::parse(&message)?, context).await
        })
        .await
    }

    /// A unary call, within its bounds and counted.
    async fn call<R, T, F>(
        &self,
        method: &'static str,
        request: Request<R>,
        work: impl FnOnce(R, Context) -> F + Send,
    ) -> Result<Response<T>, Status>
    where
        R: Send,
        F: Future<Output = Result<T, Denial>> + Send,
    {
        let (metadata, _, message) = request.into_parts();
        self.0.calls.run(method, &metadata, |context| work(message, context)).await
    }
}

#[tonic::async_trait]
impl OrderLedger for LedgerService {
    async fn place_order(
        &self,
        request: Request<v1::PlaceOrderRequest>,
    ) -> Result<Response<v1::PlaceOrderResponse>, Status> {
        let placer = &self.0.placer;
        let placing = self.0.measures.placing(load_test_type(request.get_ref()));
        let placed = self.call("PlaceOrder", request, |message, context| async move {
            placer.place(placer.parse(&message)?, context).await
        });
        let placed = placed.await;
        placing.ends(&placed);
        placed
    }

    type PlaceOrdersStream = Pipeline<Streaming<v1::PlaceOrderRequest>>;

    async fn place_orders(
        &self,
        request: Request<Streaming<v1::PlaceOrderRequest>>,
    ) -> Result<Response<Self::PlaceOrdersStream>, Status> {
        let (metadata, _, orders) = request.into_parts();
        let mut observed = Observed::start("PlaceOrders");
        let place = self.0.calls.take_place().map_err(|denial| {
            let status = Status::from(denial);
            observed.ends_with(status.code());
            status
        })?;
        let terms = Terms {
            placer: self.0.placer.clone(),
            traceparent: call::traceparent(&metadata),
            orders_max: self.0.stream_orders_max,
            deadline: call::timeout(&metadata).map(|timeout| Instant::now() + timeout),
            stop: self.0.stop.clone(),
            observed,
            observed_orders: ObservedOrders::start(&self.0.measures),
            place,
        };
        Ok(Response::new(Pipeline::new(orders, terms)))
    }

    async fn record_payment_captured(
        &self,
        request: Request<v1::RecordPaymentCapturedRequest>,
    ) -> Result<Response<v1::RecordEventResponse>, Status> {
        self.record("RecordPaymentCaptured", request).await
    }

    async fn record_payment_declined(
        &self,
        request: Request<v1::RecordPaymentDeclinedRequest>,
    ) -> Result<Response<v1::RecordEventResponse>, Status> {
        self.record("RecordPaymentDeclined", request).await
    }

    async fn record_preparation_started(
        &self,
        request: Request<v1::RecordPreparationStartedRequest>,
    ) -> Result<Response<v1::RecordEventResponse>, Status> {
        self.record("RecordPreparationStarted", request).await
    }

    async fn record_shipped(
        &self,
        request: Request<v1::RecordShippedRequest>,
    ) -> Result<Response<v1::RecordEventResponse>, Status> {
        self.record("RecordShipped", request).await
    }

    async fn record_delivered(
        &self,
        request: Request<v1::RecordDeliveredRequest>,
    ) -> Result<Response<v1::RecordEventResponse>, Status> {
        self.record("RecordDelivered", request).await
    }

    async fn record_delivery_failed(
        &self,
        request: Request<v1::RecordDeliveryFailedRequest>,
    ) -> Result<Response<v1::RecordEventResponse>, Status> {
        self.record("RecordDeliveryFailed", request).await
    }

    async fn record_completed(
        &self,
        request: Request<v1::RecordCompletedRequest>,
    ) -> Result<Response<v1::RecordEventResponse>, Status> {
        self.record("RecordCompleted", request).await
    }

    async fn record_returned(
        &self,
        request: Request<v1::RecordReturnedRequest>,
    ) -> Result<Response<v1::RecordEventResponse>, Status> {
        self.record("RecordReturned", request).await
    }

    async fn record_refunded(
        &self,
        request: Request<v1::RecordRefundedRequest>,
    ) -> Result<Response<v1::RecordEventResponse>, Status> {
        self.record("RecordRefunded", request).await
    }

    async fn cancel_order(
        &self,
        request: Request<v1::CancelOrderRequest>,
    ) -> Result<Response<v1::RecordEventResponse>, Status> {
        self.record("CancelOrder", request).await
    }

    async fn request_return(
        &self,
        request: Request<v1::RequestReturnRequest>,
    ) -> Result<Response<v1::RecordEventResponse>, Status> {
        self.record("RequestReturn", request).await
    }

    async fn get_order(
        &self,
        request: Request<v1::GetOrderRequest>,
    ) -> Result<Response<v1::GetOrderResponse>, Status> {
        let reads = &self.0.reads;
        self.call("GetOrder", request, |message, context| reads.get(message, context)).await
    }

    async fn get_order_history(
        &self,
        request: Request<v1::GetOrderHistoryRequest>,
    ) -> Result<Response<v1::GetOrderHistoryResponse>, Status> {
        let reads = &self.0.reads;
        self.call("GetOrderHistory", request, |message, context| reads.history(message, context))
            .await
    }

    async fn list_orders(
        &self,
        request: Request<v1::ListOrdersRequest>,
    ) -> Result<Response<v1::ListOrdersResponse>, Status> {
        let reads = &self.0.reads;
        self.call("ListOrders", request, |message, context| reads.list(message, context)).await
    }

    async fn search_orders(
        &self,
        request: Request<v1::SearchOrdersRequest>,
    ) -> Result<Response<v1::SearchOrdersResponse>, Status> {
        let reads = &self.0.reads;
        self.call("SearchOrders", request, |message, context| reads.search(message, context)).await
    }

    type WatchOrderStream = Updates<v1::WatchOrderResponse>;

    async fn watch_order(
        &self,
        request: Request<v1::WatchOrderRequest>,
    ) -> Result<Response<Self::WatchOrderStream>, Status> {
        self.0.watches.start("WatchOrder", request, One::begin).await
    }

    type WatchOrdersStream = Updates<v1::WatchOrdersResponse>;

    async fn watch_orders(
        &self,
        request: Request<v1::WatchOrdersRequest>,
    ) -> Result<Response<Self::WatchOrdersStream>, Status> {
        self.0.watches.start("WatchOrders", request, Many::begin).await
    }
}
