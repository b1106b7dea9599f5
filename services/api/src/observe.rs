//! What the api counts: calls by method and code, how long they took.

use std::time::Instant;

use tonic::Code;

/// Watches one call; counts it when dropped. A call that is dropped before its end was cancelled by its caller.
pub(crate) struct Observed {
    method: &'static str,
    started: Instant,
    code: Option<Code>,
}

impl Observed {
    /// Starts the watch.
    pub(crate) fn start(method: &'static str) -> Self {
        Self { method, started: Instant::now(), code: None }
    }

    /// Notes how the call ends; the first note counts.
    pub(crate) fn ends_with(&mut self, code: Code) {
        self.code.get_or_insert(code);
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        let code = name(self.code.unwrap_or(Code::Cancelled));
        metrics::counter!(
            "order_ledger_rpc_requests_total", "method" => self.method, "code" => code
        )
        .increment(1);
        metrics::histogram!("order_ledger_rpc_duration_seconds", "method" => self.method)
            .record(self.started.elapsed().as_secs_f64());
    }
}

/// A code as the gRPC specification spells it.
const fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
