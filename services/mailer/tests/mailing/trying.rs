//! How often a mail is tried: what may have arrived seldom, what did not because the server is away as often as it takes.

use std::time::Duration;

use chrono::TimeDelta;
use ports::{Clock as _, DeliveryResult, DeliveryStore as _};
use testkit::{sample, wait_for};

use crate::{
    LEASE_SECONDS,
    bench::{Bench, Mood, PATIENCE},
};

/// After this long whatever was put off is due.
const PUT_OFF_SECONDS: i64 = 15 * 60;

/// How often a mail may go out without an answer.
const COPIES_MAX: usize = 3;

async fn until_said(bench: &Bench, words: usize) -> DeliveryResult {
    wait_for(&format!("{words} words about mails"), PATIENCE, async || {
        bench.deliveries.words().get(words - 1).cloned()
    })
    .await
}

/// Lets one mail be tried until it is given up, and shows that the server had it a few times and no more.
async fn assert_given_up_after_a_few_copies(bench: &Bench) {
    bench.change(&[sample::placed(sample::order_id(1))]).await;
    let mailer = bench.start();
    for copy in 1..COPIES_MAX {
        let said = until_said(bench, copy).await;
        let DeliveryResult::Retry { due_at, .. } = said else { panic!("{said:?}") };
        let wait = due_at - bench.clock.now();
        assert!(wait >= TimeDelta::from_std(bench.settings.answer_timeout).unwrap(), "{wait}");
        assert_eq!(bench.server.message_ids().len(), copy);
        bench.clock.advance(PUT_OFF_SECONDS);
    }
    bench.until_counts(0, 0, 1).await;
    let said = until_said(bench, COPIES_MAX).await;
    let DeliveryResult::Failed { error } = &said else { panic!("{said:?}") };
    assert!(error.contains("given up after 3 attempts"), "{error}");
    assert!(error.contains("it may have arrived"), "{error}");
    bench.clock.advance(PUT_OFF_SECONDS);
    let other = bench.server.message_ids().len();
    bench.server.mood(Mood::Takes, "");
    bench.change(&[sample::placed(sample::order_id(2))]).await;
    bench.until_counts(0, 1, 1).await;
    mailer.stop().await;
    assert_eq!((other, bench.server.message_ids().len()), (COPIES_MAX, COPIES_MAX + 1));
}

/// It is not there when it is asked either, which makes the copies no fewer.
#[tokio::test]
async fn a_server_that_hangs_up_on_every_mail_it_has_gets_few_copies() {
    let bench = Bench::open().await;
    bench.server.mood(Mood::TakesAndFlaps, "");
    assert_given_up_after_a_few_copies(&bench).await;
}

#[tokio::test]
async fn a_server_that_never_answers_gets_few_copies() {
    let mut bench = Bench::open().await;
    bench.settings.answer_timeout = Duration::from_millis(5);
    bench.server.mood(Mood::FallsSilent, "");
    assert_given_up_after_a_few_copies(&bench).await;
}

/// The first "later" after an outage is the first try: it neither makes the mail fail nor makes it wait for long.
#[tokio::test]
async fn a_server_that_comes_and_goes_uses_up_no_tries() {
    let bench = Bench::open().await;
    bench.server.mood(Mood::Flaps, "");
    bench.change(&[sample::placed(sample::order_id(1))]).await;
    let mailer = bench.start();
    let more = 3 * bench.settings.attempts_max as usize;
    wait_for("the server was away often", PATIENCE, async || {
        (bench.server.flaps() > more).then_some(())
    })
    .await;
    bench.server.mood(Mood::PutsOff, "");
    let due_at = wait_for("the mail is put off", PATIENCE, async || {
        bench.deliveries.words().into_iter().find_map(|said| match said {
            DeliveryResult::Retry { due_at, .. } => Some(due_at),
            DeliveryResult::PutBack { .. } => None,
            DeliveryResult::Sent | DeliveryResult::Failed { .. } => panic!("{said:?}"),
        })
    })
    .await;
    assert!(due_at - bench.clock.now() < TimeDelta::seconds(1), "{due_at}");
    bench.server.mood(Mood::Takes, "");
    bench.until_counts_in_time(0, 1, 0).await;
    mailer.stop().await;
}

/// Whatever it is about the mail that ends the process.
#[tokio::test]
async fn a_mail_that_every_process_dies_of_is_given_up() {
    let mut bench = Bench::open().await;
    bench.server.mood(Mood::FallsSilent, "");
    bench.change(&[sample::placed(sample::order_id(1))]).await;
    let lives = bench.settings.attempts_max as usize;
    for life in 1..=lives {
        let mailer = bench.start();
        wait_for("the server has the mail", PATIENCE, async || {
            (bench.server.message_ids().len() == life).then_some(())
        })
        .await;
        mailer.kill().await;
        bench = bench.reopen().await;
        bench.clock.advance(LEASE_SECONDS);
    }
    let mailer = bench.start();
    bench.until_counts(0, 0, 1).await;
    mailer.stop().await;
    assert_eq!(bench.server.message_ids().len(), lives);
}

/// The mail stays pending, and that it may have arrived is counted.
#[tokio::test]
async fn a_process_that_stops_does_not_wait_for_a_silent_server() {
    let mut bench = Bench::open().await;
    bench.settings.stop_within = Duration::from_millis(5);
    bench.server.mood(Mood::FallsSilent, "");
    bench.change(&[sample::placed(sample::order_id(1))]).await;
    let mailer = bench.start();
    wait_for("the server has the mail", PATIENCE, async || {
        (bench.server.message_ids().len() == 1).then_some(())
    })
    .await;
    mailer.stop().await;
    let said = bench.deliveries.words();
    assert!(matches!(said.as_slice(), [DeliveryResult::Retry { .. }]), "{said:?}");
    assert_eq!(bench.store.counts().await.unwrap(), (1, 0, 0));
}
