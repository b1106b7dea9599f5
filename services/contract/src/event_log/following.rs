//! Followers: outside of any group, each sees every record from the places that it named.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use ports::{EventLog, Follower, Group, LogError, LogRecord, Offset, Partition, Position, Topic};

use super::{append, append_many, member::Member, positions, record, within};

/// A follower of events that checks what every follower may rely on.
struct Tail {
    follower: Box<dyn Follower>,
    /// Where it goes on in each partition.
    next: BTreeMap<Partition, Offset>,
    records: Vec<LogRecord>,
}

impl Tail {
    async fn at(log: &dyn EventLog, from: &[Position]) -> Self {
        let followed = within("a follower", log.follow(Topic::Events, from)).await;
        let next = from.iter().map(|place| (place.partition, place.offset)).collect();
        Self { follower: followed.unwrap(), next, records: Vec::new() }
    }

    async fn at_start(log: &dyn EventLog) -> Self {
        Self::at(log, &log.start_offsets(Topic::Events).await.unwrap()).await
    }

    /// The next batch, taken in. Cancel-safe.
    async fn step(&mut self) {
        let records = self.follower.next().await.unwrap();
        assert!((1..=4_096).contains(&records.len()), "{} at once", records.len());
        for Position { partition, offset } in positions(&records) {
            let next = self.next.get_mut(&partition);
            let next = next.unwrap_or_else(|| panic!("partition {partition} was not asked for"));
            assert!(offset >= *next, "{offset} of partition {partition} comes after {next}");
            *next = offset.next();
        }
        self.records.extend(records);
    }

    async fn until_seen(&mut self, count: usize) {
        within(&format!("{count} records"), async {
            while self.records.len() < count {
                self.step().await;
            }
        })
        .await;
        assert_eq!(self.records.len(), count);
    }

    /// What it saw, sorted by position.
    fn seen(&self) -> Vec<Position> {
        let mut seen = positions(&self.records);
        seen.sort_unstable();
        seen
    }
}

/// Every partition has its place to start at, however much was appended.
pub async fn a_log_that_keeps_everything_begins_at_zero(log: &dyn EventLog) {
    let start = |n| Position { partition: Partition(n), offset: Offset::START };
    for _ in 0..2 {
        for topic in Topic::ALL {
            assert_eq!(log.start_offsets(topic).await.unwrap(), [start(0), start(1), start(2)]);
        }
        append_many(log, 50).await;
    }
}

/// What was there before and what comes later, without a gap in between.
pub async fn a_follower_reads_on_from_where_it_was_told(log: &dyn EventLog) {
    let mut expected = append_many(log, 300).await;
    let mut from = log.end_offsets(Topic::Events).await.unwrap();
    for place in &mut from {
        place.offset = Offset(place.offset.0 / 3);
    }
    let mut tail = Tail::at(log, &from).await;
    expected.retain(|at| from.iter().any(|p| p.partition == at.partition && p.offset <= at.offset));
    tail.until_seen(expected.len()).await;
    expected.extend(append_many(log, 300).await);
    tail.until_seen(expected.len()).await;
    expected.sort_unstable();
    assert_eq!(tail.seen(), expected);
}

/// Not the other topic, either.
pub async fn a_follower_reads_only_what_it_asked_for(log: &dyn EventLog) {
    let mut expected = append_many(log, 100).await;
    let from = Position { partition: Partition(1), offset: Offset::START };
    let mut tail = Tail::at(log, &[from]).await;
    append(log, Topic::StateChanged, record("key 1", 0)).await;
    expected.extend(append_many(log, 100).await);
    expected.retain(|at| at.partition == from.partition);
    tail.until_seen(expected.len()).await;
    assert_eq!(tail.seen(), expected);
    let mut nothing = Tail::at(log, &[]).await;
    let waited = tokio::time::timeout(Duration::from_millis(300), nothing.step()).await;
    assert!(waited.is_err(), "nothing was asked for");
}

/// They share nothing, and a group's members neither see them nor lose anything to them.
pub async fn every_follower_sees_every_record(log: &dyn EventLog) {
    let mut expected = append_many(log, 100).await;
    let (mut one, mut other) = (Tail::at_start(log).await, Tail::at_start(log).await);
    let mut member = Member::join(log, Group::Search).await;
    futures::join!(one.until_seen(100), other.until_seen(100), member.until_seen(100));
    drop(one);
    let later = append_many(log, 100).await;
    let mut late = Tail::at_start(log).await;
    expected.extend(later);
    expected.sort_unstable();
    futures::join!(other.until_seen(200), late.until_seen(200), member.until_seen(200));
    for seen in [other.seen(), late.seen(), member.seen()] {
        assert_eq!(seen, expected);
    }
}

/// People watch: what is acknowledged is seen before they would notice a wait.
pub async fn a_waiting_follower_sees_a_new_record_soon(log: &dyn EventLog) {
    const TIMES: usize = 21;
    let mut tail = Tail::at(log, &log.end_offsets(Topic::Events).await.unwrap()).await;
    append(log, Topic::Events, record("warm", 0)).await;
    tail.until_seen(1).await;
    let mut waits = Vec::new();
    for n in 0..TIMES {
        let acked = async {
            append(log, Topic::Events, record(&n.to_string(), n)).await;
            Instant::now()
        };
        let seen = async {
            tail.until_seen(n + 2).await;
            Instant::now()
        };
        let (acked, seen) = futures::join!(acked, seen);
        waits.push(seen.saturating_duration_since(acked));
    }
    waits.sort_unstable();
    // The middle one: a busy machine may hold up some.
    assert!(waits[TIMES / 2] < Duration::from_millis(100), "{waits:?}");
}

/// As whoever serves several things at once does.
pub async fn a_follower_that_gives_up_waiting_loses_nothing(log: &dyn EventLog) {
    let mut tail = Tail::at_start(log).await;
    let mut expected = Vec::new();
    within("records in spite of impatience", async {
        while tail.records.len() < 200 {
            if expected.len() < 200 {
                let n = expected.len();
                expected.push(append(log, Topic::Events, record(&n.to_string(), n)).await);
            }
            tokio::select! {
                biased;
                () = tokio::time::sleep(Duration::from_micros(500)) => {}
                () = tail.step() => {}
            }
        }
    })
    .await;
    expected.sort_unstable();
    assert_eq!(tail.seen(), expected);
}

/// What it does not take waits; nothing grows without bounds, nothing is lost.
pub async fn a_slow_follower_gets_everything_in_batches(log: &dyn EventLog) {
    let mut tail = Tail::at_start(log).await;
    let mut expected = append_many(log, 15_000).await;
    // Long enough for an adapter that reads ahead to have to stop.
    tokio::time::sleep(Duration::from_secs(2)).await;
    tail.until_seen(15_000).await;
    expected.extend(append_many(log, 100).await);
    tail.until_seen(15_100).await;
    expected.sort_unstable();
    assert_eq!(tail.seen(), expected);
}

/// Whoever asks learns what is wrong; nothing is skipped, nothing is waited for that will never come.
pub async fn a_place_that_the_log_does_not_hold_is_refused(log: &dyn EventLog) {
    let end = append(log, Topic::Events, record("a", 0)).await;
    let partition = end.partition;
    let follow = async |partition, offset| {
        let from = [Position { partition, offset }];
        let followed = within("an answer", log.follow(Topic::Events, &from)).await;
        followed.map(drop)
    };
    follow(partition, end.offset.next()).await.unwrap();

    let before = follow(partition, Offset(-1)).await;
    assert!(
        matches!(
            before,
            Err(LogError::Expired { partition: at, asked: Offset(-1), first: Offset::START })
                if at == partition
        ),
        "{before:?}"
    );
    let beyond = follow(partition, end.offset.next().next()).await;
    assert!(matches!(beyond, Err(LogError::Unfit(_))), "{beyond:?}");
    let nowhere = follow(Partition(3), Offset::START).await;
    assert!(matches!(nowhere, Err(LogError::Unfit(_))), "{nowhere:?}");
}
