//! Cases for [`ports::Mailer`]: what is handed over arrives as it was written, whatever was written.

use std::sync::Arc;

use futures::future::join_all;
use mailparse::{MailHeaderMap as _, ParsedMail, addrparse_header, parse_mail};
use ports::{Clock, Mail, MailError, Mailer};
use testkit::{TestClock, sample::email, servers::unique};

/// The sender that the mailer under test is made with.
pub const FROM: &str = "Order Ledger <orders@order-ledger.example>";

/// The clock that the mailer under test is made with.
#[must_use]
pub fn clock() -> Arc<dyn Clock> {
    Arc::new(TestClock::default())
}

/// A mailer, and the place where its mails arrive.
pub trait Outbox {
    /// The mailer under test.
    fn mailer(&self) -> &dyn Mailer;

    /// The mails with this Message-ID that have arrived, as they were received; waits for the first.
    fn arrived(&self, message_id: &str) -> impl Future<Output = Vec<Vec<u8>>>;
}

/// Makes a test of every case; `$with` hands each an [`Outbox`](crate::mailer::Outbox), which others may share.
#[macro_export]
macro_rules! mailer {
    ($with:path) => {
        $crate::cases!(
            $with,
            mailer,
            [
                a_mail_arrives_as_it_was_written,
                a_recipient_may_have_no_name,
                a_body_can_hold_anything,
                headers_can_not_be_smuggled_in,
                the_same_mail_again_can_be_told,
                mails_go_out_side_by_side,
                a_mail_that_can_not_be_written_is_refused,
                a_mailer_that_answers_says_so,
            ]
        );
    };
}

fn mail() -> Mail {
    Mail {
        message_id: format!("{}@order-ledger.example", unique("mail")),
        to: email("ana@example.com"),
        to_name: Some("Ana Pérez".to_owned()),
        subject: "Tu pedido está en camino 📦".to_owned(),
        text: "Hola Ana:\nTu pedido va en camino.\n".to_owned(),
        html: "<p>Hola Ana:</p>\n<p>Tu pedido va en camino. ñ</p>\n".to_owned(),
    }
}

async fn arrived<O: Outbox>(outbox: &O, mail: &Mail) -> Vec<u8> {
    outbox.mailer().send(mail).await.unwrap();
    outbox.arrived(&mail.message_id).await.remove(0)
}

/// A body as people read it: line ends are the transport's.
fn body(part: &ParsedMail<'_>) -> String {
    part.get_body().unwrap().replace("\r\n", "\n").trim_end_matches('\n').to_owned()
}

fn header(mail: &ParsedMail<'_>, name: &str) -> String {
    let found = mail.headers.get_all_values(name);
    assert_eq!(found.len(), 1, "{name}: {found:?}");
    found[0].clone()
}

/// The plain text, then the HTML: a reader shows the last part that it can.
fn bodies(mail: &ParsedMail<'_>) -> (String, String) {
    assert_eq!(mail.ctype.mimetype, "multipart/alternative");
    let types: Vec<_> = mail.subparts.iter().map(|part| part.ctype.mimetype.as_str()).collect();
    assert_eq!(types, ["text/plain", "text/html"]);
    assert!(mail.subparts.iter().all(|part| part.ctype.charset.eq_ignore_ascii_case("utf-8")));
    (body(&mail.subparts[0]), body(&mail.subparts[1]))
}

/// Every header and both bodies.
pub async fn a_mail_arrives_as_it_was_written<O: Outbox>(outbox: &O) {
    let mail = mail();
    let raw = arrived(outbox, &mail).await;
    let read = parse_mail(&raw).unwrap();
    assert_eq!(header(&read, "Message-ID"), format!("<{}>", mail.message_id));
    assert_eq!(header(&read, "Subject"), mail.subject);
    assert_eq!(header(&read, "Auto-Submitted"), "auto-generated");
    assert_eq!(mailparse::dateparse(&header(&read, "Date")).unwrap(), clock().now().timestamp());
    for (name, display, address) in [
        ("From", "Order Ledger", "orders@order-ledger.example"),
        ("To", "Ana Pérez", "ana@example.com"),
    ] {
        let found = addrparse_header(read.headers.get_first_header(name).unwrap()).unwrap();
        let found = found.extract_single_info().unwrap();
        assert_eq!((found.display_name.as_deref(), found.addr.as_str()), (Some(display), address));
    }
    let (text, html) = bodies(&read);
    assert_eq!((text.as_str(), html.as_str()), (mail.text.trim_end(), mail.html.trim_end()));
}

/// The bare address stands alone then.
pub async fn a_recipient_may_have_no_name<O: Outbox>(outbox: &O) {
    let mail = Mail { to_name: None, ..mail() };
    let raw = arrived(outbox, &mail).await;
    let read = parse_mail(&raw).unwrap();
    assert_eq!(header(&read, "To").trim_matches(['<', '>']), "ana@example.com");
}

/// Lines that mean something to a mail server, to a reader or to an encoding come through as they are.
pub async fn a_body_can_hold_anything<O: Outbox>(outbox: &O) {
    let long = "word ".repeat(1_000);
    let text = format!(
        "Hola\n.\n..\nFrom me\nQUIT\n--=_\n--\n=3D = =\n  indented, and blanks at the end   \n{long}\n\n🦤\n\nend"
    );
    let html = format!("<pre>\n{text}\n</pre><!-- & -->");
    let mail = Mail { text: text.clone(), html: html.clone(), ..mail() };
    let raw = arrived(outbox, &mail).await;
    assert_eq!(bodies(&parse_mail(&raw).unwrap()), (text, html));
    let longest = raw.split(|byte| *byte == b'\n').map(<[u8]>::len).max();
    assert!(
        longest.is_some_and(|longest| longest <= 999),
        "RFC 5322 ends lines there: {longest:?}"
    );
}

/// Customers choose their names, and orders their texts.
pub async fn headers_can_not_be_smuggled_in<O: Outbox>(outbox: &O) {
    let mail = Mail {
        to_name: Some("Ana\r\nBcc: eve@example.com".to_owned()),
        subject: "Shipped\nX-Evil: 1\r\n\r\nbody".to_owned(),
        ..mail()
    };
    let raw = arrived(outbox, &mail).await;
    let read = parse_mail(&raw).unwrap();
    assert_eq!(header(&read, "Subject"), "Shipped X-Evil: 1 body");
    for name in ["Bcc", "X-Evil"] {
        assert!(read.headers.get_first_header(name).is_none(), "{name}");
    }
    let to = addrparse_header(read.headers.get_first_header("To").unwrap()).unwrap();
    assert_eq!(to.extract_single_info().unwrap().addr, "ana@example.com");
    assert_eq!(bodies(&read).0, mail.text.trim_end());
}

/// Promise 7: whoever gets it twice sees one Message-ID and the same bodies.
pub async fn the_same_mail_again_can_be_told<O: Outbox>(outbox: &O) {
    let mail = mail();
    for _ in 0..2 {
        outbox.mailer().send(&mail).await.unwrap();
    }
    let copies = outbox.arrived(&mail.message_id).await;
    let bodies_of = |raw: &Vec<u8>| bodies(&parse_mail(raw).unwrap());
    assert!((1..=2).contains(&copies.len()));
    assert!(copies.iter().all(|copy| bodies_of(copy) == bodies_of(&copies[0])));
}

/// None gets another's recipient or text.
pub async fn mails_go_out_side_by_side<O: Outbox>(outbox: &O) {
    let mails: Vec<_> = (0..24)
        .map(|n| Mail {
            to: email(&format!("customer{n}@example.com")),
            to_name: None,
            text: format!("mail {n}"),
            ..mail()
        })
        .collect();
    for sent in join_all(mails.iter().map(|mail| outbox.mailer().send(mail))).await {
        sent.unwrap();
    }
    for mail in mails {
        let copies = outbox.arrived(&mail.message_id).await;
        let read = parse_mail(&copies[0]).unwrap();
        assert_eq!(header(&read, "To").trim_matches(['<', '>']), mail.to.as_str());
        assert_eq!(bodies(&read).0, mail.text);
    }
}

/// For good: trying again would not help.
pub async fn a_mail_that_can_not_be_written_is_refused<O: Outbox>(outbox: &O) {
    for message_id in ["", "two words@example.com", "a>\r\nBcc: eve@example.com"] {
        let mail = Mail { message_id: message_id.to_owned(), ..mail() };
        let sent = outbox.mailer().send(&mail).await;
        assert!(matches!(sent, Err(MailError::Refused(_))), "{message_id:?} {sent:?}");
    }
}

/// `ping`.
pub async fn a_mailer_that_answers_says_so<O: Outbox>(outbox: &O) {
    outbox.mailer().ping().await.unwrap();
}
