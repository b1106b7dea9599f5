//! What following traces costs: spans are made, batched as in the product, and thrown away.

use opentelemetry::global;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{Sampler, SdkTracerProvider, SpanData, SpanExporter},
};

/// Begins a trace for so many of the calls that bring none, as long as the process lives.
pub(crate) fn follow(ratio: f64) {
    let provider = SdkTracerProvider::builder()
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
        .with_batch_exporter(Discard)
        .build();
    global::set_tracer_provider(provider);
    let (topic_prefix, index_prefix) = (String::new(), String::new());
    trace::start(trace::Settings {
        ratio,
        log: "kafka",
        index: "elasticsearch",
        topic_prefix,
        index_prefix,
    });
}

/// A collector that is there at once.
#[derive(Debug)]
struct Discard;

impl SpanExporter for Discard {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        Ok(())
    }
}
