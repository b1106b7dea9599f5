//! Cases for [`ports::MetricStream`]: appended once, never changed.

use futures::future::join_all;
use ports::{IndexOutcome, MetricDocument, MetricStream};
use serde_json::{Value, json};
use testkit::metrics::interval;

use IndexOutcome::{Indexed, Stale};

/// Makes a test of every case; `$with` hands each a fresh, prepared [`ports::MetricStream`].
#[macro_export]
macro_rules! metric_stream {
    ($with:path) => {
        $crate::cases!(
            $with,
            metric_stream,
            [
                metrics_come_back_as_written,
                a_repeated_metric_is_stale_and_changes_nothing,
                racing_processes_append_all_of_theirs,
                what_is_prepared_may_be_prepared_again,
                a_large_append_of_metrics_goes_through,
                no_metrics_are_no_error,
            ]
        );
    };
}

async fn append(stream: &dyn MetricStream, documents: &[MetricDocument]) -> Vec<IndexOutcome> {
    stream.append(documents).await.unwrap()
}

/// In an order of the test's own: documents of one interval have the same time.
fn sorted(mut documents: Vec<Value>) -> Vec<String> {
    documents.sort_by_key(ToString::to_string);
    documents.iter().map(ToString::to_string).collect()
}

fn values(documents: &[MetricDocument]) -> Vec<Value> {
    documents.iter().map(|document| json!(document)).collect()
}

/// At once, each node's own, oldest first.
pub async fn metrics_come_back_as_written(stream: &dyn MetricStream) {
    assert_eq!(stream.kept("one").await.unwrap(), Vec::<Value>::new());
    let (later, earlier, other) = (interval("one", 2), interval("one", 1), interval("other", 1));
    for documents in [&later, &other, &earlier] {
        assert_eq!(append(stream, documents).await, vec![Indexed; documents.len()]);
    }
    let kept = stream.kept("one").await.unwrap();
    let (first, second) = kept.split_at(earlier.len());
    assert_eq!(sorted(first.to_vec()), sorted(values(&earlier)));
    assert_eq!(sorted(second.to_vec()), sorted(values(&later)));
    assert_eq!(sorted(stream.kept("other").await.unwrap()), sorted(values(&other)));
}

/// As a process does that did not hear the answer.
pub async fn a_repeated_metric_is_stale_and_changes_nothing(stream: &dyn MetricStream) {
    let documents = interval("one", 1);
    let twice = [documents[0].clone(), documents[0].clone()];
    assert_eq!(append(stream, &twice).await, [Indexed, Stale]);
    let mut longer = documents[0].clone();
    longer.interval_seconds += 1.0;
    assert_eq!(append(stream, &[longer, documents[1].clone()]).await, [Stale, Indexed]);
    assert_eq!(sorted(stream.kept("one").await.unwrap()), sorted(values(&documents[..2])));
}

/// The same series, each of its own process.
pub async fn racing_processes_append_all_of_theirs(stream: &dyn MetricStream) {
    let nodes: Vec<_> = (0..6).map(|n| format!("node {n}")).collect();
    let writers = nodes.iter().map(|node| async { append(stream, &interval(node, 1)).await });
    for outcomes in join_all(writers).await {
        assert!(outcomes.iter().all(|outcome| *outcome == Indexed), "{outcomes:?}");
    }
    for node in &nodes {
        let kept = stream.kept(node).await.unwrap();
        assert_eq!(sorted(kept), sorted(values(&interval(node, 1))));
    }
}

/// Nothing of what is there goes.
pub async fn what_is_prepared_may_be_prepared_again(stream: &dyn MetricStream) {
    let documents = interval("one", 1);
    append(stream, &documents).await;
    for prepared in join_all((0..3).map(|_| stream.prepare())).await {
        prepared.unwrap();
    }
    assert_eq!(stream.kept("one").await.unwrap().len(), documents.len());
}

/// Many intervals, after the server was away.
pub async fn a_large_append_of_metrics_goes_through(stream: &dyn MetricStream) {
    let documents: Vec<_> = (1..=400).flat_map(|n| interval("one", n)).collect();
    assert_eq!(append(stream, &documents).await, vec![Indexed; documents.len()]);
    assert_eq!(stream.kept("one").await.unwrap().len(), documents.len());
}

/// An empty call is no error.
pub async fn no_metrics_are_no_error(stream: &dyn MetricStream) {
    assert_eq!(append(stream, &[]).await, []);
}
