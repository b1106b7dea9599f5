//! A mail server, over SMTP.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor,
    transport::smtp::{Error, response::Code},
};
use ports::{Clock, Mail, MailError, Mailer};

use crate::message::Composer;

/// A [`Mailer`] over SMTP, with a pool of connections.
pub struct SmtpMailer {
    composer: Composer,
    transport: AsyncSmtpTransport<Tokio1Executor>,
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
    /// That this mail is at fault, unless the server refuses everyone.
    Refused,
}

impl SmtpMailer {
    /// Makes a mailer for `smtps://user:password@host`, `smtp://…?tls=required` (`STARTTLS`) or plain `smtp://host:port`;
    /// a path is the name to greet with. Nothing is connected to yet.
    ///
    /// # Errors
    /// [`MailError::Refused`] if the URL or the sender can't be used.
    pub fn new(url: &str, from: &str, clock: Arc<dyn Clock>) -> Result<Self, MailError> {
        const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);
        let composer = Composer::new(from, clock)?;
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
            .map_err(|error| MailError::Refused(format!("its URL can't be used: {error}")))?
            .timeout(Some(COMMAND_TIMEOUT))
            .build();
        Ok(Self { composer, transport })
    }
}

#[async_trait]
impl Mailer for SmtpMailer {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let message = self.composer.compose(mail)?;
        let Err(error) = self.transport.send(message).await else {
            return Ok(());
        };
        let text = error.to_string();
        match verdict(&error) {
            Verdict::Later => Err(MailError::Transient(text)),
            // A server that greets everyone with "no" would make every mail fail for good: ask it about no mail.
            Verdict::Refused => match self.ping().await {
                Ok(()) => Err(MailError::Refused(text)),
                Err(_) => Err(MailError::Transient(text)),
            },
        }
    }

    async fn ping(&self) -> Result<(), MailError> {
        match self.transport.test_connection().await {
            Ok(true) => Ok(()),
            Ok(false) => Err(MailError::Transient("it hung up".to_owned())),
            Err(error) => Err(MailError::Transient(error.to_string())),
        }
    }
}

fn verdict(error: &Error) -> Verdict {
    match error.status() {
        Some(code) if error.is_permanent() && !is_about_credentials(code) => Verdict::Refused,
        Some(_) => Verdict::Later,
        // The client itself would not hand it over: the server lacks an extension that this mail needs.
        None if error.is_client() => Verdict::Refused,
        None => Verdict::Later,
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
        SmtpMailer::new(url, "orders@example.com", Arc::new(TestClock::default()))
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
