//! Cases for [`ports::EventLog`]: what happens to a record, in `appends` and `reads`; what happens to the
//! members of a group, alone in `groups` and together in `sharing`; and to those who follow on their own, in `following`.

mod appends;
mod following;
mod groups;
mod member;
mod reads;
mod sharing;

use std::{future::Future, time::Duration};

use bytes::Bytes;
use ports::{EventLog, LogRecord, NewRecord, Offset, Partition, Position, Topic, TopicSettings};

pub use appends::*;
pub use following::*;
pub use groups::*;
pub use reads::*;
pub use sharing::*;

/// How the log that a case gets was prepared.
pub const SETTINGS: TopicSettings = TopicSettings { partitions: Some(3), replication: None };

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Makes a test of every case; `$with` hands each a [`ports::EventLog`] of its own, prepared with [`SETTINGS`].
#[macro_export]
macro_rules! event_log {
    ($with:path) => {
        $crate::cases!(
            $with,
            event_log,
            [
                preparing_again_changes_nothing,
                another_number_of_partitions_is_refused,
                a_record_comes_back_as_it_was_appended,
                a_key_chooses_its_partition_as_others_do,
                records_of_a_key_keep_their_order,
                acknowledged_records_are_below_the_end,
                a_record_that_is_too_large_is_refused_at_once,
                a_flush_settles_everything_before_it,
                topics_are_apart,
                a_read_is_bounded_on_both_sides,
                a_read_beyond_the_end_ends_there,
                a_read_of_nothing_ends_at_once,
                a_long_read_comes_in_batches,
                a_new_group_starts_at_the_beginning,
                a_committed_place_is_kept,
                what_was_not_committed_comes_again,
                another_keeps_the_place_if_asked_to,
                a_waiting_subscription_hears_of_new_records,
                giving_up_a_wait_loses_nothing,
                a_slow_subscriber_gets_everything_in_batches,
                groups_do_not_disturb_each_other,
                committing_nothing_is_fine,
                anyone_may_ask_where_a_group_stands,
                two_members_share_the_partitions,
                partitions_of_a_member_that_leaves_are_handed_on,
                a_handover_waits_until_the_member_let_go,
                a_commit_of_what_was_taken_away_is_ignored,
                a_log_that_keeps_everything_begins_at_zero,
                a_follower_reads_on_from_where_it_was_told,
                a_follower_reads_only_what_it_asked_for,
                every_follower_sees_every_record,
                a_waiting_follower_sees_a_new_record_soon,
                a_follower_that_gives_up_waiting_loses_nothing,
                a_slow_follower_gets_everything_in_batches,
                a_place_that_the_log_does_not_hold_is_refused,
            ]
        );
    };
}

/// Waits for `future`, but not for ever.
async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {PATIENCE:?} for {what}"),
    }
}

/// The `n`th record of a key.
fn record(key: &str, n: usize) -> NewRecord {
    NewRecord {
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: Bytes::from(format!("{key} {n}")),
        headers: Vec::new(),
    }
}

async fn append(log: &dyn EventLog, topic: Topic, record: NewRecord) -> Position {
    let ack = log.append(topic, record).unwrap();
    within("an acknowledgement", ack).await.unwrap()
}

/// Appends `count` records to events, spread over ten keys and all partitions, and waits for them.
async fn append_many(log: &dyn EventLog, count: usize) -> Vec<Position> {
    let acks: Vec<_> = (0..count)
        .map(|n| log.append(Topic::Events, record(&format!("key {}", n % 10), n)).unwrap())
        .collect();
    let acked = futures::future::join_all(acks);
    let positions = within("acknowledgements", acked).await;
    let mut positions: Vec<_> = positions.into_iter().map(Result::unwrap).collect();
    positions.sort_unstable();
    positions
}

async fn read(
    log: &dyn EventLog,
    topic: Topic,
    partition: Partition,
    from: Offset,
    until: Offset,
) -> Vec<LogRecord> {
    let opened = within("a reader", log.read(topic, partition, from, until)).await;
    let mut reader = opened.unwrap();
    let mut read = Vec::new();
    loop {
        let records = within("records", reader.next()).await.unwrap();
        if records.is_empty() {
            return read;
        }
        read.extend(records);
    }
}

async fn read_all(log: &dyn EventLog, topic: Topic) -> Vec<LogRecord> {
    let mut all = Vec::new();
    for Position { partition, offset } in log.end_offsets(topic).await.unwrap() {
        all.extend(read(log, topic, partition, Offset::START, offset).await);
    }
    all
}

fn positions(records: &[LogRecord]) -> Vec<Position> {
    records.iter().map(|record| record.position).collect()
}
