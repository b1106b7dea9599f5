//! Mails through a server that keeps them.

use std::time::Duration;

use adapter_smtp::SmtpMailer;
use contract::mailer::{FROM, Outbox, clock};
use ports::Mailer;
use reqwest::{Client, Url};
use serde_json::Value;
use testkit::{servers, wait_for};

/// Shared by all tests: each looks for its own Message-IDs.
struct Mailpit {
    mailer: SmtpMailer,
    http: Client,
    url: String,
}

impl Outbox for Mailpit {
    fn mailer(&self) -> &dyn Mailer {
        &self.mailer
    }

    async fn arrived(&self, message_id: &str) -> Vec<Vec<u8>> {
        let query = format!("message-id:\"{message_id}\"");
        let search = format!("{}/api/v1/search", self.url);
        let search = Url::parse_with_params(&search, [("query", query)]).unwrap();
        let found = wait_for("a mail in Mailpit", Duration::from_secs(60), async || {
            let answer = self.http.get(search.clone()).send().await.unwrap();
            let found = answer.json::<Value>().await.unwrap()["messages"].take();
            found.as_array().filter(|messages| !messages.is_empty()).cloned()
        });
        let mut mails = Vec::new();
        for message in found.await {
            let id = message["ID"].as_str().unwrap();
            let raw = format!("{}/api/v1/message/{id}/raw", self.url);
            let raw = self.http.get(raw).send().await.unwrap().error_for_status().unwrap();
            mails.push(raw.bytes().await.unwrap().to_vec());
        }
        mails
    }
}

async fn on_mailpit(case: impl AsyncFnOnce(&Mailpit)) {
    let mailer = SmtpMailer::new(&servers::smtp(), FROM, Duration::from_secs(60), clock()).unwrap();
    // No proxy: the server is on this machine.
    let http = Client::builder().no_proxy().build().unwrap();
    case(&Mailpit { mailer, http, url: servers::mailpit() }).await;
}

contract::mailer!(on_mailpit);
