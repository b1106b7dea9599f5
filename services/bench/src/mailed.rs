//! Mails about state changes, from Kafka over Postgres to a mail server.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use adapter_kafka::KafkaLog;
use adapter_postgres::PostgresStore;
use adapter_smtp::{Composer, SmtpMailer};
use async_trait::async_trait;
use codec::StateChange;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use ports::{DeliveryStore as _, Health, Mail, MailError, Mailer, Topic};
use testkit::{log, sample, servers};
use tokio_util::sync::CancellationToken;

use crate::{
    Failure, Row, observed,
    setup::{Installation, clock, rate},
    sink::Sink,
};

/// Mails that the bare transport sends: with its delay after each, more would only take longer.
const BARE_MAX: usize = 1_000;

/// Sends mails about that many placed orders to a server that keeps them and to one that only answers, each beside the same mails
/// handed over by lettre's pool alone, and by the product's own connections alone; the same number is under way each time.
pub(crate) async fn mailed(mails: usize) -> Result<Vec<Row>, Failure> {
    let name = servers::unique("bench");
    let from = format!("Bench <{name}@order-ledger.example>");
    let changes: Vec<_> = (0..mails as u64)
        .flat_map(|n| sample::changes(&[sample::placed(sample::order_id(n))]))
        .collect();
    let sink = Sink::start().await?;
    let mut rows = Vec::new();
    for (server, url) in [("Mailpit", servers::smtp()), ("a server that only answers", sink.url())]
    {
        let pooled = by_lettre(&url, &from, &changes).await?;
        let alone = by_connections(&url, &from, &changes).await?;
        let per_second = by_the_mailer(&url, &from, &changes).await?;
        for (limit, limit_per_second) in
            [("lettre's pool", pooled), ("the mailer's connections", alone)]
        {
            rows.push(Row {
                what: format!("{mails} mails of state changes, over Postgres to {server}"),
                per_second,
                latency: None,
                limit: format!("the same mails, by {limit} alone"),
                limit_per_second,
            });
        }
    }
    forget(&name).await?;
    Ok(rows)
}

fn in_flight() -> usize {
    mailer::Settings::default().in_flight_max
}

fn rendered(changes: &[StateChange]) -> Result<Vec<Mail>, Failure> {
    let renderer = mailer::Renderer::new();
    Ok(changes.iter().map(|change| renderer.mail(change)).collect::<Result<_, _>>()?)
}

/// Mails a second, put together beforehand.
async fn by_lettre(url: &str, from: &str, changes: &[StateChange]) -> Result<f64, Failure> {
    let composer = Composer::new(from, clock())?;
    let mails = rendered(changes.get(..BARE_MAX).unwrap_or(changes))?;
    let messages: Vec<Message> =
        mails.iter().map(|mail| composer.compose(mail)).collect::<Result<_, _>>()?;
    let messages: Vec<_> = messages.iter().map(|m| (m.envelope(), m.formatted())).collect();
    let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)?.build();
    let start = Instant::now();
    let sent = stream::iter(&messages).map(|(envelope, text)| transport.send_raw(envelope, text));
    sent.buffer_unordered(in_flight()).try_for_each(async |_| Ok(())).await?;
    Ok(rate(messages.len(), start.elapsed()))
}

/// Mails a second, rendered beforehand.
async fn by_connections(url: &str, from: &str, changes: &[StateChange]) -> Result<f64, Failure> {
    let mailer = SmtpMailer::new(url, from, mailer::Settings::default().answer_timeout, clock())?;
    let mails = rendered(changes)?;
    let start = Instant::now();
    let sent = stream::iter(&mails).map(|mail| mailer.send(mail));
    sent.buffer_unordered(in_flight()).try_for_each(async |()| Ok(())).await?;
    Ok(rate(mails.len(), start.elapsed()))
}

/// Mails a second, from the first that is handed over until the last is noted in the store.
async fn by_the_mailer(url: &str, from: &str, changes: &[StateChange]) -> Result<f64, Failure> {
    let installation = Installation::new().await?;
    let records = changes.iter().map(codec::state_change_record).collect();
    log::append(installation.log.as_ref(), Topic::StateChanged, records).await;
    let mailer = Arc::new(Counting {
        mailer: SmtpMailer::new(url, from, mailer::Settings::default().answer_timeout, clock())?,
        began: OnceLock::new(),
        sent: AtomicUsize::new(0),
    });
    let parts = mailer::Parts {
        log: Arc::<KafkaLog>::clone(&installation.log),
        deliveries: Arc::<PostgresStore>::clone(&installation.store),
        dead_letters: Arc::<PostgresStore>::clone(&installation.store),
        mailer: Arc::<Counting>::clone(&mailer),
        clock: clock(),
        health: Health::default().reporter("mailer"),
        measures: observed::measures(),
    };
    let stop = CancellationToken::new();
    let running = tokio::spawn(mailer::run(parts, mailer::Settings::default(), stop.clone()));
    while mailer.sent.load(Ordering::Relaxed) < changes.len() {
        if running.is_finished() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // What was sent is noted before it ends.
    stop.cancel();
    running.await??;
    let took = mailer.began.get().ok_or("no mail was sent")?.elapsed();
    let counts = installation.store.counts().await?;
    if counts != (0, changes.len() as u64, 0) {
        return Err(format!("mails pending, sent and failed: {counts:?}").into());
    }
    installation.remove().await?;
    Ok(rate(changes.len(), took))
}

/// Removes the mails from Mailpit, which keeps those of tests, too.
async fn forget(name: &str) -> Result<(), Failure> {
    let search = format!("{}/api/v1/search", servers::mailpit());
    let from = format!("from:{name}@order-ledger.example");
    let search = reqwest::Url::parse_with_params(&search, [("query", from)])?;
    reqwest::Client::new().delete(search).send().await?.error_for_status()?;
    Ok(())
}

/// The mailer's way to the server, and how far it is.
struct Counting {
    mailer: SmtpMailer,
    began: OnceLock<Instant>,
    sent: AtomicUsize,
}

#[async_trait]
impl Mailer for Counting {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        self.began.get_or_init(Instant::now);
        self.mailer.send(mail).await?;
        self.sent.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn ping(&self) -> Result<(), MailError> {
        self.mailer.ping().await
    }
}
