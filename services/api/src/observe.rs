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
        let code = proto::code_name(self.code.unwrap_or(Code::Cancelled));
        metrics::counter!(
            "order_ledger_rpc_requests_total", "method" => self.method, "code" => code
        )
        .increment(1);
        metrics::histogram!("order_ledger_rpc_duration_seconds", "method" => self.method)
            .record(self.started.elapsed().as_secs_f64());
    }
}
