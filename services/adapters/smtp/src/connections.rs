//! Connections to the mail server: each mail has one to itself, and leaves it to the next.
//!
//! Instead of lettre's own pool and way of sending, for two reasons. Who gives up on a mail there leaves the connection to the next
//! one in the middle of their talk, and the next reads answers that are not its own; here it goes with the mail. And there a mail's
//! end is written apart from its text, which costs about 40 ms: the system holds so little back until the server's has
//! acknowledged the text, and that waits for more to acknowledge. Here both are one write.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use lettre::{
    address::Envelope,
    transport::smtp::{
        Error,
        client::AsyncSmtpConnection,
        commands::{Data, Mail, Rcpt},
        extension::{Extension, MailBodyParameter, MailParameter},
    },
};
use tokio::time::{Instant, interval, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::server::Server;

/// Connections that are kept; more may be in use.
const IDLE_MAX: usize = 16;

/// How long one is kept: servers hang up on who is silent for some minutes.
const IDLE_TIME_MAX: Duration = Duration::from_secs(60);

/// How long a server may take to say goodbye.
const QUIT_TIME_MAX: Duration = Duration::from_secs(5);

/// How long the server may take. RFC 5321 (4.5.3.2) asks for more patience before the text than this; but there a mail that is
/// given up is only late.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// To be connected to, and to take everything up to a mail's text; or to answer a ping.
    step: Duration,
    /// To say that it took the text. Who gives up too soon has the mail delivered again and again.
    answer: Duration,
}

impl Patience {
    /// Of this much for the answer to the text, and of no more for anything else.
    pub(crate) fn of_answer(answer: Duration) -> Self {
        const STEP_MAX: Duration = Duration::from_secs(30);
        Self { step: answer.min(STEP_MAX), answer }
    }
}

/// Why a mail was not handed over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The server said no, or nothing that can be understood, or can't be reached.
    #[error(transparent)]
    Server(#[from] Error),
    /// The server does not know how to take such a mail.
    #[error("the server lacks {0}, which this mail needs")]
    Lacks(Extension),
    /// The server took too long before it had the text.
    #[error("it did not answer within {0:?}")]
    Slow(Duration),
    /// The server was given the whole text and gave no answer that says what became of it.
    #[error("{0}")]
    Unanswered(String),
}

/// Connections to one server.
pub(crate) struct Connections {
    server: Server,
    patience: Patience,
    idle: Arc<Mutex<Vec<Idle>>>,
    _closer: AbortOnDropHandle<()>,
}

struct Idle {
    connection: AsyncSmtpConnection,
    since: Instant,
}

impl Connections {
    /// To this server. Nothing is connected to yet.
    pub(crate) fn new(server: Server, patience: Patience) -> Self {
        let idle = Arc::<Mutex<Vec<Idle>>>::default();
        let closer = tokio::spawn(close_old(Arc::clone(&idle)));
        Self { server, patience, idle, _closer: AbortOnDropHandle::new(closer) }
    }

    /// Hands a mail over. Cancel-safe: a connection that is in the middle of a mail is not used again.
    pub(crate) async fn send(&self, envelope: &Envelope, message: &[u8]) -> Result<(), Failure> {
        let step = self.patience.step;
        let begun = timeout(step, self.begin(envelope, message)).await;
        let mut connection = begun.map_err(|_| Failure::Slow(step))??;
        let handed_over = match timeout(step, announce(&mut connection, envelope)).await {
            Ok(Ok(())) => self.hand_over(&mut connection, message).await,
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(Failure::Slow(step)),
        };
        match handed_over {
            Ok(()) => self.keep(connection),
            // No one is there to say goodbye to.
            Err(Failure::Slow(_) | Failure::Unanswered(_)) => {}
            Err(Failure::Server(_) | Failure::Lacks(_)) => close(connection).await,
        }
        handed_over
    }

    /// Whether the server takes a new connection and answers on it.
    pub(crate) async fn ping(&self) -> Result<bool, Failure> {
        let step = self.patience.step;
        let answers = async {
            let mut connection = self.server.connect().await?;
            let answers = connection.test_connected().await;
            if answers {
                self.keep(connection);
            }
            Ok(answers)
        };
        timeout(step, answers).await.unwrap_or(Err(Failure::Slow(step)))
    }

    /// The text. Whatever comes back without a code leaves open whether the server has it: it may take it and hang up, or take it
    /// when no one waits any more.
    async fn hand_over(
        &self,
        connection: &mut AsyncSmtpConnection,
        message: &[u8],
    ) -> Result<(), Failure> {
        let answer = self.patience.answer;
        match timeout(answer, connection.command(whole(message))).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) if error.status().is_some() => Err(error.into()),
            Ok(Err(error)) => Err(Failure::Unanswered(error.to_string())),
            Err(_) => Err(Failure::Unanswered(format!("nothing came within {answer:?}"))),
        }
    }

    /// A connection on which the mail's sender was taken. One that was kept may be closed on the other side by now: then nothing of
    /// the mail was said yet, and the next is tried.
    async fn begin(
        &self,
        envelope: &Envelope,
        message: &[u8],
    ) -> Result<AsyncSmtpConnection, Failure> {
        loop {
            let kept = lock(&self.idle).pop();
            let is_kept = kept.is_some();
            let mut connection = match kept {
                Some(idle) => idle.connection,
                None => self.server.connect().await?,
            };
            let mail =
                Mail::new(envelope.from().cloned(), parameters(&connection, envelope, message)?);
            match connection.command(mail).await {
                Ok(_) => return Ok(connection),
                Err(error) if is_kept && is_goodbye(&error) => {}
                Err(error) => {
                    close(connection).await;
                    return Err(error.into());
                }
            }
        }
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        let mut idle = lock(&self.idle);
        if idle.len() < IDLE_MAX {
            idle.push(Idle { connection, since: Instant::now() });
        }
    }
}

/// Everything between the sender and the text.
async fn announce(connection: &mut AsyncSmtpConnection, envelope: &Envelope) -> Result<(), Error> {
    for recipient in envelope.to() {
        connection.command(Rcpt::new(recipient.clone(), Vec::new())).await?;
    }
    connection.command(Data).await?;
    Ok(())
}

/// The message as it goes over the wire, its end included: a line that begins with a dot has one more.
fn whole(message: &[u8]) -> String {
    // What is put together of texts is one.
    let message = String::from_utf8_lossy(message);
    let dotted = message.replace("\r\n.", "\r\n..");
    let first = if dotted.starts_with('.') { "." } else { "" };
    let last = if dotted.ends_with("\r\n") { "" } else { "\r\n" };
    format!("{first}{dotted}{last}.\r\n")
}

/// What the server is to know of the mail beforehand.
fn parameters(
    connection: &AsyncSmtpConnection,
    envelope: &Envelope,
    message: &[u8],
) -> Result<Vec<MailParameter>, Failure> {
    let needs = |extension: Extension| {
        let there = connection.server_info().supports_feature(extension);
        if there { Ok(()) } else { Err(Failure::Lacks(extension)) }
    };
    let mut parameters = Vec::new();
    let mut addresses = envelope.from().into_iter().chain(envelope.to());
    if !addresses.all(|address| AsRef::<str>::as_ref(address).is_ascii()) {
        needs(Extension::SmtpUtfEight)?;
        parameters.push(MailParameter::SmtpUtfEight);
    }
    if !message.is_ascii() {
        needs(Extension::EightBitMime)?;
        parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    Ok(parameters)
}

/// Whether the server hung up, or said that it does.
fn is_goodbye(error: &Error) -> bool {
    const CLOSING: u16 = 421;
    error.status().is_none_or(|code| u16::from(code) == CLOSING)
}

/// Says goodbye, if that does not take long.
async fn close(mut connection: AsyncSmtpConnection) {
    // It is dropped then, which closes it too.
    _ = timeout(QUIT_TIME_MAX, connection.abort()).await;
}

/// Closes what was not used for long, as long as it runs.
async fn close_old(idle: Arc<Mutex<Vec<Idle>>>) {
    let mut ticks = interval(IDLE_TIME_MAX);
    loop {
        ticks.tick().await;
        let old: Vec<_> =
            lock(&idle).extract_if(.., |idle| idle.since.elapsed() >= IDLE_TIME_MAX).collect();
        for Idle { connection, .. } in old {
            close(connection).await;
        }
    }
}

/// No step leaves the list half done.
fn lock(idle: &Mutex<Vec<Idle>>) -> MutexGuard<'_, Vec<Idle>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_of_a_message_ends_it() {
        let whole = |message: &str| whole(message.as_bytes());
        assert_eq!(whole("a\r\n.\r\n..b\r\n"), "a\r\n..\r\n...b\r\n.\r\n");
        assert_eq!(whole(".\r\n.a"), "..\r\n..a\r\n.\r\n");
        assert_eq!(whole(""), "\r\n.\r\n");
    }
}
