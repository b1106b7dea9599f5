//! Members of a group share the partitions and hand them on without losing a record.

use std::{collections::BTreeSet, time::Duration};

use ports::{EventLog, Group, Offset, Position, Revoked, Topic};

use super::{append_many, member::Member, record, within};

/// Lets both follow until `done`; whoever has to let go commits first, as it should.
async fn both_until(
    what: &str,
    (one, other): (&mut Member, &mut Member),
    done: impl Fn(&Member, &Member) -> bool,
) {
    within(what, async {
        while !done(one, other) {
            let before = [one.place(), other.place()];
            tokio::select! {
                revoked = one.step() => let_go(one, revoked, &before[0]).await,
                revoked = other.step() => let_go(other, revoked, &before[1]).await,
            }
        }
    })
    .await;
}

async fn let_go(member: &mut Member, revoked: Option<Revoked>, place: &[Position]) {
    if let Some(revoked) = revoked {
        let ours = place.iter().filter(|at| revoked.partitions.contains(&at.partition));
        let ours: Vec<_> = ours.copied().collect();
        within("a commit", member.subscription.commit(&ours)).await.unwrap();
    }
}

fn all_are_held_once(one: &Member, other: &Member) -> bool {
    let shared = one.held.keys().any(|partition| other.held.contains_key(partition));
    !shared && one.held.len() + other.held.len() == 3
}

/// Each partition is with one of them; together they see every record, and none twice if both commit in time.
pub async fn two_members_share_the_partitions(log: &dyn EventLog) {
    let mut expected = append_many(log, 1_000).await;
    let mut one = Member::join(log, Group::Mailer).await;
    one.until_seen(1_000).await;
    let mut other = Member::join(log, Group::Mailer).await;
    both_until("a share for both", (&mut one, &mut other), |one, other| {
        !one.held.is_empty() && !other.held.is_empty() && all_are_held_once(one, other)
    })
    .await;
    expected.extend(append_many(log, 1_000).await);
    both_until("everything", (&mut one, &mut other), |one, other| {
        one.records.len() + other.records.len() >= 2_000 && all_are_held_once(one, other)
    })
    .await;
    assert!(!other.records.is_empty());
    let mut seen = one.seen();
    seen.extend(other.seen());
    seen.sort_unstable();
    expected.sort_unstable();
    assert_eq!(seen, expected);
}

/// Those who stay go on where the one who left had committed.
pub async fn partitions_of_a_member_that_leaves_are_handed_on(log: &dyn EventLog) {
    append_many(log, 500).await;
    let mut one = Member::join(log, Group::Search).await;
    let mut other = Member::join(log, Group::Search).await;
    both_until("a share for both", (&mut one, &mut other), |one, other| {
        !one.held.is_empty()
            && all_are_held_once(one, other)
            && one.records.len() + other.records.len() >= 500
    })
    .await;
    one.commit().await;
    other.commit().await;
    drop(one);
    let seen = other.records.len();
    let appended = append_many(log, 500).await;
    other.until("all partitions", |other| other.held.len() == 3).await;
    other.until("the rest", |other| other.records.len() >= seen + 500).await;
    let mut rest: Vec<_> = super::positions(&other.records[seen..]);
    rest.sort_unstable();
    assert_eq!(rest, appended);
}

/// So that what is in hand can be finished and committed first.
pub async fn a_handover_waits_until_the_member_let_go(log: &dyn EventLog) {
    append_many(log, 100).await;
    let mut one = Member::join(log, Group::Fulfilment).await;
    one.until_seen(100).await;
    let mut other = Member::join(log, Group::Fulfilment).await;
    let place = one.place();
    let revoked = within("a revocation", async {
        loop {
            tokio::select! {
                revoked = one.step() => if let Some(revoked) = revoked { break revoked },
                _ = other.step() => {}
            }
        }
    })
    .await;
    let taken: BTreeSet<_> = revoked.partitions.iter().copied().collect();
    let early = tokio::time::timeout(Duration::from_secs(1), other.step()).await;
    assert!(early.is_err() || other.held.keys().all(|partition| !taken.contains(partition)));
    let_go(&mut one, Some(revoked), &place).await;
    both_until("the handover", (&mut one, &mut other), |_, other| {
        taken.iter().any(|partition| other.held.contains_key(partition))
    })
    .await;
    let committed = place.iter().filter(|at| other.held.contains_key(&at.partition));
    for Position { partition, offset } in committed {
        assert_eq!(other.held[partition], *offset);
    }
    assert!(other.records.is_empty(), "everything was committed before");
}

/// It is someone else's business now.
pub async fn a_commit_of_what_was_taken_away_is_ignored(log: &dyn EventLog) {
    append_many(log, 100).await;
    let mut one = Member::join(log, Group::Mailer).await;
    one.until_seen(100).await;
    let mut other = Member::join(log, Group::Mailer).await;
    both_until("a share for both", (&mut one, &mut other), |one, other| {
        !one.held.is_empty() && !other.held.is_empty() && all_are_held_once(one, other)
    })
    .await;
    one.commit().await;
    other.commit().await;
    let back: Vec<_> =
        other.place().iter().map(|at| Position { offset: Offset::START, ..*at }).collect();
    within("a commit", one.subscription.commit(&back)).await.unwrap();
    drop((one, other));
    let mut third = Member::join(log, Group::Mailer).await;
    let appended = super::append(log, Topic::Events, record("a", 0)).await;
    third.until_seen(1).await;
    assert_eq!(third.seen(), [appended]);
}
