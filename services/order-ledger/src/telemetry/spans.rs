//! Spans on their way to the collector: a bounded number wait, and what is lost is counted.
//!
//! The SDK's batches are sent by a thread of their own, so whoever ends a span only puts it into a queue. The SDK says
//! nothing of what its queue drops; so the bound is kept here, and the SDK's is never reached.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use metrics::Counter;
use opentelemetry::Context;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor},
};

/// The most spans that wait: some megabytes.
const WAITING_MAX: usize = 8_192;
/// Spans in one request.
const BATCH_MAX: usize = 512;
/// How long a span waits for others.
const DELAY: Duration = Duration::from_secs(1);

/// Takes spans and never makes anyone wait: what is beyond the bound is dropped.
pub(super) fn processor<E: SpanExporter + 'static>(exporter: E) -> impl SpanProcessor + 'static {
    let waiting = Arc::<AtomicUsize>::default();
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(WAITING_MAX)
        .with_max_export_batch_size(BATCH_MAX)
        .with_scheduled_delay(DELAY)
        .build();
    let counting = Counting::new(exporter, Arc::clone(&waiting));
    let next = BatchSpanProcessor::builder(counting).with_batch_config(batches).build();
    Bounded { next, waiting, max: WAITING_MAX, dropped: spans("dropped") }
}

/// There from the start, so that an alert sees the first one lost.
fn spans(outcome: &'static str) -> Counter {
    let counter = metrics::counter!("order_ledger_trace_spans_total", "outcome" => outcome);
    counter.increment(0);
    counter
}

/// Keeps the bound.
struct Bounded<P> {
    next: P,
    waiting: Arc<AtomicUsize>,
    max: usize,
    dropped: Counter,
}

impl<P> std::fmt::Debug for Bounded<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bounded").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

impl<P: SpanProcessor> SpanProcessor for Bounded<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.next.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        let take = |waiting: usize| (waiting < self.max).then(|| waiting.saturating_add(1));
        let taken = self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        if taken.is_ok() {
            self.next.on_end(span);
        } else {
            self.dropped.increment(1);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.next.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.next.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.next.set_resource(resource);
    }
}

/// Counts what became of spans, and says once that they are lost, and once that they are not any more.
struct Counting<E> {
    next: E,
    waiting: Arc<AtomicUsize>,
    is_away: AtomicBool,
    exported: Counter,
    failed: Counter,
}

impl<E> Counting<E> {
    fn new(next: E, waiting: Arc<AtomicUsize>) -> Self {
        let (exported, failed) = (spans("exported"), spans("failed"));
        Self { next, waiting, is_away: AtomicBool::new(false), exported, failed }
    }
}

impl<E> std::fmt::Debug for Counting<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Counting").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

impl<E: SpanExporter> SpanExporter for Counting<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        self.waiting.fetch_sub(count, Ordering::Relaxed);
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        let exported = self.next.export(batch).await;
        match &exported {
            Ok(()) => {
                self.exported.increment(count);
                if self.is_away.swap(false, Ordering::Relaxed) {
                    tracing::info!("the collector takes spans again");
                }
            }
            Err(error) => {
                self.failed.increment(count);
                if !self.is_away.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "the collector takes no spans: they are lost until it does");
                }
            }
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.next.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.next.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.next.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{Tracer as _, TracerProvider as _};
    use opentelemetry_sdk::{error::OTelSdkError, trace::SdkTracerProvider};

    use super::*;

    /// Keeps what it is given, as one does whose collector is slow.
    #[derive(Debug, Default)]
    struct Full(AtomicUsize);

    impl SpanProcessor for Full {
        fn on_start(&self, _: &mut Span, _: &Context) {}

        fn on_end(&self, _: SpanData) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }

        fn force_flush(&self) -> OTelSdkResult {
            Ok(())
        }

        fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
            // Looked at when the provider ends, because it owns the processor.
            assert_eq!(self.0.load(Ordering::Relaxed), 3);
            Ok(())
        }
    }

    #[test]
    fn beyond_the_bound_spans_are_dropped() {
        let waiting = Arc::<AtomicUsize>::default();
        let bounded = Bounded {
            next: Full::default(),
            waiting: Arc::clone(&waiting),
            max: 3,
            dropped: spans("dropped"),
        };
        let provider = SdkTracerProvider::builder().with_span_processor(bounded).build();
        let tracer = provider.tracer("test");
        for _ in 0..5 {
            drop(tracer.start("a span"));
        }
        assert_eq!(waiting.load(Ordering::Relaxed), 3);
        provider.shutdown().unwrap();
    }

    /// Takes nothing.
    #[derive(Debug)]
    struct Away;

    impl SpanExporter for Away {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            Err(OTelSdkError::InternalFailure("connection refused".to_owned()))
        }
    }

    #[test]
    fn what_can_not_be_exported_makes_room_all_the_same() {
        let waiting = Arc::<AtomicUsize>::default();
        let counting = Counting::new(Away, Arc::clone(&waiting));
        let next = BatchSpanProcessor::builder(counting).build();
        let bounded =
            Bounded { next, waiting: Arc::clone(&waiting), max: 3, dropped: spans("dropped") };
        let provider = SdkTracerProvider::builder().with_span_processor(bounded).build();
        for _ in 0..3 {
            drop(provider.tracer("test").start("a span"));
        }
        assert_eq!(waiting.load(Ordering::Relaxed), 3);
        provider.force_flush().unwrap_err();
        assert_eq!(waiting.load(Ordering::Relaxed), 0);
    }
}
