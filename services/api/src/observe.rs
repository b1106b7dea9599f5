//! What the api tells of calls: how many by method and code, how long they took, how many are under way, and spans of those
//! whose trace is followed; and how long each order of a stream took.

use std::{collections::VecDeque, time::Instant};

use metrics::{Gauge, Histogram};
use ports::{LOAD_TEST_TYPE, Measured, Measures, ReadOrder, StreamedOrders, Traceparent};
use proto::v1::{self, order_ledger_server::SERVICE_NAME as LEDGER};
use tonic::Code;
use trace::{Answer, Span};

use crate::denial::Denial;

/// Watches one call; counts it when dropped. A call that is dropped before its end was cancelled by its caller.
pub(crate) struct Observed {
    method: &'static str,
    started: Instant,
    code: Option<Code>,
    span: Option<Span>,
}

impl Observed {
    /// Starts the watch.
    pub(crate) fn start(method: &'static str) -> Self {
        in_flight(method).increment(1);
        Self { method, started: Instant::now(), code: None, span: None }
    }

    /// Starts the watch over a call that may be part of a trace.
    pub(crate) fn traced(method: &'static str, parent: Option<Traceparent>) -> Self {
        let mut observed = Self::start(method);
        observed.span = trace::call(parent, || full_name(method));
        observed
    }

    /// The trace under the call's span, if it has one.
    pub(crate) fn traceparent(&self) -> Option<Traceparent> {
        self.span.as_ref().map(Span::traceparent)
    }

    /// Notes how the call ends; the first note counts.
    pub(crate) fn ends_with(&mut self, code: Code) {
        self.code.get_or_insert(code);
    }

    /// Callers are told; the log is for who looks into what they say.
    pub(crate) fn refused(&self, denial: &Denial, traceparent: Option<Traceparent>) {
        tracing::debug!(
            method = self.method,
            order_id = denial.order_id().map(display),
            trace_id = traceparent.map(|trace| display(trace.trace_id())),
            error = %denial,
            "a call was refused"
        );
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        in_flight(self.method).decrement(1);
        let status = self.code.unwrap_or(Code::Cancelled);
        let code = proto::code_name(status);
        metrics::counter!(
            "order_ledger_rpc_requests_total", "method" => self.method, "code" => code
        )
        .increment(1);
        metrics::histogram!("order_ledger_rpc_duration_seconds", "method" => self.method)
            .record(self.started.elapsed().as_secs_f64());
        if let Some(span) = self.span.take() {
            span.answered(Answer { code, is_error: is_error(status) });
        }
    }
}

/// Watches the orders of one stream, each from its reading to its result. Those that have none when it is dropped failed: their
/// caller gave up.
pub(crate) struct ObservedOrders {
    measured: StreamedOrders,
    succeeded: Histogram,
    failed: Histogram,
    /// Those without a result, oldest first: as many as the stream has under way.
    under_way: VecDeque<ReadOrder>,
}

impl ObservedOrders {
    /// Starts the watch.
    pub(crate) fn start(measures: &Measures) -> Self {
        let took = |outcome: Measured| {
            metrics::histogram!(
                "order_ledger_streamed_order_duration_seconds", "outcome" => outcome.name()
            )
        };
        Self {
            measured: measures.streamed_orders(),
            succeeded: took(Measured::Success),
            failed: took(Measured::Failure),
            under_way: VecDeque::new(),
        }
    }

    /// An order is read.
    pub(crate) fn read(&mut self, request: &v1::PlaceOrderRequest) {
        self.under_way.push_back(self.measured.read(load_test_type(request)));
    }

    /// The oldest order has its result.
    pub(crate) fn ends(&mut self, outcome: Measured) {
        let Some(order) = self.under_way.pop_front() else { return };
        let took = self.measured.ends(order, outcome);
        let of_outcome = match outcome {
            Measured::Success => &self.succeeded,
            Measured::Failure => &self.failed,
        };
        of_outcome.record(took);
    }

    /// No one waits for the results of those that have none.
    pub(crate) fn give_up(&mut self) {
        while !self.under_way.is_empty() {
            self.ends(Measured::Failure);
        }
    }

    /// The stream has nothing to do at the moment.
    pub(crate) fn rest(&mut self) {
        self.measured.rests();
    }
}

impl Drop for ObservedOrders {
    fn drop(&mut self) {
        self.give_up();
    }
}

/// The load test that an order is of, as far as its request says.
pub(crate) fn load_test_type(request: &v1::PlaceOrderRequest) -> Option<&str> {
    request.details.as_ref()?.labels.get(LOAD_TEST_TYPE).map(String::as_str)
}

fn in_flight(method: &'static str) -> Gauge {
    metrics::gauge!("order_ledger_rpc_in_flight", "method" => method)
}

/// As gRPC calls it. The methods of the older contract are named with their service.
fn full_name(method: &str) -> String {
    if method.contains('/') { method.to_owned() } else { format!("{LEDGER}/{method}") }
}

/// Whether it is the server's fault, as the semantic conventions see it.
const fn is_error(code: Code) -> bool {
    match code {
        Code::Unknown
        | Code::DeadlineExceeded
        | Code::Unimplemented
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => true,
        Code::Ok
        | Code::Cancelled
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unauthenticated => false,
    }
}
