//! Spans of mails: the row keeps the trace from one loop to the other, and over a restart.

use testkit::{
    log, sample,
    spans::{self, attribute, client, named},
};

use crate::bench::{Bench, Mood};

#[tokio::test]
async fn a_mail_goes_on_from_the_reading_of_its_change_whoever_sends_it() {
    let (kept, bench) = (spans::follow(), Bench::open().await);
    let trace = client(31, true);
    let id = sample::order_id(1);
    let mut records = log::change_records(&[sample::placed(id)]);
    trace.put(&mut records[0].headers);
    bench.server.mood(Mood::PutsOff, "");
    bench.append(records).await;
    let mailer = bench.start();
    let made = kept.until(trace, 2).await;
    mailer.stop().await;
    let read = named(&made, "process orders.state-changed").clone();
    assert_eq!(read.parent_span_id.to_bytes(), trace.span_id().to_be_bytes());
    assert_eq!(attribute(named(&made, "send mail"), "error.type"), "put_off");

    bench.server.mood(Mood::Takes, "");
    let bench = bench.reopen().await;
    bench.clock.advance(5);
    let mailer = bench.start();
    bench.until_counts(0, 1, 0).await;
    mailer.stop().await;
    let made = kept.until(trace, 3).await;
    let sent = made.last().unwrap();
    assert_eq!(sent.name, "send mail");
    assert_eq!(sent.parent_span_id, read.span_context.span_id());
    assert_eq!(attribute(sent, "order_ledger.order_id"), id.to_string());
    assert_eq!(attribute(sent, "order_ledger.mail_template"), "placed");
    assert_eq!(attribute(sent, "error.type"), "");
}

#[tokio::test]
async fn of_a_trace_that_is_not_kept_nothing_is_made() {
    let (kept, bench) = (spans::follow(), Bench::open().await);
    let trace = client(32, false);
    let mut records = log::change_records(&[sample::placed(sample::order_id(1))]);
    trace.put(&mut records[0].headers);
    bench.append(records).await;
    let mailer = bench.start();
    bench.until_counts(0, 1, 0).await;
    mailer.stop().await;
    assert_eq!(kept.of(trace), []);
}
