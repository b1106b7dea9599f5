//! Sends claimed mails side by side.

use std::{sync::Arc, time::Duration};

use consumer::Retry;
use futures::{StreamExt as _, stream};
use metrics::Counter;
use ports::{
    Clock, Delivery, DeliveryKey, DeliveryResult, Finished, Mail, MailError, Mailer, Measured,
    Measures,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};
use trace::Span;
use tracing::field::display;

use crate::{Renderer, Settings, claim::ServerAway};

pub(crate) struct Sender {
    pub(crate) mailer: Arc<dyn Mailer>,
    pub(crate) renderer: Renderer,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) retry: Retry,
    pub(crate) settings: Settings,
    pub(crate) measures: Measures,
    pub(crate) server_away: ServerAway,
}

/// How trying to send one mail ended.
enum Attempt {
    Sent,
    /// The server can't take it now, or does not answer.
    PutOff(String),
    /// The server may have taken it.
    Unanswered(String),
    /// It can never be sent.
    Failed(String),
}

impl Sender {
    /// Sends what is claimed until no more is. A mail that takes long holds back no other: as soon as one ends, the next begins.
    pub(crate) async fn run(&self, queue: mpsc::Receiver<Delivery>, notes: mpsc::Sender<Finished>) {
        // There from the start: a counter that begins with its first failure has not risen when an alert looks.
        for outcome in ["sent", "put_off", "failed"] {
            mails(outcome).increment(0);
        }
        let claimed = stream::unfold(queue, async |mut queue| Some((queue.recv().await?, queue)));
        let in_flight_max = self.settings.in_flight_max.max(1);
        claimed
            // No one notes any more: the role ends.
            .take_until(notes.closed())
            .for_each_concurrent(in_flight_max, |delivery| self.handle(delivery, &notes))
            .await;
    }

    /// One mail from claim to note. If the server turned out to be away or the process stops, it is put back.
    async fn handle(&self, delivery: Delivery, notes: &mpsc::Sender<Finished>) {
        let left = (delivery.claimed_until - self.clock.now()).to_std().unwrap_or_default();
        let result = if self.retry.is_stopping() {
            put_back("the process stopped before it was sent")
        } else if left <= self.settings.turn_timeout() {
            let order_id = delivery.key.order_id;
            tracing::warn!(%order_id, "a mail waited for too long to be sent under its claim");
            put_back("it waited for too long to be sent under its claim")
        } else if self.server_away.get() {
            put_back("the mail server went away before it was sent")
        } else {
            match self.attempt(&delivery).await {
                // No fault of this mail's: it does not wait longer than the server does.
                Attempt::PutOff(error) if !self.is_there().await => {
                    self.server_away.set(true);
                    DeliveryResult::PutBack { error }
                }
                attempt => {
                    // It counts whether the server is there or not: it may have been a copy.
                    if matches!(attempt, Attempt::Unanswered(_)) && !self.is_there().await {
                        self.server_away.set(true);
                    }
                    self.conclude(&delivery, attempt)
                }
            }
        };
        let Delivery { key, claimed_until, .. } = delivery;
        // If no one notes any more, the claim runs out.
        _ = notes.send(Finished { key, claimed_until, result }).await;
    }

    async fn is_there(&self) -> bool {
        matches!(timeout(self.settings.step_timeout(), self.mailer.ping()).await, Ok(Ok(())))
    }

    async fn attempt(&self, delivery: &Delivery) -> Attempt {
        if delivery.attempts > self.settings.attempts_max {
            // No word of theirs ended them: every process that had it died.
            let attempts = delivery.attempts - 1;
            return Attempt::Failed(format!(
                "given up after {attempts} attempts that no one ended"
            ));
        }
        let change = match codec::decode_state_change(&delivery.state_change) {
            Ok(change) => change,
            Err(error) => return Attempt::Failed(format!("the stored state change {error}")),
        };
        let mail = match self.renderer.mail(&change) {
            Ok(mail) => mail,
            Err(error) => return Attempt::Failed(with_sources(&error)),
        };
        let span = self.begin_span(delivery);
        let began = Instant::now();
        let sent = self.send(&mail).await;
        metrics::histogram!("order_ledger_mail_send_duration_seconds").record(began.elapsed());
        let attempt = match sent {
            Ok(()) => Attempt::Sent,
            Err(error @ MailError::Transient(_)) => Attempt::PutOff(error.to_string()),
            Err(error @ MailError::Unanswered(_)) => Attempt::Unanswered(error.to_string()),
            Err(error @ MailError::Refused(_)) => Attempt::Failed(error.to_string()),
        };
        if let Some(span) = span {
            self.end_span(span, &attempt);
        }
        attempt
    }

    /// How far a try that is cut short got, no one knows.
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let waited = self.settings.attempt_timeout();
        let stopped = async {
            self.retry.stopped().await;
            sleep(self.settings.stop_within).await;
        };
        tokio::select! {
            sent = timeout(waited, self.mailer.send(mail)) => sent.unwrap_or_else(|_| {
                Err(MailError::Unanswered(format!("it was given up after {waited:?}")))
            }),
            () = stopped => {
                Err(MailError::Unanswered("the process stopped meanwhile".to_owned()))
            }
        }
    }

    /// Goes on from where the state change was taken in.
    fn begin_span(&self, delivery: &Delivery) -> Option<Span> {
        let parent = trace::followed(delivery.traceparent)?;
        let mut span = trace::client("send mail", parent, self.clock.now())?;
        span.set("order_ledger.order_id", delivery.key.order_id.to_string());
        span.set("order_ledger.mail_template", delivery.key.template.clone());
        span.set("order_ledger.attempt", i64::from(delivery.attempts));
        Some(span)
    }

    fn end_span(&self, mut span: Span, attempt: &Attempt) {
        match attempt {
            Attempt::Sent => {}
            Attempt::PutOff(error) => span.fail("put_off", error.clone()),
            Attempt::Unanswered(error) => span.fail("unanswered", error.clone()),
            Attempt::Failed(error) => span.fail("refused", error.clone()),
        }
        span.end_at(self.clock.now());
    }

    fn conclude(&self, delivery: &Delivery, attempt: Attempt) -> DeliveryResult {
        let DeliveryKey { order_id, version, template } = &delivery.key;
        let attempts = delivery.attempts;
        let trace_id = delivery.traceparent.map(|trace| display(trace.trace_id()));
        let (outcome, result) = match attempt {
            Attempt::Sent => {
                tracing::debug!(%order_id, trace_id, %version, template, attempts, "a mail was sent");
                ("sent", DeliveryResult::Sent)
            }
            Attempt::PutOff(error) if attempts < self.settings.attempts_max => {
                let wait = backoff(attempts, order_id.as_uuid().as_u128());
                tracing::warn!(%order_id, trace_id, %version, template, attempts, error, ?wait, "a mail was put off");
                ("put_off", DeliveryResult::Retry { due_at: self.clock.now() + wait, error })
            }
            Attempt::Unanswered(error) if attempts < self.settings.unanswered_attempts_max => {
                // The server may be busy with it, and if it is not, the mail is late anyway.
                let wait = backoff(attempts, order_id.as_uuid().as_u128())
                    .max(self.settings.answer_timeout);
                tracing::warn!(%order_id, trace_id, %version, template, attempts, error, ?wait, "a mail may have been sent");
                ("put_off", DeliveryResult::Retry { due_at: self.clock.now() + wait, error })
            }
            Attempt::PutOff(error) | Attempt::Unanswered(error) => {
                tracing::error!(%order_id, trace_id, %version, template, attempts, error, "a mail was put off too often");
                let error = format!("given up after {attempts} attempts: {error}");
                ("failed", DeliveryResult::Failed { error })
            }
            Attempt::Failed(error) => {
                tracing::error!(%order_id, trace_id, %version, template, error, "a mail can't be sent");
                ("failed", DeliveryResult::Failed { error })
            }
        };
        mails(outcome).increment(1);
        match result {
            DeliveryResult::Sent => self.measures.mail(Measured::Success),
            DeliveryResult::Failed { .. } => self.measures.mail(Measured::Failure),
            DeliveryResult::Retry { .. } | DeliveryResult::PutBack { .. } => {}
        }
        result
    }
}

fn put_back(error: &str) -> DeliveryResult {
    DeliveryResult::PutBack { error: error.to_owned() }
}

fn mails(outcome: &'static str) -> Counter {
    metrics::counter!("order_ledger_mails_total", "outcome" => outcome)
}

/// A second, doubling, at most a quarter of an hour; each wait between half of that and all of it.
fn backoff(attempts: u32, noise: u128) -> Duration {
    const FIRST: Duration = Duration::from_secs(1);
    const MOST: Duration = Duration::from_secs(15 * 60);
    let doublings = attempts.saturating_sub(1).min(16);
    let half = FIRST.saturating_mul(1 << doublings).min(MOST) / 2;
    let spread = u64::try_from(noise % half.as_millis().max(1)).unwrap_or_default();
    half.saturating_add(Duration::from_millis(spread))
}

/// An error with what caused it, as it is kept for a person.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_end_growing() {
        let bounds =
            |attempts| (backoff(attempts, 0).as_millis(), backoff(attempts, u128::MAX).as_millis());
        assert_eq!(bounds(0).0, 500);
        assert_eq!(bounds(1).0, 500);
        assert_eq!(bounds(2).0, 1_000);
        assert!(bounds(2).1 < 2_000);
        assert_eq!(bounds(u32::MAX).0, 450_000);
        assert!(bounds(u32::MAX).1 < 900_000);
    }
}
