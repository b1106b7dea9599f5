//! One trace, from a client's call to the mail, made by separate processes; and a collector that is away.

use std::{collections::BTreeSet, time::Duration};

use adapter_embedded::SqliteLog;
use codec::event_record;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use ports::{EventLog as _, NewRecord, Topic, TopicSettings, Traceparent};
use proto::v1;
use testkit::{log, sample, servers::unique, wait_for};
use tokio::{
    net::TcpListener,
    time::{Instant, timeout},
};
use tonic::{Code, Request};

use crate::{
    client::{connect, order, order_of},
    folder::Folder,
    found,
    installation::Installation,
    process::{PATIENCE, Process},
    trace_collector::{Collector, Made},
};

const SERVER: &str = "orderledger.v1.OrderLedger/PlaceOrder";
const SENT: &str = "send orders.events";
const FOLDED: &str = "process orders.events";
const TOLD: &str = "send orders.state-changed";
const READ: &str = "process orders.state-changed";

/// Every span of an order that was placed: its name, kind and role, and the name and role of its parent.
const TRACE: [(&str, SpanKind, &str, (&str, &str)); 10] = [
    (SERVER, SpanKind::Server, "api", ("client", "")),
    (SENT, SpanKind::Producer, "api", (SERVER, "api")),
    (FOLDED, SpanKind::Consumer, "projector", (SENT, "api")),
    (TOLD, SpanKind::Producer, "projector", (FOLDED, "projector")),
    (READ, SpanKind::Consumer, "search", (TOLD, "projector")),
    ("bulk orders", SpanKind::Client, "search", (READ, "search")),
    ("bulk order-transitions", SpanKind::Client, "search", (READ, "search")),
    (READ, SpanKind::Consumer, "mailer", (TOLD, "projector")),
    ("send mail", SpanKind::Client, "mailer", (READ, "mailer")),
    (READ, SpanKind::Consumer, "fulfilment", (TOLD, "projector")),
];

/// A process that sends its spans, and begins no trace by itself.
fn start(installation: &Installation, role: &str, collector: &Collector) -> Process {
    let mut args = installation.args();
    let more = [
        ("--roles", role),
        ("--otlp-endpoint", &collector.endpoint),
        ("--trace-sample-ratio", "0"),
        ("--log-filter", "info,api=debug"),
        // Fulfilment follows; nothing becomes due.
        ("--fulfilment-pay-after", "1d"),
    ];
    args.extend(more.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value.to_owned()]));
    Process::serve(role, &args)
}

/// A client's span, of a trace of its own.
fn client(n: u64, is_sampled: bool) -> Traceparent {
    let noise = unique("trace");
    let noise = u64::from_str_radix(noise.rsplit('_').next().unwrap(), 16).unwrap();
    Traceparent::new((u128::from(noise) << 64) | 1, n, u8::from(is_sampled)).unwrap()
}

fn within<T>(trace: Traceparent, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("traceparent", trace.to_string().parse().unwrap());
    request
}

#[tokio::test]
async fn an_order_is_one_trace_through_every_process() {
    let installation = Installation::new("traces").await;
    let collector = Collector::start().await;
    let roles = ["api", "projector", "search", "mailer", "fulfilment"];
    let mut processes = roles.map(|role| start(&installation, role, &collector));
    for process in &mut processes {
        process.ready().await;
    }
    let mut ledger = connect(&processes[0].grpc().await).await;

    let (kept, dropped, refused) = (client(1, true), client(2, false), client(3, true));
    let unseen = ledger.place_order(within(dropped, order(&installation, 1))).await.unwrap();
    let placed = ledger.place_order(within(kept, order(&installation, 2))).await.unwrap();
    let order_id = placed.into_inner().order_id;
    let spans = collector.until(kept, TRACE.len()).await;
    check(&spans, kept, &order_id, &installation);

    // Whatever the trace came to, its id is where people look for an order.
    for (order_id, trace) in [(unseen.into_inner().order_id, dropped), (order_id.clone(), kept)] {
        wait_for("the transition says of which trace it is", PATIENCE, async || {
            let appended = found::appended(&installation).await;
            let found = appended.iter().find(|transition| transition["order_id"] == order_id)?;
            (found["trace"]["id"] == trace.trace_id().to_string()).then_some(())
        })
        .await;
    }
    let deliver = v1::RecordDeliveredRequest { order_id: order_id.clone(), ..Default::default() };
    let status = ledger.record_delivered(within(refused, deliver)).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    let line = processes[0].says("a call was refused").await;
    assert_eq!(line["order_id"], order_id);
    assert_eq!(line["trace_id"], refused.trace_id().to_string());
    assert_eq!(line["method"], "RecordDelivered");
    let call = collector.until(refused, 1).await.remove(0);
    let code = call.attribute("rpc.response.status_code");
    assert_eq!(code.as_deref(), Some("FAILED_PRECONDITION"));
    assert!(!call.is_error(), "the caller was wrong, not the server");

    for process in processes {
        process.stop().await;
    }
    // Each process sent what it had left: no one made anything of the trace that is not kept.
    assert_eq!(collector.all().len(), TRACE.len() + 1);
    installation.remove().await;
}

fn check(spans: &[Made], client: Traceparent, order_id: &str, installation: &Installation) {
    let role = |made: &Made| made.process("order_ledger.roles");
    let mut seen = BTreeSet::new();
    for made in spans {
        let span = &made.span;
        let parent = spans.iter().find(|other| other.span.span_id == span.parent_span_id);
        let parent = if span.parent_span_id == client.span_id().to_be_bytes() {
            ("client".to_owned(), String::new())
        } else {
            let parent = parent.unwrap_or_else(|| panic!("{} has no parent", span.name));
            assert!(parent.span.start_time_unix_nano <= span.start_time_unix_nano + 1_000);
            (parent.span.name.clone(), role(parent))
        };
        seen.insert((span.name.clone(), span.kind, role(made), parent));
        assert!(!made.is_error(), "{span:?}");
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano, "{span:?}");
        if span.name != SERVER {
            assert_eq!(made.attribute("order_ledger.order_id").as_deref(), Some(order_id));
        }
        assert_eq!(made.process("service.name"), "order-ledger");
        assert_eq!(made.process("service.version"), env!("CARGO_PKG_VERSION"));
    }
    let expected = TRACE.map(|(name, kind, role, (parent, parent_role))| {
        let parent = (parent.to_owned(), parent_role.to_owned());
        (name.to_owned(), kind.into(), role.to_owned(), parent)
    });
    assert_eq!(seen, BTreeSet::from(expected));
    let processes: BTreeSet<_> = spans.iter().map(|m| m.process("service.instance.id")).collect();
    assert_eq!(processes.len(), 5, "each role is a process of its own");

    let folded = spans.iter().find(|made| made.span.name == FOLDED).unwrap();
    let prefix = installation.topic_prefix();
    for (key, value) in [
        ("messaging.system", "kafka"),
        ("messaging.destination.name", &format!("{prefix}orders.events")),
        ("messaging.operation.type", "process"),
        ("messaging.consumer.group.name", &format!("{prefix}order-ledger.projector")),
        ("order_ledger.event", "OrderPlaced"),
        ("order_ledger.outcome", "applied"),
    ] {
        assert_eq!(folded.attribute(key).as_deref(), Some(value), "{key}");
    }
    let sent = spans.iter().find(|made| made.span.name == SENT).unwrap();
    for key in ["messaging.destination.partition.id", "messaging.kafka.offset"] {
        assert_eq!(folded.attribute(key), sent.attribute(key), "{key}");
    }
    let indexed = spans.iter().find(|made| made.span.name == "bulk orders").unwrap();
    assert_eq!(indexed.attribute("db.system.name").as_deref(), Some("elasticsearch"));
    assert_eq!(indexed.attribute("db.collection.name"), Some(installation.index()));
}

/// The first span of a trace, if it is that one, and what goes on from it.
fn begun<'a>(all: &'a [Made], name: &str) -> Option<(&'a Made, Vec<&'a Made>)> {
    let is_first = |made: &&Made| made.span.name == name && made.span.parent_span_id.is_empty();
    let first = all.iter().find(is_first)?;
    let of_first = |made: &&Made| made.span.parent_span_id == first.span.span_id;
    let next = all.iter().filter(of_first).collect::<Vec<_>>();
    (!next.is_empty()).then_some((first, next))
}

#[tokio::test]
async fn calls_and_timers_begin_traces_on_embedded_parts_as_well() {
    let (folder, collector) = (Folder::new(), Collector::start().await);
    let ratio = ["--otlp-endpoint", &collector.endpoint, "--trace-sample-ratio", "1"];
    let args = [&ratio[..], &["--fulfilment-pay-after", "50ms"]].concat();
    let mut process = folder.serve("traced", &args);
    process.ready().await;
    let mut ledger = connect(&process.grpc().await).await;
    let placed = ledger.place_order(order_of("traced", 1)).await.unwrap().into_inner();
    wait_for("the call and the timer have begun traces", PATIENCE, async || {
        let all = collector.all();
        (begun(&all, SERVER).is_some() && begun(&all, SENT).is_some()).then_some(())
    })
    .await;
    process.stop().await;

    let all = collector.all();
    let (call, sent) = begun(&all, SERVER).unwrap();
    assert_eq!(sent[0].span.name, SENT);
    let (fired, folded) = begun(&all, SENT).unwrap();
    assert_ne!(call.span.trace_id, fired.span.trace_id);
    let folded = folded[0];
    assert_eq!((&*folded.span.name, &folded.span.trace_id), (FOLDED, &fired.span.trace_id));
    assert_eq!(folded.attribute("order_ledger.event").as_deref(), Some("PaymentCaptured"));
    assert_eq!(folded.attribute("order_ledger.order_id"), Some(placed.order_id));
    assert_eq!(folded.attribute("messaging.system").as_deref(), Some("sqlite"));
    assert_eq!(folded.process("order_ledger.roles"), "api,projector,search,mailer,fulfilment");
}

/// One that refuses, and one that never answers: orders are placed as ever, and the process ends in time.
#[tokio::test]
async fn a_collector_that_is_away_costs_nothing_but_its_spans() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for collector in [closed, silent.local_addr().unwrap()] {
        let folder = Folder::new();
        let endpoint = format!("http://{collector}");
        let args = ["--otlp-endpoint", &endpoint, "--trace-sample-ratio", "1"];
        let mut process = folder.serve("untraced", &args);
        process.ready().await;
        let mut ledger = connect(&process.grpc().await).await;
        for n in 0..50 {
            let request = order_of("untraced", n);
            let placed = timeout(Duration::from_secs(30), ledger.place_order(request)).await;
            placed.expect("no one waits for a collector").unwrap();
        }
        process.says("the collector takes no spans: they are lost until it does").await;
        assert!(process.metric("order_ledger_trace_spans_total").await > 0.0);
        let began = Instant::now();
        process.stop().await;
        let took = began.elapsed();
        assert!(took < Duration::from_secs(30), "it took {took:?} to end");
    }
}

/// Whether spans are made or not: a trace that someone else follows is found in the log as well.
#[tokio::test]
async fn lines_of_the_log_say_which_order_and_which_trace() {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.data()).unwrap();
    let events = SqliteLog::open(&folder.data().join("log.db")).await.unwrap();
    events.prepare(TopicSettings { partitions: Some(4), replication: None }).await.unwrap();
    let (misfit, unreadable) = (client(1, true), client(2, false));
    let (id, parked) = (sample::order_id(1), sample::order_id(2));
    let records = vec![
        event_record(&sample::placed(id), None),
        event_record(&sample::delivered(id), Some(misfit)),
        NewRecord {
            value: "no protobuf".into(),
            ..event_record(&sample::placed(parked), Some(unreadable))
        },
    ];
    log::append(&events, Topic::Events, records).await;
    drop(events);

    let mut process = folder.serve("lines", &[]);
    for (message, order_id, trace) in [
        ("a fact does not fit its order: an anomaly", id, misfit),
        ("a record can't be read: dead letter", parked, unreadable),
    ] {
        let line = process.says(message).await;
        assert_eq!(line["order_id"], order_id.to_string(), "{line}");
        assert_eq!(line["trace_id"], trace.trace_id().to_string(), "{line}");
        assert!(line["partition"].is_string() && line["offset"].is_string(), "{line}");
    }
    process.stop().await;
}
