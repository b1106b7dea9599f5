//! What the writer of the log makes of many at once: few transactions, and a queue with an end.

#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use adapter_embedded::SqliteLog;
use bytes::Bytes;
use futures::future::join_all;
use metrics::{
    Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use ports::{AppendError, EventLog as _, NewRecord, Topic, TopicSettings};
use tempfile::TempDir;

/// Runs a case on a log of its own, in one thread: the writer only gets its turn when the case waits.
fn on_fresh_log(case: impl AsyncFnOnce(&SqliteLog)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let folder = TempDir::new().unwrap();
        let log = SqliteLog::open(&folder.path().join("log.db")).await.unwrap();
        log.prepare(TopicSettings { partitions: Some(4), replication: None }).await.unwrap();
        case(&log).await;
    });
}

fn record(n: usize, size: usize) -> NewRecord {
    NewRecord {
        key: Bytes::from(format!("key {n}")),
        value: Bytes::from(vec![7; size]),
        headers: Vec::new(),
    }
}

/// Counts transactions and the records in them, as the log reports them.
#[derive(Clone, Default)]
struct Transactions(Arc<Counts>);

#[derive(Default)]
struct Counts {
    transactions: AtomicUsize,
    records: AtomicUsize,
}

impl Transactions {
    fn counted(&self) -> (usize, usize) {
        let Counts { transactions, records } = &*self.0;
        (transactions.load(Ordering::Relaxed), records.load(Ordering::Relaxed))
    }
}

impl HistogramFn for Counts {
    fn record(&self, records: f64) {
        self.transactions.fetch_add(1, Ordering::Relaxed);
        self.records.fetch_add(records as usize, Ordering::Relaxed);
    }
}

impl Recorder for Transactions {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        assert_eq!(key.name(), "order_ledger_log_transaction_records");
        Histogram::from_arc(Arc::clone(&self.0))
    }
}

/// One wait for the disk serves them all.
#[test]
fn many_at_once_share_few_transactions() {
    const APPENDS: usize = 4_000;
    let transactions = Transactions::default();
    metrics::with_local_recorder(&transactions, || {
        on_fresh_log(async |log| {
            let append = async |n| log.append(Topic::Events, record(n, 100)).unwrap().await;
            for acked in join_all((0..APPENDS).map(append)).await {
                acked.unwrap();
            }
        });
    });
    let (transactions, records) = transactions.counted();
    assert_eq!(records, APPENDS);
    assert!(transactions <= 10, "{transactions} transactions for {APPENDS} records");
}

/// Nobody waits for others to come.
#[test]
fn one_alone_is_written_at_once() {
    let transactions = Transactions::default();
    metrics::with_local_recorder(&transactions, || {
        on_fresh_log(async |log| {
            for n in 0..5 {
                log.append(Topic::Events, record(n, 100)).unwrap().await.unwrap();
            }
        });
    });
    assert_eq!(transactions.counted(), (5, 5));
}

/// Memory does not grow with what the disk can't keep up with; what was taken is kept.
#[test]
fn a_full_queue_says_so_and_takes_more_once_drained() {
    // Full of many small ones, full of few large ones.
    for size in [10, 1_000_000] {
        on_fresh_log(async |log| {
            let mut acks = Vec::new();
            let refused = loop {
                match log.append(Topic::Events, record(acks.len(), size)) {
                    Ok(ack) => acks.push(ack),
                    Err(error) => break error,
                }
                assert!(acks.len() * size.max(1_000) < 256 << 20, "the queue has no end");
            };
            assert!(matches!(refused, AppendError::QueueFull), "{refused}");
            let taken = acks.len();
            for acked in join_all(acks).await {
                acked.unwrap();
            }
            log.append(Topic::Events, record(0, size)).unwrap().await.unwrap();
            let ends = log.end_offsets(Topic::Events).await.unwrap();
            let stored: i64 = ends.iter().map(|end| end.offset.0).sum();
            assert_eq!(usize::try_from(stored).unwrap(), taken + 1);
        });
    }
}
