//! A mail as an RFC 5322 message.

use std::{fmt, sync::Arc, time::SystemTime};

use lettre::{
    Address, Message,
    message::{
        Body, Mailbox, MultiPart, SinglePart,
        header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue},
    },
};
use ports::{Clock, Mail, MailError};
use uuid::Uuid;

/// Puts messages together.
pub struct Composer {
    from: Mailbox,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Composer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Composer").field("from", &self.from).finish_non_exhaustive()
    }
}

impl Composer {
    /// Mails come from `from`: an address, with or without a name.
    ///
    /// # Errors
    /// [`MailError::Refused`] if that can't be used.
    pub fn new(from: &str, clock: Arc<dyn Clock>) -> Result<Self, MailError> {
        let from = from.parse().map_err(|error| {
            MailError::Refused(format!("the sender {from:?} is not a mail address: {error}"))
        })?;
        Ok(Self { from, clock })
    }

    /// The message of a mail.
    ///
    /// # Errors
    /// [`MailError::Refused`] if it can't be written.
    pub fn compose(&self, mail: &Mail) -> Result<Message, MailError> {
        let id = checked_id(&mail.message_id)?;
        let to: Address = mail.to.as_str().parse().map_err(|error| {
            MailError::Refused(format!("the address can't be written in a message: {error}"))
        })?;
        let name = mail.to_name.as_deref().map(one_line).filter(|name| !name.is_empty());
        let to = Mailbox::new(name, to);
        // A date before 1970 can't be written; no working clock shows one.
        let date = SystemTime::from(self.clock.now()).max(SystemTime::UNIX_EPOCH);
        let bodies = MultiPart::alternative()
            .boundary(boundary(id))
            .singlepart(part(ContentType::TEXT_PLAIN, &mail.text)?)
            .singlepart(part(ContentType::TEXT_HTML, &mail.html)?);
        Message::builder()
            .message_id(Some(format!("<{id}>")))
            .date(date)
            .from(self.from.clone())
            .to(to)
            .subject(one_line(&mail.subject))
            .raw_header(auto_submitted())
            .multipart(bodies)
            .map_err(|error| MailError::Refused(error.to_string()))
    }
}

/// Lets no id through that would end its header early or make it ambiguous.
fn checked_id(id: &str) -> Result<&str, MailError> {
    let allowed = |byte: u8| byte.is_ascii_graphic() && !b"<>".contains(&byte);
    if id.is_empty() || !id.bytes().all(allowed) {
        return Err(MailError::Refused(format!("{id:?} can't be a Message-ID")));
    }
    Ok(id)
}

/// Names and subjects are single lines, whatever customers write.
fn one_line(text: &str) -> String {
    text.split(char::is_control).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Follows from the id, so that a repeat has the same bytes. It holds `=_`, which no quoted-printable body can.
fn boundary(id: &str) -> String {
    format!("=_{}", Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("mid:{id}").as_bytes()).simple())
}

/// Always quoted-printable: see [`boundary`].
fn part(content_type: ContentType, text: &str) -> Result<SinglePart, MailError> {
    let body = Body::new_with_encoding(text.to_owned(), ContentTransferEncoding::QuotedPrintable)
        .map_err(|_| MailError::Refused("its text can't be encoded".to_owned()))?;
    Ok(SinglePart::builder().header(content_type).body(body))
}

/// RFC 3834: keeps out-of-office replies away.
fn auto_submitted() -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned())
}

#[cfg(test)]
mod tests {
    use testkit::{TestClock, sample};

    use super::*;

    fn composer(from: &str) -> Result<Composer, MailError> {
        Composer::new(from, Arc::new(TestClock::default()))
    }

    fn mail() -> Mail {
        Mail {
            message_id: "order.1.shipped@example.com".to_owned(),
            to: sample::email("ana@example.com"),
            to_name: Some("Ana Pérez".to_owned()),
            subject: "Shipped".to_owned(),
            text: "--=_ is no boundary\r\nñ".to_owned(),
            html: "<p>ñ</p>".to_owned(),
        }
    }

    #[test]
    fn the_same_mail_has_the_same_bytes() {
        let composer = composer("Orders <orders@example.com>").unwrap();
        let bytes = || composer.compose(&mail()).unwrap().formatted();
        assert_eq!(bytes(), bytes());
        let text = String::from_utf8(bytes()).unwrap();
        assert!(text.contains("Date: Fri, 02 Jan 2026 03:04:05 +0000\r\n"), "{text}");
        assert!(text.contains("\r\n--=3D_ is no boundary\r\n=C3=B1"), "{text}");
    }

    #[test]
    fn what_would_break_a_header_is_refused() {
        for id in ["", "a b", "a>", "a\r\nBcc: eve@example.com", "ñ@example.com"] {
            let mail = Mail { message_id: id.to_owned(), ..mail() };
            let composed = composer("orders@example.com").unwrap().compose(&mail);
            assert!(matches!(composed, Err(MailError::Refused(_))), "{id:?}");
        }
        assert!(matches!(composer("orders"), Err(MailError::Refused(_))));
    }

    #[test]
    fn lines_are_joined() {
        assert_eq!(one_line("a\r\nBcc: b\tc"), "a Bcc: b c");
    }
}
