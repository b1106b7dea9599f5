//! Answers that a well-behaved server seldom gives, from a socket that follows a script.

use std::time::Duration;

use adapter_smtp::SmtpMailer;
use contract::mailer::{FROM, clock};
use ports::{Mail, MailError, Mailer as _};
use testkit::sample::email;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// What the server says where it differs from "fine".
#[derive(Clone, Copy)]
struct Script {
    greeting: &'static str,
    features: &'static str,
    auth: &'static str,
    mail: &'static str,
    recipient: &'static str,
    data: &'static str,
}

const FINE: Script = Script {
    greeting: "220 ready",
    features: "250-hello\r\n250-8BITMIME\r\n250 AUTH PLAIN",
    auth: "235 welcome",
    mail: "250 fine",
    recipient: "250 fine",
    data: "250 taken",
};

/// What comes of a mail that is sent to a server with this script.
async fn sent(script: Script) -> Result<(), MailError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://ana:s3cret@{}", listener.local_addr().unwrap());
    // Ends with this function.
    let mut server = JoinSet::new();
    server.spawn(async move {
        let mut clients = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            clients.spawn(serve(stream, script));
        }
    });
    let mailer = SmtpMailer::new(&url, FROM, ANSWER_TIMEOUT, clock()).unwrap();
    let mail = Mail {
        message_id: "order.3.shipped@example.com".to_owned(),
        to: email("ana@example.com"),
        to_name: None,
        subject: "Shipped".to_owned(),
        text: "It is on its way.".to_owned(),
        html: "<p>It is on its way.</p>".to_owned(),
    };
    mailer.send(&mail).await
}

/// One connection. A client that hangs up ends it, whatever was to be said.
async fn serve(stream: TcpStream, script: Script) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut next = script.greeting;
    loop {
        stream.write_all(format!("{next}\r\n").as_bytes()).await?;
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        next = match line.split([' ', '\r']).next().unwrap_or_default() {
            "EHLO" => script.features,
            "AUTH" => script.auth,
            "MAIL" => script.mail,
            "RCPT" => script.recipient,
            "DATA" => {
                stream.write_all(b"354 go on\r\n").await?;
                while line != ".\r\n" {
                    line.clear();
                    stream.read_line(&mut line).await?;
                }
                script.data
            }
            _ => "250 fine",
        };
    }
}

async fn assert_refused(script: Script, why: &str) {
    match sent(script).await {
        Err(MailError::Refused(text)) => assert!(text.contains(why), "{text}"),
        other => panic!("{other:?}"),
    }
}

async fn assert_transient(script: Script, why: &str) {
    match sent(script).await {
        Err(MailError::Transient(text)) => {
            assert!(text.contains(why) && !text.contains("s3cret"), "{text}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_mail_that_all_is_fine_with_is_sent() {
    sent(FINE).await.unwrap();
}

#[tokio::test]
async fn no_about_the_mail_is_final() {
    assert_refused(Script { recipient: "550 no such user", ..FINE }, "no such user").await;
    assert_refused(Script { data: "554 smells of spam", ..FINE }, "smells of spam").await;
}

#[tokio::test]
async fn later_is_not_final() {
    assert_transient(Script { recipient: "451 greylisted", ..FINE }, "greylisted").await;
    assert_transient(Script { data: "452 disk full", ..FINE }, "disk full").await;
    assert_transient(Script { greeting: "421 too busy", ..FINE }, "too busy").await;
}

/// A wrong password must not turn every mail of the day into a failed one.
#[tokio::test]
async fn no_about_the_sender_is_not_the_mails_fault() {
    assert_transient(Script { auth: "535 wrong password", ..FINE }, "wrong password").await;
    assert_transient(Script { mail: "530 log in first", ..FINE }, "log in first").await;
    assert_transient(Script { greeting: "554 no service here", ..FINE }, "no service here").await;
    assert_transient(Script { features: "250 hello", ..FINE }, "authentication").await;
}

/// It may have taken it first.
#[tokio::test]
async fn what_is_no_answer_to_the_text_leaves_open_whether_it_arrived() {
    let sent = sent(Script { data: "", ..FINE }).await;
    assert!(matches!(sent, Err(MailError::Unanswered(_))), "{sent:?}");
}

#[tokio::test]
async fn a_server_that_is_away_or_hangs_up_is_waited_for() {
    assert_transient(Script { recipient: "", ..FINE }, "").await;
    let away =
        SmtpMailer::new("smtp://ana:s3cret@127.0.0.1:1", FROM, ANSWER_TIMEOUT, clock()).unwrap();
    let failed = away.ping().await;
    assert!(matches!(failed, Err(MailError::Transient(_))), "{failed:?}");
}
