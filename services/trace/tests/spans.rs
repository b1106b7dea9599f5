//! Spans as an exporter gets them.

use ports::{AppendError, Group, NewRecord, Offset, Partition, Position, Topic, Traceparent};
use testkit::{
    sample,
    spans::{self, attribute, client, named},
};

const AT: Position = Position { partition: Partition(2), offset: Offset(40) };

fn record(trace: Option<Traceparent>) -> NewRecord {
    codec::event_record(&sample::placed(sample::order_id(1)), trace)
}

#[tokio::test]
async fn what_a_record_brings_about_goes_on_from_its_span() {
    let (kept, trace) = (spans::follow(), client(1, true));
    let mut record = record(Some(trace));
    let sending = trace::sending(Topic::Events, &mut record);
    let of_record = Traceparent::of(&record.headers).unwrap();
    assert_eq!(of_record, sending.as_ref().unwrap().traceparent());
    assert_ne!(of_record, trace);
    assert!(kept.of(trace).is_empty(), "it has not ended");
    let ack = trace::until_acknowledged(sending, Box::pin(async { Ok(AT) }));
    assert_eq!(ack.await.unwrap(), AT);

    let began = sample::at(5);
    let (topic, group) = (Topic::Events, Group::Projector);
    let processing = trace::processing(topic, group, AT, of_record, began).unwrap();
    processing.end_at(sample::at(7));
    let made = kept.of(trace);
    let (sent, processed) =
        (named(&made, "send orders.events"), named(&made, "process orders.events"));
    assert_eq!(sent.parent_span_id.to_bytes(), trace.span_id().to_be_bytes());
    assert_eq!(attribute(sent, "messaging.destination.partition.id"), "2");
    assert_eq!(attribute(sent, "messaging.kafka.message.key"), sample::order_id(1).to_string());
    assert_eq!(processed.parent_span_id, sent.span_context.span_id());
    assert_eq!(processed.start_time, began.into());
    assert_eq!(processed.end_time, sample::at(7).into());
    assert_eq!(attribute(processed, "messaging.consumer.group.name"), "order-ledger.projector");
}

#[tokio::test]
async fn a_record_that_is_not_kept_is_a_span_that_failed() {
    let (kept, trace) = (spans::follow(), client(2, true));
    let sending = trace::sending(Topic::Events, &mut record(Some(trace)));
    let lost = Err(AppendError::Unacknowledged("timed out".to_owned()));
    let ack = trace::until_acknowledged(sending, Box::pin(async { lost }));
    ack.await.unwrap_err();
    let made = kept.of(trace);
    assert_eq!(attribute(named(&made, "send orders.events"), "error.type"), "unacknowledged");
}

/// The ratio is 0 here.
#[test]
fn what_no_one_keeps_stays_as_it_is() {
    let kept = spans::follow();
    for trace in [None, Some(client(3, false))] {
        let (before, mut record) = (record(trace), record(trace));
        assert!(trace::sending(Topic::Events, &mut record).is_none());
        assert!(trace::sending_or_begin(Topic::Events, &mut record).is_none());
        assert_eq!(record, before);
        assert!(trace::call(trace, || unreachable!("its name is not asked for")).is_none());
        assert_eq!(trace::followed(trace), None);
    }
    assert_eq!(kept.of(client(3, false)), []);
}
