//! What the api counts: calls by method and code, how long they took, how many are under way.

use std::time::Instant;

use metrics::Gauge;
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
        in_flight(method).increment(1);
        Self { method, started: Instant::now(), code: None }
    }

    /// Notes how the call ends; the first note counts.
    pub(crate) fn ends_with(&mut self, code: Code) {
        self.code.get_or_insert(code);
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        in_flight(self.method).decrement(1);
        let code = proto::code_name(self.code.unwrap_or(Code::Cancelled));
        metrics::counter!(
            "order_ledger_rpc_requests_total", "method" => self.method, "code" => code
        )
        .increment(1);
        metrics::histogram!("order_ledger_rpc_duration_seconds", "method" => self.method)
            .record(self.started.elapsed().as_secs_f64());
    }
}

fn in_flight(method: &'static str) -> Gauge {
    metrics::gauge!("order_ledger_rpc_in_flight", "method" => method)
}
