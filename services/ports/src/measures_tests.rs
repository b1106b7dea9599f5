use std::{collections::BTreeMap, thread};

use chrono::{DateTime, Utc};
use proptest::prelude::*;

use super::{
    interval::{LOAD_TESTS_MAX, SERIES_MAX},
    *,
};
use crate::{LatencyHistogram, MetricDocument, MetricOf};

/// Ten seconds of a node called `here`.
fn told() -> Told<'static> {
    Told {
        node: "here",
        version: "1",
        until: DateTime::<Utc>::UNIX_EPOCH,
        lasted: Duration::from_secs(10),
    }
}

fn taken(measures: &Measures) -> Vec<MetricDocument> {
    measures.take().documents(told())
}

fn shipped(measures: &Measures, load_test_type: Option<&str>, latency: Duration) {
    let mut updates = measures.updates().unwrap();
    let state = Some(State::Shipped);
    updates.record(EventKind::OrderShipped, Measured::Success, state, load_test_type, latency);
}

fn count_of(document: &MetricDocument) -> u64 {
    match &document.of {
        MetricOf::Latency { count, latency_seconds, .. } => {
            assert_eq!(latency_seconds.counts.iter().sum::<u64>(), *count);
            *count
        }
        other => panic!("{other:?}"),
    }
}

fn label_of(document: &MetricDocument) -> Option<&str> {
    match &document.of {
        MetricOf::Latency { load_test_type, .. } => load_test_type.as_deref(),
        other => panic!("{other:?}"),
    }
}

fn histogram_of(document: &MetricDocument) -> &LatencyHistogram {
    match &document.of {
        MetricOf::Latency { latency_seconds, .. } => latency_seconds,
        other => panic!("{other:?}"),
    }
}

#[test]
fn series_are_told_apart() {
    let measures = Measures::on();
    measures.placing(None).ends(&Ok::<_, ()>(()));
    measures.placing(Some("soak")).ends(&Ok::<_, ()>(()));
    measures.placing(Some("soak")).ends(&Ok::<_, ()>(()));
    measures.placing(Some("soak")).ends(&Err::<(), _>(()));
    drop(measures.placing(Some("soak")));
    shipped(&measures, None, Duration::from_millis(5));
    measures.mail(Measured::Success);

    let taken = measures.take();
    assert_eq!((taken.mails_sent, taken.mails_failed), (1, 0));
    let documents = taken.documents(told());
    let found: BTreeMap<_, _> = documents
        .iter()
        .map(|document| {
            let key = (document.metric, document.event.outcome.unwrap(), label_of(document));
            (key, count_of(document))
        })
        .collect();
    let expected = [
        (("PlaceOrder", "success", None), 1),
        (("PlaceOrder", "success", Some("soak")), 2),
        (("PlaceOrder", "failure", Some("soak")), 2),
        (("state_update", "success", None), 1),
    ];
    assert_eq!(found, expected.into());
    assert!(super::tests::taken(&measures).is_empty(), "taken out once");
}

#[test]
fn orders_of_a_stream_are_added_up_when_it_rests_and_when_it_ends() {
    let measures = Measures::on();
    let mut orders = measures.streamed_orders();
    let mut ends = |label, outcome| {
        let order = orders.read(label);
        orders.ends(order, outcome)
    };
    let longest = (0..300).map(|_| ends(None, Measured::Success)).max().unwrap();
    let noted: u64 = taken(&measures).iter().map(count_of).sum();
    assert!((1..300).contains(&noted), "{noted}: together, not each alone, and not all in the end");
    ends(Some("soak"), Measured::Success);
    ends(None, Measured::Failure);
    let last = ends(None, Measured::Success);
    orders.rests();
    let documents = taken(&measures);
    assert!(documents.iter().all(|document| document.metric == "PlaceOrders"));
    let count = |label, outcome| {
        let is = |d: &&MetricDocument| (label_of(d), d.event.outcome) == (label, Some(outcome));
        documents.iter().find(is).map(count_of)
    };
    assert_eq!(count(None, "success"), Some(300 - noted + 1));
    assert_eq!((count(None, "failure"), count(Some("soak"), "success")), (Some(1), Some(1)));
    assert!(longest.max(last) < Duration::from_secs(60));

    let order = orders.read(Some(&"x".repeat(LABEL_BYTES_MAX + 1)));
    orders.ends(order, Measured::Failure);
    assert!(taken(&measures).is_empty());
    drop(orders);
    assert_eq!(label_of(&taken(&measures)[0]), Some(OTHER_LOAD_TESTS));
}

#[test]
fn a_document_says_how_many_a_second_and_how_long() {
    let measures = Measures::on();
    for millis in [1, 2, 50] {
        shipped(&measures, None, Duration::from_millis(millis));
    }
    let document = taken(&measures).remove(0);
    assert_eq!(document.event.action, Some("OrderShipped"));
    let MetricOf::Latency { state, count, per_second, latency_max_seconds, .. } = &document.of
    else {
        panic!("{document:?}")
    };
    assert_eq!((*state, *count), (Some("Shipped"), 3));
    assert!((per_second - 0.3).abs() < 1e-9 && (latency_max_seconds - 0.05).abs() < 1e-9);
    let histogram = histogram_of(&document);
    assert_eq!(histogram.counts, [1, 1, 1]);
    assert!(histogram.values.is_sorted(), "{histogram:?}");
}

#[test]
fn nothing_is_recorded_unless_it_is_on() {
    let off = Measures::default();
    assert!(!off.is_on() && off.updates().is_none());
    off.placing(Some("soak")).ends(&Ok::<_, ()>(()));
    off.mail(Measured::Success);
    assert!(taken(&off).is_empty());

    let measures = Measures::on();
    let clone = measures.clone();
    shipped(&measures, None, Duration::ZERO);
    clone.turn_off();
    assert!(!measures.is_on() && measures.updates().is_none());
    drop(measures.placing(None));
    measures.mail(Measured::Failure);
    let taken = measures.take();
    assert_eq!(taken.mails_failed, 0);
    assert!(taken.documents(told()).is_empty());
}

/// Users name load tests: as many as they like, and nothing of any is lost.
#[test]
fn load_tests_beyond_the_most_go_under_one_name() {
    let measures = Measures::on();
    for n in 0..10 * LOAD_TESTS_MAX {
        shipped(&measures, Some(&format!("test {n}")), Duration::from_millis(1));
    }
    shipped(&measures, None, Duration::from_millis(1));
    let documents = taken(&measures);
    // Those told apart, the others, and the orders of none.
    assert_eq!(documents.len(), LOAD_TESTS_MAX + 2);
    let all: u64 = documents.iter().map(count_of).sum();
    assert_eq!(all, 10 * LOAD_TESTS_MAX as u64 + 1);
    let other = documents.iter().find(|d| label_of(d) == Some(OTHER_LOAD_TESTS)).unwrap();
    assert_eq!(count_of(other), 9 * LOAD_TESTS_MAX as u64);
}

#[test]
fn a_label_that_no_order_can_have_is_not_kept() {
    let measures = Measures::on();
    drop(measures.placing(Some(&"x".repeat(LABEL_BYTES_MAX + 1))));
    drop(measures.placing(Some(&"x".repeat(LABEL_BYTES_MAX))));
    let documents = taken(&measures);
    let mut labels: Vec<_> = documents.iter().map(|d| label_of(d).unwrap().len()).collect();
    labels.sort_unstable();
    assert_eq!(labels, [OTHER_LOAD_TESTS.len(), LABEL_BYTES_MAX]);
}

#[test]
fn series_beyond_the_most_lose_their_state_and_nothing_else() {
    const KINDS: [EventKind; 3] =
        [EventKind::OrderPlaced, EventKind::OrderShipped, EventKind::OrderCancelled];
    let measures = Measures::on();
    let mut recorded = 0;
    for n in 0..LOAD_TESTS_MAX {
        let (label, mut updates) = (format!("test {n}"), measures.updates().unwrap());
        for (kind, state) in KINDS.iter().flat_map(|kind| State::ALL.map(|state| (kind, state))) {
            for outcome in [Measured::Success, Measured::Failure] {
                updates.record(*kind, outcome, Some(state), Some(&label), Duration::ZERO);
                recorded += 1;
            }
        }
    }
    assert!(recorded > SERIES_MAX as u64);
    let documents = taken(&measures);
    assert_eq!(documents.len(), SERIES_MAX + 2 * KINDS.len());
    assert_eq!(documents.iter().map(count_of).sum::<u64>(), recorded);
    let ids: std::collections::BTreeSet<_> = documents.iter().map(MetricDocument::id).collect();
    assert_eq!(ids.len(), documents.len(), "one id a series");
}

#[test]
fn nothing_is_lost_while_it_is_taken_out() {
    const THREADS: u64 = 4;
    const EACH: u64 = 20_000;
    let measures = Measures::on();
    let mut taken_count = 0;
    thread::scope(|scope| {
        let recording: Vec<_> = (0..THREADS)
            .map(|thread| {
                let measures = measures.clone();
                scope.spawn(move || {
                    for _ in 0..EACH {
                        if thread % 2 == 0 {
                            shipped(&measures, Some("soak"), Duration::from_micros(300));
                        } else {
                            measures.placing(None).ends(&Ok::<_, ()>(()));
                        }
                    }
                })
            })
            .collect();
        while recording.iter().any(|thread| !thread.is_finished()) {
            taken_count += taken(&measures).iter().map(count_of).sum::<u64>();
        }
    });
    taken_count += taken(&measures).iter().map(count_of).sum::<u64>();
    assert_eq!(taken_count, THREADS * EACH);
}

proptest! {
    /// Any latency is told to two digits, and the histogram is one that Elasticsearch takes.
    #[test]
    fn percentiles_are_within_a_hundredth(micros in prop::collection::vec(100_u64..3_000_000_000, 1..400)) {
        let measures = Measures::on();
        for micros in &micros {
            shipped(&measures, None, Duration::from_micros(*micros));
        }
        let documents = taken(&measures);
        let LatencyHistogram { values, counts } = histogram_of(&documents[0]);
        prop_assert_eq!(counts.iter().sum::<u64>(), micros.len() as u64);
        prop_assert!(values.windows(2).all(|pair| pair[0] < pair[1]));
        prop_assert!(counts.iter().all(|count| *count > 0));
        let mut micros = micros;
        micros.sort_unstable();
        let mut told = values.iter().zip(counts).flat_map(|(value, count)| {
            std::iter::repeat_n(*value, usize::try_from(*count).unwrap())
        });
        for exact in micros {
            let exact = crate::seconds(exact);
            let told = told.next().unwrap();
            prop_assert!((told - exact).abs() <= exact / 100.0, "{} told as {}", exact, told);
        }
    }
}
