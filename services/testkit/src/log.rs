//! Writing to and reading from an event log in a test's few words.

use codec::state_change_record;
use events::Event;
use ports::{EventLog, LogError, LogRecord, NewRecord, Offset, Topic};

use crate::sample;

/// Appends records in this order and waits until the log has them.
///
/// # Panics
/// If the log does not take one.
pub async fn append(log: &dyn EventLog, topic: Topic, records: Vec<NewRecord>) {
    let acks: Vec<_> = records.into_iter().map(|record| log.append(topic, record)).collect();
    for ack in acks {
        let ack = ack.unwrap_or_else(|error| panic!("the log takes no record: {error}"));
        ack.await.unwrap_or_else(|error| panic!("the log keeps no record: {error}"));
    }
}

/// The records of `orders.state-changed` that these events of one order bring about.
#[must_use]
pub fn change_records(events: &[Event]) -> Vec<NewRecord> {
    sample::changes(events).iter().map(state_change_record).collect()
}

/// Every record of a topic, partition by partition.
///
/// # Panics
/// If the log can't be read.
pub async fn read_all(log: &dyn EventLog, topic: Topic) -> Vec<LogRecord> {
    let mut all = Vec::new();
    for end in log.end_offsets(topic).await.unwrap_or_else(failed) {
        let (partition, until) = (end.partition, end.offset);
        let reader = log.read(topic, partition, Offset::START, until).await;
        let mut reader = reader.unwrap_or_else(failed);
        loop {
            let records = reader.next().await.unwrap_or_else(failed);
            if records.is_empty() {
                break;
            }
            all.extend(records);
        }
    }
    all
}

fn failed<T>(error: LogError) -> T {
    panic!("the log can't be read: {error}")
}
