//! `orderledger.v1.OrderLedger`: one short function a call, from request to response.

use std::sync::{Arc, atomic::AtomicBool};

use codec::{Violations, decode_money, decode_parcel, order_to_proto};
use events::{Command, Currency, Text};
use proto::v1::{self, order_ledger_server::OrderLedger};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use crate::{
    Parts, Settings,
    append::Appender,
    call::{self, Calls},
    denial::Denial,
    freshness::Snapshots,
    observe::Observed,
    pipeline::{Pipeline, Terms},
    place::Placer,
    record::{Recorder, Wanted, parse_order_id},
};

/// What both services work with.
pub(crate) struct Edge {
    pub(crate) calls: Calls,
    pub(crate) placer: Placer,
    pub(crate) seed_currency: Currency,
    recorder: Recorder,
    snapshots: Arc<Snapshots>,
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
        let snapshots = Arc::new(Snapshots::new(log, Arc::clone(&store), settings.catch_up_max));
        let appender = Appender::new(parts, log_is_away);
        Self {
            calls: Calls::new(settings.calls_max, settings.call_time_max),
            placer: Placer::new(appender.clone()),
            seed_currency: settings.seed_currency,
            recorder: Recorder::new(appender, store, Arc::clone(&snapshots)),
            snapshots,
            stream_orders_max: settings.stream_orders_max,
            stop,
        }
    }
}

/// Serves the ledger's own contract.
pub(crate) struct LedgerService(pub(crate) Arc<Edge>);

impl LedgerService {
    /// The calls that report something about an existing order differ only in how their command is parsed.
    async fn record<R: Send>(
        &self,
        method: &'static str,
        request: Request<R>,
        parse: impl FnOnce(R) -> Result<Wanted, Denial> + Send,
    ) -> Result<Response<v1::RecordEventResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        let recorder = &self.0.recorder;
        self.0
            .calls
            .run(method, &metadata, |context| async move {
                recorder.record(parse(message)?, context).await
            })
            .await
    }
}

#[tonic::async_trait]
impl OrderLedger for LedgerService {
    async fn place_order(
        &self,
        request: Request<v1::PlaceOrderRequest>,
    ) -> Result<Response<v1::PlaceOrderResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        let placer = &self.0.placer;
        self.0
            .calls
            .run("PlaceOrder", &metadata, |context| async move {
                let event = placer.event(&message)?;
                placer.place(event, context.traceparent.as_deref()).await
            })
            .await
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
            place,
        };
        Ok(Response::new(Pipeline::new(orders, terms)))
    }

    async fn get_order(
        &self,
        request: Request<v1::GetOrderRequest>,
    ) -> Result<Response<v1::GetOrderResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        let snapshots = &self.0.snapshots;
        self.0
            .calls
            .run("GetOrder", &metadata, |context| async move {
                let mut faults = Violations::default();
                let Some(order_id) = parse_order_id(&message.order_id, &mut faults) else {
                    return Err(Denial::Invalid(faults));
                };
                let order = snapshots.find(order_id, context.deadline).await?;
                Ok(v1::GetOrderResponse { order: Some(order_to_proto(&order)) })
            })
            .await
    }

    async fn record_payment_captured(
        &self,
        request: Request<v1::RecordPaymentCapturedRequest>,
    ) -> Result<Response<v1::RecordEventResponse>, Status> {
        self.record("RecordPaymentCaptured", request, |message| {
            Wanted::parse(&message.order_id, &message.request_id, |faults| {
                let amount = match &message.amount {
                    Some(amount) => decode_money("amount", Some(amount), faults).map(Some),
                    None => Some(None),
                };
                let reference = faults.check("reference", Text::optional(&message.reference));
                Some(Command::CapturePayment { amount: amount?, reference: reference? })
            })
        })
        .await
    }

    async fn record_preparation_started(
        &self,
        request: Request<v1::RecordPreparationStartedRequest>,
    ) -> Result<Response<v1::RecordEventResponse>, Status> {
        self.record("RecordPreparationStarted", request, |message| {
            Wanted::parse(&message.order_id, &message.request_id, |_| {
                Some(Command::StartPreparation)
            })
        })
        .await
    }

    async fn record_shipped(
        &self,
        request: Request<v1::RecordShippedRequest>,
    ) -> Result<Response<v1::RecordEventResponse>, Status> {
        self.record("RecordShipped", request, |message| {
            Wanted::parse(&message.order_id, &message.request_id, |faults| {
                decode_parcel("parcel", message.parcel.as_ref(), faults).map(Command::Ship)
            })
        })
        .await
    }

    async fn record_delivered(
        &self,
        request: Request<v1::RecordDeliveredRequest>,
    ) -> Result<Response<v1::RecordEventResponse>, Status> {
        self.record("RecordDelivered", request, |message| {
            Wanted::parse(&message.order_id, &message.request_id, |_| Some(Command::Deliver))
        })
        .await
    }

    async fn record_completed(
        &self,
        request: Request<v1::RecordCompletedRequest>,
    ) -> Result<Response<v1::RecordEventResponse>, Status> {
        self.record("RecordCompleted", request, |message| {
            Wanted::parse(&message.order_id, &message.request_id, |_| Some(Command::Complete))
        })
        .await
    }

    async fn cancel_order(
        &self,
        request: Request<v1::CancelOrderRequest>,
    ) -> Result<Response<v1::RecordEventResponse>, Status> {
        self.record("CancelOrder", request, |message| {
            Wanted::parse(&message.order_id, &message.request_id, |faults| {
                let reason = faults.check("reason", Text::optional(&message.reason))?;
                Some(Command::Cancel { reason })
            })
        })
        .await
    }
}
