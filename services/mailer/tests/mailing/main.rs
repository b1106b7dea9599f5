//! The mailer from end to end on embedded parts: one mail a state change, whatever comes in between.

#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

mod bench;
mod deliveries;
mod flow;
mod traces;
mod trying;

use bench::{Bench, Mood, PATIENCE};
use events::Event;
use testkit::{log, sample, wait_for};

/// After this long a mail is another sender's: a minute to begin it, ten for the answer, and what is around it.
const LEASE_SECONDS: i64 = 13 * 60;

fn message_ids(events: &[Event]) -> Vec<String> {
    sample::changes(events).iter().filter_map(mailer::message_id).collect()
}

fn placed_by(n: u64, address: &str) -> Event {
    let details = sample::details_with(|draft| draft.customer.email = sample::email(address));
    sample::placed_with(sample::order_id(n), details)
}

#[tokio::test]
async fn one_mail_a_state_change_even_if_the_changes_come_again() {
    let bench = Bench::open().await;
    let life = sample::lifecycle(sample::order_id(1));
    bench.change(&life).await;
    let mailer = bench.start();
    bench.until_counts(0, 6, 0).await;
    bench.change(&life).await;
    let other = [sample::placed(sample::order_id(2))];
    bench.change(&other).await;
    bench.until_counts(0, 7, 0).await;
    mailer.stop().await;

    let mut expected = [message_ids(&life), message_ids(&other)].concat();
    let mut sent = bench.server.message_ids();
    expected.sort_unstable();
    sent.sort_unstable();
    assert_eq!(sent, expected);
}

#[tokio::test]
async fn what_was_pending_when_the_process_stopped_is_sent_at_the_next_start() {
    let bench = Bench::open().await;
    bench.server.mood(Mood::PutsOff, "");
    bench.change(&sample::lifecycle(sample::order_id(1))).await;
    let mailer = bench.start();
    bench.until_counts(6, 0, 0).await;
    mailer.stop().await;

    bench.server.mood(Mood::Takes, "");
    let bench = bench.reopen().await;
    bench.clock.advance(5);
    let mailer = bench.start();
    bench.until_counts(0, 6, 0).await;
    mailer.stop().await;
}

/// The window of promise 7: the server took the mail and the process died before it noted so. The mail goes out once
/// more, under the same Message-ID, when the claim has run out; not before.
#[tokio::test]
async fn a_sender_that_dies_before_its_note_leaves_a_repeat_of_the_same_message_id() {
    let bench = Bench::open().await;
    bench.server.mood(Mood::FallsSilent, "");
    let placed = [sample::placed(sample::order_id(1))];
    bench.change(&placed).await;
    let mailer = bench.start();
    wait_for("the server has the mail", PATIENCE, async || {
        (bench.server.message_ids().len() == 1).then_some(())
    })
    .await;
    mailer.kill().await;

    bench.server.mood(Mood::Takes, "");
    let bench = bench.reopen().await;
    let mailer = bench.start();
    let other = [sample::placed(sample::order_id(2))];
    bench.change(&other).await;
    bench.until_counts(1, 1, 0).await;
    bench.clock.advance(LEASE_SECONDS);
    bench.until_counts(0, 2, 0).await;
    mailer.stop().await;
    let expected = [message_ids(&placed), message_ids(&other), message_ids(&placed)].concat();
    assert_eq!(bench.server.message_ids(), expected);
}

#[tokio::test]
async fn what_is_refused_for_good_is_kept_as_failed_and_the_line_goes_on() {
    let bench = Bench::open().await;
    bench.server.mood(Mood::Refuses, "nobody@example.com");
    let other = [placed_by(2, "ana@example.com")];
    bench.change(&[placed_by(1, "nobody@example.com")]).await;
    bench.change(&other).await;
    let mailer = bench.start();
    bench.until_counts(0, 1, 1).await;
    assert_eq!(bench.down(), None);
    mailer.stop().await;
    assert_eq!(bench.server.message_ids(), message_ids(&other));
}

#[tokio::test]
async fn what_is_put_off_too_often_fails_and_holds_up_no_one_else() {
    let bench = Bench::open().await;
    bench.server.mood(Mood::PutsOff, "greylisted@example.com");
    bench.change(&[placed_by(1, "greylisted@example.com")]).await;
    bench.change(&[placed_by(2, "ana@example.com")]).await;
    let mailer = bench.start();
    bench.until_counts(1, 1, 0).await;
    bench.until_counts_in_time(0, 1, 1).await;
    mailer.stop().await;
}

#[tokio::test]
async fn a_mail_server_that_is_away_is_waited_for() {
    let bench = Bench::open().await;
    let mailer = bench.start();
    bench.change(&[sample::placed(sample::order_id(1))]).await;
    bench.until_counts(0, 1, 0).await;

    bench.server.away(true);
    bench.change(&sample::lifecycle(sample::order_id(2))).await;
    let why = wait_for("the mailer is down", PATIENCE, async || bench.down()).await;
    assert_eq!(
        why,
        "sending: could not reach the mail server: the mail server can't take it now: connection refused"
    );
    bench.until_counts(6, 1, 0).await;

    bench.server.away(false);
    bench.until_counts_in_time(0, 7, 0).await;
    assert_eq!(bench.down(), None);
    mailer.stop().await;
    assert_eq!(bench.server.message_ids().len(), 7);
}

#[tokio::test]
async fn what_can_t_be_read_becomes_a_dead_letter_and_the_line_goes_on() {
    let bench = Bench::open().await;
    let id = sample::order_id(1);
    bench.append_raw(&id.to_string(), b"\xff\xff").await;
    let mut foreign = log::change_records(&[sample::placed(id)]);
    foreign[0].key = sample::order_id(9).to_string().into();
    bench.append(foreign).await;
    bench.change(&[sample::placed(sample::order_id(2))]).await;
    let mailer = bench.start();
    bench.until_counts(0, 1, 0).await;
    wait_for("two dead letters", PATIENCE, async || {
        (bench.dead_letters().await == 2).then_some(())
    })
    .await;
    mailer.stop().await;
}
