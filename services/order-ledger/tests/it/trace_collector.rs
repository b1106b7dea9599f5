//! A collector of spans, as OTLP has it: takes all that is sent, and keeps it.

use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{Span, status::StatusCode},
};
use ports::Traceparent;
use testkit::wait_for;
use tokio::{net::TcpListener, task::JoinHandle};
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

use crate::process::PATIENCE;

/// A span and the process that made it.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) span: Span,
    resource: Vec<KeyValue>,
}

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<Made>>>);

/// A collector that listens as long as it is kept.
pub(crate) struct Collector {
    pub(crate) endpoint: String,
    kept: Kept,
    server: JoinHandle<Result<(), tonic::transport::Error>>,
}

#[tonic::async_trait]
impl TraceService for Kept {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut kept = self.0.lock().unwrap();
        for sent in request.into_inner().resource_spans {
            let resource = sent.resource.unwrap().attributes;
            let spans = sent.scope_spans.into_iter().flat_map(|scope| scope.spans);
            kept.extend(spans.map(|span| Made { span, resource: resource.clone() }));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let kept = Kept::default();
        let service = TraceServiceServer::new(kept.clone());
        let serve =
            Server::builder().add_service(service).serve_with_incoming(TcpIncoming::from(listener));
        Self { endpoint, kept, server: tokio::spawn(serve) }
    }

    /// Everything that came.
    pub(crate) fn all(&self) -> Vec<Made> {
        self.kept.0.lock().unwrap().clone()
    }

    /// What came of a trace.
    pub(crate) fn of(&self, trace: Traceparent) -> Vec<Made> {
        let id = trace.trace_id().get().to_be_bytes();
        self.all().into_iter().filter(|made| made.span.trace_id == id).collect()
    }

    /// Waits until so many spans of a trace came.
    pub(crate) async fn until(&self, trace: Traceparent, count: usize) -> Vec<Made> {
        wait_for(&format!("{count} spans came"), PATIENCE, async || {
            let spans = self.of(trace);
            (spans.len() >= count).then_some(spans)
        })
        .await
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Made {
    /// An attribute of the span, as text.
    pub(crate) fn attribute(&self, key: &str) -> Option<String> {
        attribute(&self.span.attributes, key)
    }

    /// An attribute of the process.
    pub(crate) fn process(&self, key: &str) -> String {
        attribute(&self.resource, key).unwrap_or_else(|| panic!("no {key}: {:?}", self.resource))
    }

    pub(crate) fn is_error(&self) -> bool {
        self.span.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error)
    }
}

fn attribute(of: &[KeyValue], key: &str) -> Option<String> {
    let found = of.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        other => panic!("{key} is {other:?}"),
    }
}
