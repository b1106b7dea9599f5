//! Where spans go: installs the SDK and its exporter if a collector is named, and sends what is left at the end.

use std::time::Duration;

use opentelemetry::{KeyValue, global};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracerProvider},
};
use ports::IdSource;
use tonic::transport::{ClientTlsConfig, Endpoint};

use super::spans;
use crate::config::{Config, LogLocation, Role, SearchLocation};

/// How long the collector may take for a request, and for a connection.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// How long a process that ends waits for the collector.
const FLUSH_MAX: Duration = Duration::from_secs(5);

/// Why spans can't be sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TraceError {
    #[error("can't reach a collector by {endpoint} (--otlp-endpoint)")]
    Endpoint {
        endpoint: String,
        #[source]
        source: tonic::transport::Error,
    },
    #[error("can't export spans")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
}

/// What a process does about spans.
pub(crate) struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// Follows traces from now on, if the configuration names a collector. One that is away is no error: spans are lost
    /// until it is there, and nothing else.
    pub(crate) fn start(config: &Config, ids: &dyn IdSource) -> Result<Self, TraceError> {
        let Some(endpoint) = &config.traces.otlp_endpoint else { return Ok(Self(None)) };
        let provider = SdkTracerProvider::builder()
            // What is not to be followed never gets this far.
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
            .with_resource(resource(config, ids))
            .with_span_processor(spans::processor(exporter(endpoint)?))
            .build();
        global::set_tracer_provider(provider.clone());
        trace::start(settings(config));
        tracing::info!(endpoint, ratio = config.traces.sample_ratio, "spans are sent");
        Ok(Self(Some(provider)))
    }

    /// Sends what is left, for a bounded time.
    pub(crate) async fn end(self) {
        let Some(provider) = self.0 else { return };
        let ended = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(FLUSH_MAX));
        match ended.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the last spans may be lost"),
            Err(error) => tracing::warn!(%error, "the last spans are lost"),
        }
    }
}

/// A channel of our own: the exporter's would wait for a connection as long as the system does.
fn exporter(endpoint: &str) -> Result<SpanExporter, TraceError> {
    let named = |source| TraceError::Endpoint { endpoint: endpoint.to_owned(), source };
    let mut channel = Endpoint::from_shared(endpoint.to_owned())
        .map_err(named)?
        .connect_timeout(ANSWER_MAX)
        .timeout(ANSWER_MAX);
    if endpoint.starts_with("https:") {
        let tls = ClientTlsConfig::new().with_webpki_roots();
        channel = channel.tls_config(tls).map_err(named)?;
    }
    Ok(SpanExporter::builder()
        .with_tonic()
        .with_channel(channel.connect_lazy())
        .with_timeout(ANSWER_MAX)
        .build()?)
}

/// Which process it is. What `OTEL_RESOURCE_ATTRIBUTES` says is added.
fn resource(config: &Config, ids: &dyn IdSource) -> Resource {
    let roles: Vec<_> = config.roles.iter().copied().map(Role::name).collect();
    Resource::builder()
        .with_service_name("order-ledger")
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", ids.fresh().to_string()),
            KeyValue::new("order_ledger.roles", roles.join(",")),
        ])
        .build()
}

fn settings(config: &Config) -> trace::Settings {
    let (log, topic_prefix) = match &config.log {
        LogLocation::Kafka(_) => ("kafka", config.kafka.topic_prefix.clone()),
        LogLocation::Sqlite(_) => ("sqlite", String::new()),
    };
    let (index, index_prefix) = match &config.search {
        SearchLocation::Elasticsearch(_) => {
            ("elasticsearch", config.elasticsearch.index_prefix.clone())
        }
        SearchLocation::Sqlite(_) => ("sqlite", String::new()),
    };
    let ratio = config.traces.sample_ratio;
    trace::Settings { ratio, log, index, topic_prefix, index_prefix }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing is connected yet: a collector may come later.
    #[tokio::test]
    async fn a_collector_may_be_reached_with_tls_or_without() {
        for endpoint in ["http://127.0.0.1:4317", "https://collector.example:4317"] {
            exporter(endpoint).unwrap();
        }
        exporter("no address").unwrap_err();
    }
}
