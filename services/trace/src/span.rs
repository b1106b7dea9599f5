//! A span under way.

use std::{borrow::Cow, fmt, time::SystemTime};

use chrono::{DateTime, Utc};
use opentelemetry::{
    Context, KeyValue, Value,
    global::BoxedSpan,
    trace::{
        Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt as _, TraceFlags,
        TraceState,
    },
};
use ports::{TraceId, Traceparent};

use crate::follow::{Following, Origin};

/// A span under way. It ends when it is dropped, if no one ended it before.
pub struct Span {
    inner: BoxedSpan,
    traceparent: Traceparent,
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Span({})", self.traceparent)
    }
}

impl Span {
    /// Begins one, at `began` or now. `None` once the SDK is shut down.
    pub(crate) fn begin(
        following: &Following,
        name: Cow<'static, str>,
        kind: SpanKind,
        origin: &Origin,
        began: Option<DateTime<Utc>>,
        attributes: Vec<KeyValue>,
    ) -> Option<Self> {
        let is_remote = matches!(kind, SpanKind::Server | SpanKind::Consumer);
        let context = match origin {
            Origin::Parent(parent) => {
                Context::new().with_remote_span_context(span_context(*parent, is_remote))
            }
            Origin::Root => Context::new(),
        };
        let mut builder = SpanBuilder::from_name(name).with_kind(kind).with_attributes(attributes);
        builder.start_time = began.map(SystemTime::from);
        let inner = builder.start_with_context(&following.tracer, &context);
        let own = inner.span_context();
        let traceparent = Traceparent::new(
            u128::from_be_bytes(own.trace_id().to_bytes()),
            u64::from_be_bytes(own.span_id().to_bytes()),
            own.trace_flags().to_u8(),
        )?;
        Some(Self { inner, traceparent })
    }

    /// What goes on from this span.
    #[must_use]
    pub const fn traceparent(&self) -> Traceparent {
        self.traceparent
    }

    /// Adds what is known by now.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        self.inner.set_attribute(KeyValue::new(key, value));
    }

    /// Notes that it failed: `kind` is one of few, `why` is for a person.
    pub fn fail(&mut self, kind: &'static str, why: impl Into<Cow<'static, str>>) {
        self.set("error.type", kind);
        self.inner.set_status(Status::error(why));
    }

    /// Ends it at that time.
    pub fn end_at(mut self, ended: DateTime<Utc>) {
        self.inner.end_with_timestamp(ended.into());
    }
}

fn span_context(of: Traceparent, is_remote: bool) -> SpanContext {
    SpanContext::new(
        TraceId::get(of.trace_id()).into(),
        of.span_id().into(),
        TraceFlags::new(of.flags()),
        is_remote,
        TraceState::NONE,
    )
}
