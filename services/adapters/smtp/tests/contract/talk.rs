//! How the mailer talks with a server: over connections that it keeps, one mail after another, and never of two at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use adapter_smtp::SmtpMailer;
use contract::mailer::{FROM, clock};
use ports::{Mail, MailError, Mailer as _};
use testkit::{sample::email, wait_for};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinSet,
    time::{self, Instant},
};

const PATIENCE: Duration = Duration::from_secs(20);

const ANSWER_TIMEOUT: Duration = Duration::from_secs(600);

/// A server that takes mails, and what it saw of its clients.
#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    mails: AtomicUsize,
    /// The text of a mail whose subject asks for silence is there.
    is_silent: Notify,
    /// It is answered after all.
    late: Notify,
    /// Every connection is closed.
    hang_up: Notify,
    open: AtomicUsize,
    /// Texts whose end came apart from them.
    in_pieces: AtomicUsize,
}

struct Server {
    seen: Arc<Seen>,
    mailer: SmtpMailer,
    _serving: JoinSet<()>,
}

impl Server {
    async fn start() -> Self {
        Self::start_for(ANSWER_TIMEOUT).await
    }

    /// Its client waits this long for what becomes of a mail.
    async fn start_for(answer_timeout: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        let seen = Arc::<Seen>::default();
        let mut serving = JoinSet::new();
        let told = Arc::clone(&seen);
        serving.spawn(async move {
            let mut clients = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                told.connections.fetch_add(1, Ordering::Relaxed);
                told.open.fetch_add(1, Ordering::Relaxed);
                let seen = Arc::clone(&told);
                clients.spawn(async move {
                    tokio::select! {
                        _ = serve(stream, &seen) => {}
                        () = seen.hang_up.notified() => {}
                    }
                    seen.open.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
        let mailer = SmtpMailer::new(&url, FROM, answer_timeout, clock()).unwrap();
        Self { seen, mailer, _serving: serving }
    }
}

/// One connection. A client that hangs up ends it, whatever was to be said.
async fn serve(stream: TcpStream, seen: &Seen) -> std::io::Result<()> {
    let mut stream = BufReader::with_capacity(1 << 16, stream);
    let mut next = "220 ready";
    loop {
        stream.write_all(format!("{next}\r\n").as_bytes()).await?;
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        next = match line.trim_end() {
            "DATA" => {
                stream.write_all(b"354 go on\r\n").await?;
                take(&mut stream, seen).await?
            }
            _ => "250 fine",
        };
    }
}

/// Reads a text, and answers as its subject wishes.
async fn take(stream: &mut BufReader<TcpStream>, seen: &Seen) -> std::io::Result<&'static str> {
    let mut text = Vec::new();
    loop {
        let mut piece = vec![0; 1 << 16];
        let read = stream.read(&mut piece).await?;
        if read == 0 {
            return Ok("");
        }
        text.extend_from_slice(&piece[..read]);
        if text.ends_with(b"\r\n.\r\n") {
            break;
        }
        seen.in_pieces.fetch_add(1, Ordering::Relaxed);
    }
    seen.mails.fetch_add(1, Ordering::Relaxed);
    let text = String::from_utf8_lossy(&text);
    if text.contains("Subject: silence") {
        seen.is_silent.notify_one();
        seen.late.notified().await;
    }
    Ok(if text.contains("Subject: no") { "554 not this one" } else { "250 taken" })
}

fn mail(subject: &str) -> Mail {
    Mail {
        message_id: format!("{subject}@example.com"),
        to: email("ana@example.com"),
        to_name: None,
        subject: subject.to_owned(),
        text: "It is on its way.\n".repeat(50),
        html: "<p>It is on its way.</p>\n".repeat(50),
    }
}

#[tokio::test]
async fn a_connection_serves_one_mail_after_another() {
    let server = Server::start().await;
    for n in 0..20 {
        server.mailer.send(&mail(&format!("mail-{n}"))).await.unwrap();
    }
    assert_eq!(server.seen.connections.load(Ordering::Relaxed), 1);
    assert_eq!(server.seen.mails.load(Ordering::Relaxed), 20);
}

/// A text and its end in two writes would wait for an acknowledgement in between, which the other side is slow to send.
#[tokio::test]
async fn a_text_and_its_end_go_out_together() {
    let server = Server::start().await;
    for _ in 0..20 {
        server.mailer.send(&mail("together")).await.unwrap();
    }
    assert_eq!(server.seen.in_pieces.load(Ordering::Relaxed), 0);
}

/// Whoever waits no longer takes the connection along: what the server still says there is about that mail, and no other one.
#[tokio::test]
async fn a_mail_that_was_given_up_answers_for_no_other() {
    let server = Server::start().await;
    let silent = mail("silence");
    tokio::select! {
        sent = server.mailer.send(&silent) => panic!("it was answered: {sent:?}"),
        () = server.seen.is_silent.notified() => {}
    }
    server.seen.late.notify_one();
    server.mailer.send(&mail("yes")).await.unwrap();
    // As many at once as there may be connections: one would get the answers to the mail that was given up.
    let (one, other) = (mail("no-1"), mail("no-2"));
    let sent: [_; 2] = tokio::join!(server.mailer.send(&one), server.mailer.send(&other)).into();
    for sent in sent {
        let is_refused =
            matches!(&sent, Err(MailError::Refused(text)) if text.contains("not this one"));
        assert!(is_refused, "{sent:?}");
    }
}

/// A server that scans what it took answers late. RFC 5321 gives it ten minutes, far more than for any other answer.
#[tokio::test]
async fn an_answer_to_the_text_may_be_late() {
    let server = Server::start().await;
    let silent = mail("silence");
    let began = Instant::now();
    let sent = server.mailer.send(&silent);
    let answered = async {
        server.seen.is_silent.notified().await;
        time::pause();
        time::advance(ANSWER_TIMEOUT - Duration::from_secs(5)).await;
        time::resume();
        server.seen.late.notify_one();
    };
    let (sent, ()) = tokio::join!(sent, answered);
    sent.unwrap();
    assert!(began.elapsed() > Duration::from_secs(590));
    assert_eq!(server.seen.mails.load(Ordering::Relaxed), 1);
}

/// It may have it: that is neither a yes nor a no.
#[tokio::test]
async fn no_answer_to_the_text_leaves_open_whether_it_arrived() {
    let server = Server::start_for(Duration::from_millis(200)).await;
    let sent = server.mailer.send(&mail("silence")).await;
    assert!(matches!(sent, Err(MailError::Unanswered(_))), "{sent:?}");
    assert_eq!(server.seen.mails.load(Ordering::Relaxed), 1);
    // The connection went with it: the answer to the next one is its own.
    server.mailer.send(&mail("yes")).await.unwrap();
    assert_eq!(server.seen.connections.load(Ordering::Relaxed), 2);
}

/// Nothing of the mail was said yet, so it can be tried at any time.
#[tokio::test]
async fn a_server_that_does_not_greet_has_no_mail() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    let mailer = SmtpMailer::new(&url, FROM, Duration::from_millis(200), clock()).unwrap();
    let sent = mailer.send(&mail("hello")).await;
    assert!(matches!(sent, Err(MailError::Transient(_))), "{sent:?}");
    let there = mailer.ping().await;
    assert!(matches!(there, Err(MailError::Transient(_))), "{there:?}");
}

/// Servers close what is silent for long, and restart.
#[tokio::test]
async fn a_connection_that_the_server_closed_meanwhile_costs_no_mail() {
    let server = Server::start().await;
    for n in 1..=3 {
        server.mailer.send(&mail("again")).await.unwrap();
        assert_eq!(server.seen.connections.load(Ordering::Relaxed), n);
        server.seen.hang_up.notify_waiters();
        wait_for("the server has hung up", PATIENCE, async || {
            (server.seen.open.load(Ordering::Relaxed) == 0).then_some(())
        })
        .await;
    }
}
