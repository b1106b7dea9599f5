//! A mail server, over SMTP.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use lettre::transport::smtp::{Error, response::Code};
use ports::{Clock, Mail, MailError, Mailer};

use crate::{
    connections::{Connections, Failure, Patience},
    message::Composer,
    server::Server,
};

/// A [`Mailer`] over SMTP, whose connections are kept for the next mails.
pub struct SmtpMailer {
    composer: Composer,
    connections: Connections,
}

/// Shows no credentials.
impl fmt::Debug for SmtpMailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpMailer").finish_non_exhaustive()
    }
}

/// What a failed attempt says.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Nothing about this mail.
    Later,
    /// Nothing at all: it may have taken the mail.
    Unanswered,
    /// That this mail is at fault, unless the server refuses everyone.
    Refused,
}

impl SmtpMailer {
    /// Makes a mailer for `smtps://user:password@host`, `smtp://…?tls=required` (`STARTTLS`) or plain `smtp://host:port`;
    /// a path is the name to greet with. Once the server has a mail's text, `answer_timeout` is how long it may take to say so;
    /// for anything else it has half a minute, and never longer than that. Nothing is connected to yet. In a tokio runtime:
    /// connections that no one needs are closed by a task.
    ///
    /// # Errors
    /// [`MailError::Refused`] if the URL or the sender can't be used.
    pub fn new(
        url: &str,
        from: &str,
        answer_timeout: Duration,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, MailError> {
        let composer = Composer::new(from, clock)?;
        let server = Server::of_url(url)
            .map_err(|error| MailError::Refused(format!("its URL can't be used: {error}")))?;
        let patience = Patience::of_answer(answer_timeout);
        Ok(Self { composer, connections: Connections::new(server, patience) })
    }
}

#[async_trait]
impl Mailer for SmtpMailer {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let message = self.composer.compose(mail)?;
        let sent = self.connections.send(message.envelope(), &message.formatted()).await;
        let Err(failure) = sent else { return Ok(()) };
        let text = failure.to_string();
        match verdict(&failure) {
            Verdict::Later => Err(MailError::Transient(text)),
            Verdict::Unanswered => Err(MailError::Unanswered(text)),
            // A server that greets everyone with "no" would make every mail fail for good: ask it about no mail.
            Verdict::Refused => match self.ping().await {
                Ok(()) => Err(MailError::Refused(text)),
                Err(_) => Err(MailError::Transient(text)),
            },
        }
    }

    async fn ping(&self) -> Result<(), MailError> {
        let why = match self.connections.ping().await {
            Ok(true) => return Ok(()),
            Ok(false) => "it hung up".to_owned(),
            Err(failure) => failure.to_string(),
        };
        Err(MailError::Transient(why))
    }
}

fn verdict(failure: &Failure) -> Verdict {
    match failure {
        Failure::Server(error) => of_server(error),
        Failure::Lacks(_) => Verdict::Refused,
        Failure::Slow(_) => Verdict::Later,
        Failure::Unanswered(_) => Verdict::Unanswered,
    }
}

fn of_server(error: &Error) -> Verdict {
    match error.status() {
        Some(code) if error.is_permanent() && !is_about_credentials(code) => Verdict::Refused,
        Some(_) | None => Verdict::Later,
    }
}

/// RFC 4954: an operator must change a setting, and then the same mail passes.
fn is_about_credentials(code: Code) -> bool {
    matches!(u16::from(code), 530 | 534 | 535 | 538)
}

#[cfg(test)]
mod tests {
    use testkit::TestClock;

    use super::*;

    fn mailer(url: &str) -> Result<SmtpMailer, MailError> {
        SmtpMailer::new(
            url,
            "orders@example.com",
            Duration::from_secs(600),
            Arc::new(TestClock::default()),
        )
    }

    #[tokio::test]
    async fn every_kind_of_url_is_taken() {
        for url in [
            "smtp://example.com",
            "smtp://example.com:2525/mail.example.com",
            "smtp://ana:s3cret@example.com?tls=required",
            "smtps://ana:s3cret@example.com",
        ] {
            let mailer = mailer(url).unwrap();
            assert!(!format!("{mailer:?}").contains("s3cret"));
        }
    }

    #[tokio::test]
    async fn another_url_is_refused_without_showing_it() {
        for url in ["", "example.com", "http://ana:s3cret@example.com", "smtp://a:s3cret@h?tls=no"]
        {
            let error = mailer(url).unwrap_err();
            assert!(matches!(error, MailError::Refused(_)), "{error}");
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
    }
}
