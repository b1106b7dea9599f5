//! Spans of changes that are indexed.

use ports::Traceparent;
use testkit::{
    log, sample,
    spans::{self, attribute, client, named},
};

use crate::bench::Bench;

fn within(trace: Traceparent, order: u64) -> Vec<ports::NewRecord> {
    let mut records = log::change_records(&[sample::placed(sample::order_id(order))]);
    for record in &mut records {
        trace.put(&mut record.headers);
    }
    records
}

#[tokio::test]
async fn each_request_for_a_change_goes_on_from_its_reading() {
    let (kept, bench) = (spans::follow(), Bench::open().await);
    let trace = client(21, true);
    bench.append(within(trace, 1)).await;
    let search = bench.start();
    let made = kept.until(trace, 3).await;
    search.stop().await;
    assert_eq!(made.len(), 3);
    let read = named(&made, "process orders.state-changed");
    assert_eq!(read.parent_span_id.to_bytes(), trace.span_id().to_be_bytes());
    assert_eq!(attribute(read, "messaging.consumer.group.name"), "order-ledger.search");
    for (name, index) in
        [("bulk orders", "orders"), ("bulk order-transitions", "order-transitions")]
    {
        let written = named(&made, name);
        assert_eq!(written.parent_span_id, read.span_context.span_id());
        assert_eq!(attribute(written, "db.collection.name"), index);
        assert_eq!(attribute(written, "db.operation.batch.size"), "1");
        assert_eq!(attribute(written, "order_ledger.outcome"), "indexed");
    }
}

#[tokio::test]
async fn what_is_refused_has_spans_that_failed() {
    let (kept, bench) = (spans::follow(), Bench::open().await);
    let trace = client(22, true);
    bench.append(within(trace, 13)).await;
    let search = bench.start();
    bench.letters(1).await;
    let made = kept.until(trace, 3).await;
    search.stop().await;
    assert_eq!(attribute(named(&made, "bulk orders"), "error.type"), "refused");
    let read = named(&made, "process orders.state-changed");
    assert_eq!(attribute(read, "error.type"), "Refused");
}

#[tokio::test]
async fn of_a_trace_that_is_not_kept_nothing_is_made() {
    let (kept, bench) = (spans::follow(), Bench::open().await);
    let trace = client(23, false);
    bench.append(within(trace, 1)).await;
    let search = bench.start();
    let kept_of = bench.until_transitions(1, 1).await;
    assert_eq!(kept_of[0]["trace"]["id"], trace.trace_id().to_string());
    search.stop().await;
    assert_eq!(kept.of(trace), []);
}
