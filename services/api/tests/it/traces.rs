//! Spans of calls, and of what they put into the log.

use opentelemetry::trace::{SpanKind, Status};
use ports::{EventLog as _, Topic, Traceparent};
use proto::v1::{self, place_orders_response::Result as Placed};
use testkit::{
    log,
    spans::{self, attribute, client, named},
};
use tonic::{Code, Request};

use crate::{
    faulty::Mood,
    system::{System, order},
};

fn within<T>(trace: Traceparent, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("traceparent", trace.to_string().parse().unwrap());
    request
}

/// The traceparents of the events in the log.
async fn logged(system: &System) -> Vec<Option<Traceparent>> {
    let records = log::read_all(system.log.as_ref(), Topic::Events).await;
    records.iter().map(|record| Traceparent::of(&record.headers)).collect()
}

const SENT: &str = "send orders.events";

#[tokio::test]
async fn an_event_goes_on_from_the_call_that_brought_it() {
    let (kept, system) = (spans::follow(), System::start().await);
    let trace = client(1, true);
    let placed = system.ledger().place_order(within(trace, order(""))).await.unwrap();
    let placed = placed.into_inner();
    let made = kept.until(trace, 2).await;
    let call = named(&made, "orderledger.v1.OrderLedger/PlaceOrder");
    let sent = named(&made, SENT);
    assert_eq!(call.parent_span_id.to_bytes(), trace.span_id().to_be_bytes());
    assert!(call.parent_span_is_remote);
    assert_eq!(call.span_kind, SpanKind::Server);
    assert_eq!(attribute(call, "rpc.system.name"), "grpc");
    assert_eq!(attribute(call, "rpc.method"), call.name);
    assert_eq!(attribute(call, "rpc.response.status_code"), "OK");
    assert_eq!(sent.parent_span_id, call.span_context.span_id());
    assert_eq!(sent.span_kind, SpanKind::Producer);
    assert_eq!(attribute(sent, "order_ledger.order_id"), placed.order_id);
    let position = placed.position.unwrap();
    let partition = attribute(sent, "messaging.destination.partition.id");
    assert_eq!(partition, position.partition.to_string());
    assert_eq!(attribute(sent, "messaging.kafka.offset"), position.offset.to_string());
    let record = logged(&system).await.remove(0).unwrap();
    assert_eq!(record.trace_id(), trace.trace_id());
    assert_eq!(record.span_id().to_be_bytes(), sent.span_context.span_id().to_bytes());
    system.stop().await;
}

#[tokio::test]
async fn every_verb_that_writes_is_followed_and_so_is_the_older_contract() {
    let (kept, system) = (spans::follow(), System::start().await);
    let order_id = system.placed().await;
    let (cancelled, seed) = (client(2, true), client(3, true));
    let cancel = v1::CancelOrderRequest { order_id, ..Default::default() };
    system.ledger().cancel_order(within(cancelled, cancel)).await.unwrap();
    let made = kept.until(cancelled, 2).await;
    let call = named(&made, "orderledger.v1.OrderLedger/CancelOrder");
    assert_eq!(named(&made, SENT).parent_span_id, call.span_context.span_id());

    let request = proto::seed::OrderRequest::default();
    let status = system.seed().place_order(within(seed, request)).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let made = kept.until(seed, 1).await;
    let call = named(&made, "OrderService/PlaceOrder");
    assert_eq!(attribute(call, "rpc.response.status_code"), "INVALID_ARGUMENT");
    assert_eq!(call.status, Status::Unset, "the caller was wrong, not the server");
    system.stop().await;
}

#[tokio::test]
async fn a_log_that_is_away_is_an_error_of_the_server() {
    let (kept, system) = (spans::follow(), System::start().await);
    system.log.turns(Mood::Away);
    let trace = client(4, true);
    let status = system.ledger().place_order(within(trace, order(""))).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let made = kept.until(trace, 1).await;
    let call = named(&made, "orderledger.v1.OrderLedger/PlaceOrder");
    assert_eq!(attribute(call, "error.type"), "UNAVAILABLE");
    assert!(matches!(call.status, Status::Error { .. }), "{call:?}");
    system.stop().await;
}

#[tokio::test]
async fn an_order_of_a_stream_is_one_span() {
    let (kept, system) = (spans::follow(), System::start().await);
    let trace = client(5, true);
    let orders = futures::stream::iter([order("a"), order("b"), v1::PlaceOrderRequest::default()]);
    let answers = system.ledger().place_orders(within(trace, orders)).await.unwrap();
    let mut answers = answers.into_inner();
    let mut placed = 0;
    while let Some(answer) = answers.message().await.unwrap() {
        placed += usize::from(matches!(answer.result, Some(Placed::Placed(_))));
    }
    assert_eq!(placed, 2);
    let made = kept.until(trace, 2).await;
    assert_eq!(made.len(), 2);
    for span in &made {
        assert_eq!((&*span.name, &span.span_kind), (SENT, &SpanKind::Producer));
        assert_eq!(span.parent_span_id.to_bytes(), trace.span_id().to_be_bytes());
    }
    let logged = logged(&system).await;
    assert!(logged.iter().all(|found| found.is_some_and(|f| f.trace_id() == trace.trace_id())));
    system.stop().await;
}

#[tokio::test]
async fn what_is_not_sampled_is_passed_on_and_costs_no_span() {
    let (kept, system) = (spans::follow(), System::start().await);
    let trace = client(6, false);
    system.ledger().place_order(within(trace, order(""))).await.unwrap();
    assert_eq!(logged(&system).await, [Some(trace)]);
    // Without a trace of its own a call begins one only if the dice say so: here, never.
    system.placed().await;
    let logged = logged(&system).await;
    assert_eq!(logged.iter().flatten().count(), 1, "{logged:?}");
    system.log.flush().await;
    assert_eq!(kept.of(trace), []);
    system.stop().await;
}
