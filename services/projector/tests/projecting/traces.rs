//! Spans: each followed record has one, and what it announces goes on from there.

use codec::event_record;
use events::Event;
use ports::{NewRecord, Topic, Traceparent};
use projector::Settings;
use testkit::{
    log, sample,
    spans::{self, attribute, client, named},
    wait_for,
};

use crate::world::{PATIENCE, World};

fn within(trace: Traceparent, event: &Event) -> NewRecord {
    event_record(event, Some(trace))
}

/// The traceparents of what is announced, in order.
async fn told(world: &World) -> Vec<Option<Traceparent>> {
    let told = log::read_all(world.log.as_ref(), Topic::StateChanged).await;
    told.iter().map(|record| Traceparent::of(&record.headers)).collect()
}

#[tokio::test]
async fn what_a_record_announces_goes_on_from_its_span() {
    let kept = spans::follow();
    let world = World::open().await;
    let trace = client(11, true);
    let id = sample::order_id(1);
    world.append(vec![within(trace, &sample::placed(id))]).await;
    let projector = world.start(Settings::default());
    world.until_folded().await;
    projector.stop().await;

    let made = kept.until(trace, 2).await;
    assert_eq!(made.len(), 2);
    let (processed, sent) =
        (named(&made, "process orders.events"), named(&made, "send orders.state-changed"));
    assert_eq!(processed.parent_span_id.to_bytes(), trace.span_id().to_be_bytes());
    assert_eq!(sent.parent_span_id, processed.span_context.span_id());
    assert_eq!(attribute(processed, "order_ledger.order_id"), id.to_string());
    assert_eq!(attribute(processed, "order_ledger.outcome"), "applied");
    assert_eq!(attribute(processed, "messaging.kafka.offset"), "0");
    assert_eq!(attribute(sent, "messaging.kafka.offset"), "0");
    let told = told(&world).await.remove(0).unwrap();
    assert_eq!(told.trace_id(), trace.trace_id());
    assert_eq!(told.span_id().to_be_bytes(), sent.span_context.span_id().to_bytes());
}

#[tokio::test]
async fn a_trace_that_is_not_kept_is_passed_on_and_nothing_is_made_of_it() {
    let kept = spans::follow();
    let world = World::open().await;
    let (trace, id) = (client(12, false), sample::order_id(1));
    world
        .append(vec![within(trace, &sample::placed(id)), event_record(&sample::captured(id), None)])
        .await;
    let projector = world.start(Settings::default());
    world.until_folded().await;
    projector.stop().await;
    assert_eq!(told(&world).await, [Some(trace), None]);
    assert_eq!(kept.of(trace), []);
}

/// The history knows no traces: what it tells again is told without.
#[tokio::test]
async fn what_is_announced_again_is_in_no_trace() {
    let kept = spans::follow();
    let world = World::open().await;
    let trace = client(13, true);
    world.append(vec![within(trace, &sample::placed(sample::order_id(1)))]).await;
    // It commits, and dies before it announces.
    world.rival().fold(usize::MAX).await;
    let projector = world.start(Settings::default());
    let told = wait_for("it is announced", PATIENCE, async || {
        Some(told(&world).await).filter(|told| !told.is_empty())
    });
    assert_eq!(told.await, [None]);
    projector.stop().await;
    assert_eq!(kept.of(trace), []);
}

#[tokio::test]
async fn a_record_that_can_not_be_read_is_a_span_that_failed() {
    let kept = spans::follow();
    let world = World::open().await;
    let trace = client(14, true);
    let good = within(trace, &sample::placed(sample::order_id(1)));
    world.append(vec![NewRecord { value: "no protobuf".into(), ..good }]).await;
    let projector = world.start(Settings::default());
    world.until_folded().await;
    projector.stop().await;
    let made = kept.until(trace, 1).await;
    let processed = named(&made, "process orders.events");
    assert_eq!(attribute(processed, "error.type"), "Undecodable");
    assert_eq!(attribute(processed, "order_ledger.order_id"), "");
}
