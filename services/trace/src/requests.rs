//! Requests: calls that come in, and what is asked of other servers.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use opentelemetry::{KeyValue, trace::SpanKind};
use ports::Traceparent;

use crate::{
    follow::{Origin, following},
    span::Span,
};

/// Begins the span of a gRPC call that came in, if the trace that it brings is followed, or if it brings none and begins
/// one. `method` is only asked for then.
#[must_use]
pub fn call(parent: Option<Traceparent>, method: impl FnOnce() -> String) -> Option<Span> {
    let following = following()?;
    let origin = following.origin(parent)?;
    let method = method();
    let attributes =
        vec![KeyValue::new("rpc.system.name", "grpc"), KeyValue::new("rpc.method", method.clone())];
    Span::begin(following, Cow::Owned(method), SpanKind::Server, &origin, None, attributes)
}

/// How a call was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status, as gRPC spells it.
    pub code: &'static str,
    /// Whether it is the server's fault.
    pub is_error: bool,
}

impl Span {
    /// Ends the span of a call.
    pub fn answered(mut self, Answer { code, is_error }: Answer) {
        self.set("rpc.response.status_code", code);
        if is_error {
            self.fail(code, "");
        }
    }
}

/// Begins, at `began`, the span of what is asked of another server.
#[must_use]
pub fn client(name: &'static str, parent: Traceparent, began: DateTime<Utc>) -> Option<Span> {
    let (following, origin) = (following()?, Origin::Parent(parent));
    let (name, kind) = (Cow::Borrowed(name), SpanKind::Client);
    Span::begin(following, name, kind, &origin, Some(began), Vec::new())
}

impl Span {
    /// Says that it is one of `documents` that a bulk request writes to that index.
    pub fn of_bulk(&mut self, index: &'static str, documents: usize) {
        let Some(following) = following() else { return };
        let settings = &following.settings;
        self.set("db.system.name", settings.index);
        self.set("db.operation.name", "bulk");
        self.set("db.collection.name", format!("{}{index}", settings.index_prefix));
        self.set("db.operation.batch.size", i64::try_from(documents).unwrap_or(i64::MAX));
    }
}
