//! How mails flow: none waits for another one, many are noted at once, and what this process holds is bounded.

use std::sync::Arc;

use mailer::Error;
use ports::{DeliveryStore as _, StoreError};
use testkit::{sample, wait_for};

use crate::{
    LEASE_SECONDS,
    bench::{Bench, Mood, PATIENCE},
    deliveries::{Deliveries, Notes},
    placed_by,
};

/// What a mailer has under way.
const IN_FLIGHT: usize = 8;

/// What may wait to be noted besides.
const WAITING: usize = 32;

/// A note full, as many for the next, and each sender with one.
const BOUND: usize = 2 * WAITING + IN_FLIGHT;

/// Waits until the mail server was handed so many mails.
async fn until_handed_over(bench: &Bench, mails: usize) {
    wait_for(&format!("the server has {mails} mails"), PATIENCE, async || {
        (bench.server.message_ids().len() >= mails).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_mail_that_takes_long_holds_back_no_other() {
    let bench = Bench::open().await;
    bench.server.mood(Mood::FallsSilent, "slow@example.com");
    bench.change(&[placed_by(1, "slow@example.com")]).await;
    for n in 2..=50 {
        bench.change(&[placed_by(n, "ana@example.com")]).await;
    }
    let mailer = bench.start();
    bench.until_counts(1, 49, 0).await;
    bench.server.speaks();
    bench.until_counts(0, 50, 0).await;
    mailer.stop().await;
}

/// While a note is under way no other begins: what ends meanwhile is in the next. Once too many wait for that, no more are sent.
#[tokio::test]
async fn mails_that_end_while_a_note_is_under_way_are_noted_together() {
    const MAILS: usize = 120;
    let bench = Bench::open().await;
    bench.deliveries.notes(Notes::Held);
    for n in 1..=MAILS as u64 {
        bench.change(&[sample::placed(sample::order_id(n))]).await;
    }
    let mailer = bench.start();
    // One or more in the note that is held, as many as can wait for the next, and each sender with one.
    until_handed_over(&bench, 1 + WAITING + IN_FLIGHT).await;
    for _ in 0..50 {
        // While the store answers this often, a mailer without a bound would send all.
        assert_eq!(bench.store.counts().await.unwrap(), (MAILS as u64, 0, 0));
    }
    let handed_over = bench.server.message_ids().len();
    assert!(handed_over <= BOUND, "{handed_over} mails were sent and not noted");

    bench.deliveries.notes(Notes::Kept);
    bench.until_counts(0, MAILS as u64, 0).await;
    mailer.stop().await;
    assert_eq!(bench.server.message_ids().len(), MAILS);
    let noted = bench.deliveries.noted();
    assert_eq!(noted.iter().sum::<usize>(), MAILS, "{noted:?}");
    let waited = handed_over - noted[0];
    assert!(noted[1] >= waited.min(WAITING), "{waited} waited to be noted: {noted:?}");
}

/// A process that is held up for longer than its claims last leaves what it has not begun to whoever claims it next.
#[tokio::test]
async fn what_waits_until_its_claim_runs_out_is_left_to_others() {
    let bench = Bench::open().await;
    let slow = IN_FLIGHT as u64;
    // As many as are claimed at the least while no one begins any.
    let all = slow + slow / 2;
    bench.server.mood(Mood::FallsSilent, "slow@example.com");
    for n in 1..=slow {
        bench.change(&[placed_by(n, "slow@example.com")]).await;
    }
    let held_up = bench.start();
    until_handed_over(&bench, IN_FLIGHT).await;
    for n in slow + 1..=all {
        bench.change(&[placed_by(n, "ana@example.com")]).await;
    }
    wait_for("the others are claimed", PATIENCE, async || {
        (bench.store.pending().await.unwrap() == all
            && bench.store.next_due().await.unwrap().is_none())
        .then_some(())
    })
    .await;
    bench.deliveries.close(true);
    bench.clock.advance(LEASE_SECONDS);
    bench.server.mood(Mood::Takes, "");
    let other = bench.start_with(Arc::new(Deliveries::of(bench.store.clone())));
    bench.until_counts(0, all, 0).await;
    other.stop().await;

    bench.server.speaks();
    bench.deliveries.close(false);
    bench.change(&[placed_by(all + 1, "ana@example.com")]).await;
    bench.until_counts(0, all + 1, 0).await;
    held_up.stop().await;
    // Those that were silently taken went out again; those that only waited did not.
    assert_eq!(bench.server.message_ids().len() as u64, slow + all + 1);
}

/// What can't be noted must not be sent: no more is, and the role ends with the reason.
#[tokio::test]
async fn a_store_that_is_damaged_ends_the_mailer() {
    let bench = Bench::open().await;
    bench.deliveries.notes(Notes::Damaged);
    for n in 1..=120 {
        bench.change(&[sample::placed(sample::order_id(n))]).await;
    }
    let why = bench.start().ended().await;
    assert!(matches!(why, Err(Error::Store(StoreError::Corrupt(_)))), "{why:?}");
    let handed_over = bench.server.message_ids().len();
    assert!(handed_over <= BOUND, "{handed_over} mails were sent and can't be noted");
}
