//! Spans as an exporter is given them, kept in memory.

use std::{
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::Duration,
};

use opentelemetry::{Value, global};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{Sampler, SdkTracerProvider, SpanData, SpanExporter},
};
use ports::Traceparent;

use crate::wait_for;

/// How long spans may be under way.
const PATIENCE: Duration = Duration::from_secs(60);

/// The process has one provider, whatever test asks first; each test looks for its own traces.
static KEPT: LazyLock<Kept> = LazyLock::new(|| {
    let kept = Kept::default();
    let provider = SdkTracerProvider::builder()
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
        .with_simple_exporter(kept.clone())
        .build();
    global::set_tracer_provider(provider);
    trace::start(trace::Settings {
        ratio: 0.0,
        log: "sqlite",
        index: "sqlite",
        topic_prefix: String::new(),
        index_prefix: String::new(),
    });
    kept
});

/// Every span that ended, of every trace of the process.
#[derive(Clone, Debug, Default)]
pub struct Kept(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Kept {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(batch);
        Ok(())
    }
}

/// Follows traces that are sampled, and begins none.
pub fn follow() -> &'static Kept {
    &KEPT
}

/// The traceparent of a client's span: the `n`-th trace, sampled or not.
///
/// # Panics
/// If `n` is 0.
#[must_use]
pub fn client(n: u64, is_sampled: bool) -> Traceparent {
    let flags = u8::from(is_sampled);
    Traceparent::new(u128::from(n) << 64, 1, flags).unwrap_or_else(|| panic!("{n} is no trace"))
}

impl Kept {
    /// The spans of a trace, in the order in which they ended.
    #[must_use]
    pub fn of(&self, trace: Traceparent) -> Vec<SpanData> {
        let id = trace.trace_id().get().to_be_bytes();
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter(|span| span.span_context.trace_id().to_bytes() == id).cloned().collect()
    }

    /// Waits until so many spans of a trace have ended.
    pub async fn until(&self, trace: Traceparent, count: usize) -> Vec<SpanData> {
        wait_for(&format!("{count} spans have ended"), PATIENCE, async || {
            Some(self.of(trace)).filter(|spans| spans.len() >= count)
        })
        .await
    }
}

/// The only span of that name.
///
/// # Panics
/// If there is none, or another.
#[must_use]
pub fn named<'a>(spans: &'a [SpanData], name: &str) -> &'a SpanData {
    let mut of_name = spans.iter().filter(|span| span.name == name);
    match (of_name.next(), of_name.next()) {
        (Some(span), None) => span,
        (found, _) => {
            panic!("{} {name}: {spans:#?}", if found.is_some() { "more than one" } else { "no" })
        }
    }
}

/// An attribute of a span, as text; empty if it is not there.
#[must_use]
pub fn attribute(span: &SpanData, key: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == key);
    found.map_or_else(String::new, |attribute| match &attribute.value {
        Value::String(text) => text.as_str().to_owned(),
        other => other.to_string(),
    })
}
