//! The mailer: follows `orders.state-changed` and writes one mail to the customer for every state that an order newly
//! comes into.
//!
//! The intake turns state changes into delivery rows; a row that is there already stays as it is, so a replay of the
//! same records sends nothing (promise 7). Beside it three loops, with a bounded queue between each two: one claims rows
//! that are due, one renders and sends them side by side, one notes how it went. None waits for a round of another to
//! end, and none reads an order from a store: the row carries the whole change.
//!
//! Sending is at-least-once. A mail goes out twice only if the process dies, or can't reach its store for a whole
//! lease, between the mail server's yes and the note of it: the time of a commit, or of two, since who ends while a note
//! is under way joins the next. And if the server took it and did not say so: then it is tried a few times in all, and
//! left to a person. All copies have the same Message-ID.

mod claim;
mod intake;
mod money;
mod note;
mod notice;
mod render;
mod send;
mod templates;

use std::{sync::Arc, time::Duration};

use consumer::{Alarm, Retry, Source, Standing, both, follow};
use ports::{Clock, Consumer, DeadLetters, DeliveryStore, EventLog, Mailer, Measures, Reporter};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use consumer::Error;
pub use notice::{mail_about, message_id};
pub use render::{RenderError, Renderer};

/// What the mailer works with.
#[derive(Clone)]
pub struct Parts {
    /// Where state changes come from.
    pub log: Arc<dyn EventLog>,
    /// Keeps the mails that are to be sent, were sent or never will be.
    pub deliveries: Arc<dyn DeliveryStore>,
    /// Keeps state changes that can't be read.
    pub dead_letters: Arc<dyn DeadLetters>,
    /// Where mails go.
    pub mailer: Arc<dyn Mailer>,
    /// Says when a mail is due.
    pub clock: Arc<dyn Clock>,
    /// Says whether the mailer serves.
    pub health: Reporter,
    /// Where it counts mails.
    pub measures: Measures,
}

/// How the mailer works.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How many mails are under way at the same time.
    pub in_flight_max: usize,
    /// How long a claimed mail may wait for its turn. From other senders it is kept for as long, and besides for as long as
    /// sending it can take.
    pub begin_within: Duration,
    /// How long the mail server may take to say that it took a mail. RFC 5321 (4.5.3.2.6) asks for ten minutes: a server may
    /// take that long over a mail which it then delivers.
    pub answer_timeout: Duration,
    /// How often a mail that the server puts off is tried before it counts as failed; the default is about four days'
    /// worth. Waiting for a server that does not answer at all is no try.
    pub attempts_max: u32,
    /// As `attempts_max`, for a mail that the server was given and said nothing about: each try may have been a copy.
    pub unanswered_attempts_max: u32,
    /// How long mails that are under way may still take once the process stops.
    pub stop_within: Duration,
    /// How often to look for mails that other processes left.
    pub look_again_after: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            in_flight_max: 8,
            begin_within: Duration::from_secs(60),
            answer_timeout: Duration::from_secs(10 * 60),
            attempts_max: 400,
            unanswered_attempts_max: 3,
            stop_within: Duration::from_secs(20),
            look_again_after: Duration::from_secs(1),
        }
    }
}

impl Settings {
    /// How long anything else than that answer may take: to reach the server, to announce a mail, to ask whether it is there.
    fn step_timeout(&self) -> Duration {
        const MOST: Duration = Duration::from_secs(30);
        self.answer_timeout.min(MOST)
    }

    /// How long one try may take: what comes before the answer, the answer, and whether the server is there or refuses all.
    fn attempt_timeout(&self) -> Duration {
        const STEPS: u32 = 3;
        self.answer_timeout.saturating_add(self.step_timeout().saturating_mul(STEPS))
    }

    /// How long a mail may take once it is its turn: a claim must last for longer.
    fn turn_timeout(&self) -> Duration {
        self.attempt_timeout().saturating_add(self.step_timeout())
    }

    /// How long a claimed mail is kept from other senders: longer than it takes from the claim to the note.
    fn lease(&self) -> Duration {
        self.begin_within.saturating_add(self.turn_timeout())
    }
}

/// Mails until `stop`; then finishes the batch in hand and the mails under way. What is still pending is sent at the
/// next start.
///
/// # Errors
/// [`Error`] if an operator must act. Servers that are away are waited for.
pub async fn run(parts: Parts, settings: Settings, stop: CancellationToken) -> Result<(), Error> {
    let Parts { log, deliveries, dead_letters, mailer, clock, health, measures } = parts;
    let stop = stop.child_token();
    let standing = Standing::new(health);
    let retry = |task| Retry::new(Consumer::Mailer, standing.task(task), stop.clone());
    let (reading, claiming) = (retry("reading"), retry("sending"));
    let noting = standing.task("noting");
    // There is nothing to note, and so nothing to wait for, until a mail was sent.
    noting.up();
    let noting = Retry::new(Consumer::Mailer, noting, stop.clone());
    let alarm = Alarm::new(Arc::clone(&clock), settings.look_again_after);

    let intake = intake::Intake {
        deliveries: Arc::clone(&deliveries),
        clock: Arc::clone(&clock),
        alarm: alarm.clone(),
    };
    let server_away = claim::ServerAway::default();
    let claimer = claim::Claimer {
        deliveries: Arc::clone(&deliveries),
        mailer: Arc::clone(&mailer),
        clock: Arc::clone(&clock),
        alarm: alarm.clone(),
        retry: claiming.clone(),
        lease: settings.lease(),
        server_away: server_away.clone(),
    };
    let sender = send::Sender {
        mailer,
        renderer: Renderer::new(),
        clock: Arc::clone(&clock),
        retry: claiming,
        settings,
        measures,
        server_away,
    };
    let noter = note::Noter { deliveries, clock: Arc::clone(&clock), alarm, retry: noting };
    let source = Source { consumer: Consumer::Mailer, log, dead_letters, clock };
    both(&stop, follow(&source, &intake, &reading), mail(&claimer, &sender, &noter)).await
}

/// Ends from the front: who claims ends the queue, and so who sends, and so who notes. If notes can't be written it ends from
/// the back: no one sends what can't be noted, and no one claims what is not sent.
async fn mail(
    claimer: &claim::Claimer,
    sender: &send::Sender,
    noter: &note::Noter,
) -> Result<(), Error> {
    /// As many times what is under way may wait before it, and after it: so long a claim or a note may take while every sender
    /// stays busy. What waits for longer than its claim lasts is not sent.
    const ROUNDS: usize = 4;
    let waiting_max = sender.settings.in_flight_max.max(1).saturating_mul(ROUNDS);
    let (claims, queue) = mpsc::channel(waiting_max);
    let (notes, to_note) = mpsc::channel(waiting_max);
    let (claimed, (), noted) =
        tokio::join!(claimer.run(claims), sender.run(queue, notes), noter.run(to_note));
    claimed.and(noted)
}
