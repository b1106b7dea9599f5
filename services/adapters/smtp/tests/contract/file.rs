//! Mails as files.

use std::{fs, path::Path};

use adapter_smtp::FileMailer;
use contract::mailer::{FROM, Outbox, clock};
use ports::{Mail, MailError, Mailer};
use tempfile::TempDir;
use testkit::sample::email;

struct Folder {
    mailer: FileMailer,
    folder: TempDir,
}

impl Outbox for Folder {
    fn mailer(&self) -> &dyn Mailer {
        &self.mailer
    }

    async fn arrived(&self, message_id: &str) -> Vec<Vec<u8>> {
        let header = format!("Message-ID: <{message_id}>\r\n");
        let holds = |mail: &Vec<u8>| String::from_utf8_lossy(mail).contains(&header);
        files(self.folder.path()).iter().map(|(_, mail)| mail.clone()).filter(holds).collect()
    }
}

async fn on_fresh_folder(case: impl AsyncFnOnce(&Folder)) {
    let folder = TempDir::new().unwrap();
    let mailer = FileMailer::new(&folder.path().join("outbox"), FROM, clock()).unwrap();
    case(&Folder { mailer, folder }).await;
}

contract::mailer!(on_fresh_folder);

/// By name; whatever is there counts, half-written files too.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder.join("outbox"))
        .unwrap()
        .map(|file| file.unwrap())
        .map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap()))
        .collect();
    files.sort();
    files
}

fn mail(message_id: &str) -> Mail {
    Mail {
        message_id: message_id.to_owned(),
        to: email("ana@example.com"),
        to_name: None,
        subject: "Shipped".to_owned(),
        text: "It is on its way.".to_owned(),
        html: "<p>It is on its way.</p>".to_owned(),
    }
}

#[tokio::test]
async fn a_repeat_is_the_same_file() {
    on_fresh_folder(async |outbox| {
        outbox.mailer.send(&mail("order.3.shipped@example.com")).await.unwrap();
        let first = files(outbox.folder.path());
        assert_eq!(first.len(), 1);
        assert_eq!(first[0].0, "order.3.shipped@example.com.eml");
        outbox.mailer.send(&mail("order.3.shipped@example.com")).await.unwrap();
        assert_eq!(files(outbox.folder.path()), first);
    })
    .await;
}

#[tokio::test]
async fn no_id_leads_out_of_the_folder() {
    on_fresh_folder(async |outbox| {
        outbox.mailer.send(&mail("../../escaped")).await.unwrap();
        assert_eq!(files(outbox.folder.path())[0].0, "%2E.%2F..%2Fescaped.eml");
    })
    .await;
}

#[tokio::test]
async fn a_folder_that_can_not_be_made_is_waited_for() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mailer = FileMailer::new(&file.path().join("outbox"), FROM, clock()).unwrap();
    for failed in [mailer.ping().await, mailer.send(&mail("a@example.com")).await] {
        assert!(matches!(failed, Err(MailError::Transient(_))), "{failed:?}");
    }
}

#[tokio::test]
async fn a_name_that_no_file_can_have_is_refused() {
    on_fresh_folder(async |outbox| {
        let failed = outbox.mailer.send(&mail(&"x".repeat(300))).await;
        assert!(matches!(failed, Err(MailError::Refused(_))), "{failed:?}");
        assert_eq!(files(outbox.folder.path()), []);
    })
    .await;
}
