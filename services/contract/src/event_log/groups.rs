//! One member follows a topic: where it starts, what it gets, what it finds again.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use ports::{EventLog, Group, GroupOffsets, Offset, Partition, Position, StartOffsets, Topic};

use super::{append, append_many, member::Member, record, within};

/// All partitions, from their start, even what was appended before the group existed.
pub async fn a_new_group_starts_at_the_beginning(log: &dyn EventLog) {
    let appended = append_many(log, 100).await;
    let mut member = Member::join(log, Group::Mailer).await;
    member.until("partitions", |member| member.held.len() == 3).await;
    assert!(member.records.is_empty(), "partitions come before their records");
    assert!(member.held.values().all(|offset| *offset == Offset::START), "{:?}", member.held);
    member.until_seen(100).await;
    assert_eq!(member.seen(), appended);
}

/// By whoever joins next under the group's name.
pub async fn a_committed_place_is_kept(log: &dyn EventLog) {
    append_many(log, 100).await;
    let mut first = Member::join(log, Group::Search).await;
    first.until_seen(100).await;
    first.commit().await;
    let place = first.place();
    drop(first);
    let later = append(log, Topic::Events, record("later", 0)).await;
    let mut second = Member::join(log, Group::Search).await;
    second.until("partitions", |member| member.held.len() == 3).await;
    assert_eq!(second.place(), place);
    second.until_seen(1).await;
    assert_eq!(second.seen(), [later]);
}

/// A crash between reading and committing repeats; it never skips.
pub async fn what_was_not_committed_comes_again(log: &dyn EventLog) {
    let appended = append_many(log, 50).await;
    let mut first = Member::join(log, Group::Fulfilment).await;
    first.until_seen(50).await;
    // All but the last record of the last partition.
    let mut place = first.place();
    place[2].offset = Offset(place[2].offset.0 - 1);
    first.subscription.commit(&place).await.unwrap();
    drop(first);
    let mut second = Member::join(log, Group::Fulfilment).await;
    second.until_seen(1).await;
    assert_eq!(second.seen(), appended[49..]);
}

/// Asked at every assignment, whatever the group itself may remember.
pub async fn another_keeps_the_place_if_asked_to(log: &dyn EventLog) {
    /// Keeps a third of the records for later, in each partition.
    struct Third(Vec<Position>);

    #[async_trait]
    impl GroupOffsets for Third {
        async fn next_offsets(&self, partitions: &[Partition]) -> Vec<Position> {
            // Not at once: whoever keeps the place is a server, too.
            tokio::time::sleep(Duration::from_millis(50)).await;
            let ends = self.0.iter().filter(|end| partitions.contains(&end.partition));
            ends.map(|end| Position { offset: Offset(end.offset.0 / 3), ..*end }).collect()
        }
    }

    let appended = append_many(log, 300).await;
    let ends = log.end_offsets(Topic::Events).await.unwrap();
    for _ in 0..2 {
        let start = StartOffsets::External(Arc::new(Third(ends.clone())));
        let mut member = Member::join_at(log, Group::Projector, start).await;
        member.until("partitions", |member| member.held.len() == 3).await;
        for end in &ends {
            assert_eq!(member.held[&end.partition], Offset(end.offset.0 / 3));
        }
        let from = member.held.clone();
        let expected: Vec<_> =
            appended.iter().filter(|at| at.offset >= from[&at.partition]).copied().collect();
        member.until_seen(expected.len()).await;
        assert_eq!(member.seen(), expected);
        member.commit().await;
    }
}

/// Without asking again and again.
pub async fn a_waiting_subscription_hears_of_new_records(log: &dyn EventLog) {
    let mut member = Member::join(log, Group::Mailer).await;
    member.until("partitions", |member| member.held.len() == 3).await;
    for n in 1..=3 {
        let appended = async { append(log, Topic::Events, record("a", n)).await };
        let ((), position) = futures::join!(member.until_seen(n), appended);
        assert_eq!(member.seen().last(), Some(&position));
    }
}

/// A subscriber that does other things in between, too.
pub async fn giving_up_a_wait_loses_nothing(log: &dyn EventLog) {
    let mut member = Member::join(log, Group::Search).await;
    let mut expected = Vec::new();
    within("records in spite of impatience", async {
        while member.records.len() < 200 || member.held.len() < 3 {
            if expected.len() < 200 {
                expected
                    .push(append(log, Topic::Events, record(&expected.len().to_string(), 0)).await);
            }
            let impatience = tokio::time::sleep(Duration::from_micros(500));
            tokio::select! {
                biased;
                () = impatience => {}
                revoked = member.step() => assert!(revoked.is_none()),
            }
        }
    })
    .await;
    expected.sort_unstable();
    assert_eq!(member.seen(), expected);
}

/// What it does not take waits; nothing grows without bounds, nothing is lost.
pub async fn a_slow_subscriber_gets_everything_in_batches(log: &dyn EventLog) {
    let appended = append_many(log, 15_000).await;
    let mut member = Member::join(log, Group::Mailer).await;
    member.until("partitions", |member| member.held.len() == 3).await;
    // Long enough for an adapter that reads ahead to have to stop.
    tokio::time::sleep(Duration::from_secs(2)).await;
    member.until_seen(15_000).await;
    assert_eq!(member.seen(), appended);
}

/// Each gets everything, and keeps its own place.
pub async fn groups_do_not_disturb_each_other(log: &dyn EventLog) {
    append_many(log, 100).await;
    let mut search = Member::join(log, Group::Search).await;
    let mut mailer = Member::join(log, Group::Mailer).await;
    futures::join!(search.until_seen(100), mailer.until_seen(100));
    search.commit().await;
    drop((search, mailer));
    let mut mailer = Member::join(log, Group::Mailer).await;
    mailer.until_seen(100).await;
}

/// A batch may hold nothing to commit.
pub async fn committing_nothing_is_fine(log: &dyn EventLog) {
    let mut member = Member::join(log, Group::Search).await;
    within("an early commit", member.subscription.commit(&[])).await.unwrap();
    member.until_seen(0).await;
    member.commit().await;
    drop(member);
    let mut member = Member::join(log, Group::Search).await;
    let appended = append(log, Topic::Events, record("a", 0)).await;
    member.until_seen(1).await;
    assert_eq!(member.seen(), [appended]);
}

/// At the start at first, then where it committed last; by topic and by group. Asking takes no partition from anyone.
pub async fn anyone_may_ask_where_a_group_stands(log: &dyn EventLog) {
    let stands = async |topic, group| {
        within("the group's place", log.group_offsets(topic, group)).await.unwrap()
    };
    let start: Vec<_> =
        (0..3).map(|n| Position { partition: Partition(n), offset: Offset::START }).collect();
    assert_eq!(stands(Topic::Events, Group::Search).await, start);
    append_many(log, 100).await;
    let mut member = Member::join(log, Group::Search).await;
    member.until_seen(100).await;
    assert_eq!(stands(Topic::Events, Group::Search).await, start);
    member.commit().await;
    assert_eq!(stands(Topic::Events, Group::Search).await, member.place());
    assert_eq!(stands(Topic::StateChanged, Group::Search).await, start);
    assert_eq!(stands(Topic::Events, Group::Mailer).await, start);
    let later = append(log, Topic::Events, record("later", 0)).await;
    member.until_seen(101).await;
    assert_eq!(member.seen().iter().filter(|seen| **seen == later).count(), 1);
}
