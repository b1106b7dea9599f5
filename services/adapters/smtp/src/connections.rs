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

/// Why a mail was not handed over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The server said no, or nothing that can be understood, or can't be reached.
    #[error(transparent)]
    Server(#[from] Error),
    /// The server does not know how to take such a mail.
    #[error("the server lacks {0}, which this mail needs")]
    Lacks(Extension),
}

/// Connections to one server.
pub(crate) struct Connections {
    server: Server,
    idle: Arc<Mutex<Vec<Idle>>>,
    _closer: AbortOnDropHandle<()>,
}

struct Idle {
    connection: AsyncSmtpConnection,
    since: Instant,
}

impl Connections {
    /// To this server. Nothing is connected to yet.
    pub(crate) fn new(server: Server) -> Self {
        let idle = Arc::<Mutex<Vec<Idle>>>::default();
        let closer = tokio::spawn(close_old(Arc::clone(&idle)));
        Self { server, idle, _closer: AbortOnDropHandle::new(closer) }
    }

    /// Hands a mail over. Cancel-safe: a connection that is in the middle of a mail is not used again.
    pub(crate) async fn send(&self, envelope: &Envelope, message: &[u8]) -> Result<(), Failure> {
        let mut connection = self.begin(envelope, message).await?;
        match hand_over(&mut connection, envelope, message).await {
            Ok(()) => {
                self.keep(connection);
                Ok(())
            }
            Err(error) => {
                close(connection).await;
                Err(error.into())
            }
        }
    }

    /// Whether the server takes a new connection and answers on it.
    pub(crate) async fn ping(&self) -> Result<bool, Error> {
        let mut connection = self.server.connect().await?;
        let answers = connection.test_connected().await;
        if answers {
            self.keep(connection);
        }
        Ok(answers)
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

/// Everything after the sender.
async fn hand_over(
    connection: &mut AsyncSmtpConnection,
    envelope: &Envelope,
    message: &[u8],
) -> Result<(), Error> {
    for recipient in envelope.to() {
        connection.command(Rcpt::new(recipient.clone(), Vec::new())).await?;
    }
    connection.command(Data).await?;
    connection.command(whole(message)).await?;
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
