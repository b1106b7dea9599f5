//! Kibana's HTTP API, as far as an import needs it.

use std::time::Duration;

use reqwest::{
    Client, RequestBuilder, Response, StatusCode,
    header::LOCATION,
    multipart::{Form, Part},
    redirect,
};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::failure::KibanaError;

/// Importing takes Kibana some seconds; more than this, and something is wrong.
const TIMEOUT: Duration = Duration::from_secs(60);

/// For the connection alone.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// More than any answer of Kibana to what is sent here.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// The oldest version that reads the saved objects.
const OLDEST: (u64, u64) = (8, 19);

/// Who asks.
pub(super) enum Credentials {
    None,
    ApiKey(String),
    User { name: String, password: String },
}

/// One space of a Kibana.
pub(super) struct Kibana {
    client: Client,
    url: Url,
    space: String,
    credentials: Credentials,
}

/// What Kibana says of an import.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer {
    pub(super) success: bool,
    pub(super) success_count: usize,
    #[serde(default)]
    pub(super) errors: Vec<NotImported>,
}

/// An object that was not imported.
#[derive(Debug, Deserialize)]
pub(super) struct NotImported {
    pub(super) r#type: String,
    pub(super) id: String,
    pub(super) error: Reason,
}

/// Why it was not.
#[derive(Debug, Deserialize)]
pub(super) struct Reason {
    /// `conflict`, `ambiguous_conflict`, `missing_references`, `unsupported_type` or `unknown`.
    pub(super) r#type: String,
    #[serde(default)]
    pub(super) message: String,
    #[serde(default)]
    pub(super) references: Vec<Missing>,
}

/// What an object refers to, and is not there.
#[derive(Debug, Deserialize)]
pub(super) struct Missing {
    pub(super) r#type: String,
    pub(super) id: String,
}

impl Credentials {
    /// What the environment says.
    ///
    /// # Errors
    /// It says half of it, or two different things.
    pub(super) fn from(variable: impl Fn(&str) -> Option<String>) -> Result<Self, KibanaError> {
        let key = variable("ORDER_LEDGER_KIBANA_API_KEY");
        let user = variable("ORDER_LEDGER_KIBANA_USER");
        match (key, user, variable("ORDER_LEDGER_KIBANA_PASSWORD")) {
            (None, None, None) => Ok(Self::None),
            (Some(key), None, None) => Ok(Self::ApiKey(key)),
            (None, Some(name), Some(password)) => Ok(Self::User { name, password }),
            _ => Err(KibanaError::Credentials),
        }
    }
}

impl Kibana {
    /// Talks to no one yet.
    ///
    /// # Errors
    /// The URL is none of Kibana's.
    pub(super) fn new(
        url: &str,
        space: &str,
        credentials: Credentials,
    ) -> Result<Self, KibanaError> {
        let parsed = Url::parse(url).ok().filter(|parsed| {
            let is_bare = parsed.query().is_none() && parsed.fragment().is_none();
            let is_anonymous = parsed.username().is_empty() && parsed.password().is_none();
            matches!(parsed.scheme(), "http" | "https")
                && parsed.has_host()
                && is_bare
                && is_anonymous
        });
        let parsed = parsed.ok_or_else(|| KibanaError::NoAddress(without_secrets(url)))?;
        // What leads elsewhere is told, not followed: a POST would become a GET on its way.
        let client = Client::builder()
            .timeout(TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|source| KibanaError::Away { url: url.to_owned(), source })?;
        Ok(Self { client, url: parsed, space: space.to_owned(), credentials })
    }

    /// Kibana's address, without a slash at its end.
    pub(super) fn url(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    pub(super) fn space(&self) -> &str {
        &self.space
    }

    /// Where a browser finds an object, if it has a page of its own.
    pub(super) fn address(&self, kind: &str, id: &str) -> Option<String> {
        let app = match kind {
            "dashboard" => "dashboards",
            "search" => "discover",
            _ => return None,
        };
        Some(format!("{}#/view/{id}", self.in_space(&["app", app])))
    }

    /// Which version it is.
    ///
    /// # Errors
    /// It is away, not ready, too old or no Kibana; or it does not say before it knows who asks.
    pub(super) async fn version(&self) -> Result<String, KibanaError> {
        let response = self.send(self.client.get(self.at(&["api", "status"]))).await?;
        let status = response.status();
        let body = self.body(response).await?;
        if status == StatusCode::SERVICE_UNAVAILABLE {
            return Err(KibanaError::NotReady(self.url().to_owned()));
        }
        if !status.is_success() {
            return Err(self.not_kibana(&format!("{status} at /api/status")));
        }
        let said: Value =
            serde_json::from_slice(&body).map_err(|_| self.not_kibana("no JSON at /api/status"))?;
        let Some(version) = said.pointer("/version/number").and_then(Value::as_str) else {
            // Whom it does not know it tells that it is up, and no more.
            return Err(match said.pointer("/status/overall/level") {
                Some(_) => KibanaError::Unauthenticated(self.url().to_owned()),
                None => self.not_kibana("it does not say which version it is"),
            });
        };
        let parts: Vec<u64> = version.split('.').map_while(|part| part.parse().ok()).collect();
        match parts[..] {
            [major, minor, ..] if (major, minor) >= OLDEST => Ok(version.to_owned()),
            [_, _, ..] => {
                Err(KibanaError::TooOld { url: self.url().to_owned(), version: version.to_owned() })
            }
            _ => Err(self.not_kibana(&format!("it says that it is version {version:?}"))),
        }
    }

    /// Kibana would import into a space that does not exist.
    ///
    /// # Errors
    /// There is none of that name.
    pub(super) async fn find_space(&self) -> Result<(), KibanaError> {
        if self.is_default() {
            return Ok(());
        }
        let url = self.at(&["api", "spaces", "space", &self.space]);
        let response = self.send(self.client.get(url)).await?;
        match response.status() {
            status if status.is_success() => Ok(()),
            StatusCode::NOT_FOUND => Err(KibanaError::NoSpace(self.space.clone())),
            status => Err(self.refused(status, &self.body(response).await?)),
        }
    }

    /// Sends the file.
    ///
    /// # Errors
    /// Nothing of it was imported. What was not, of a file that was taken, is in the answer.
    pub(super) async fn import(
        &self,
        ndjson: String,
        overwrite: bool,
    ) -> Result<Answer, KibanaError> {
        let mut url = self.in_space(&["api", "saved_objects", "_import"]);
        url.query_pairs_mut().append_pair("overwrite", if overwrite { "true" } else { "false" });
        // Kibana goes by the name's ending.
        let file = Part::text(ndjson).file_name("order-ledger.ndjson");
        let form = Form::new().part("file", file);
        let request = self.client.post(url).header("kbn-xsrf", "order-ledger").multipart(form);
        let response = self.send(request).await?;
        let status = response.status();
        let body = self.body(response).await?;
        if !status.is_success() {
            return Err(self.refused(status, &body));
        }
        serde_json::from_slice(&body).map_err(|error| {
            self.not_kibana(&format!("its answer to an import is not known: {error}"))
        })
    }

    /// Sends, and sorts out what has nothing to do with the question.
    async fn send(&self, request: RequestBuilder) -> Result<Response, KibanaError> {
        let request = match &self.credentials {
            Credentials::None => request,
            Credentials::ApiKey(key) => request.header("authorization", format!("ApiKey {key}")),
            Credentials::User { name, password } => request.basic_auth(name, Some(password)),
        };
        let response = request.send().await.map_err(|source| self.away(source))?;
        match response.status() {
            StatusCode::UNAUTHORIZED => Err(KibanaError::Unauthenticated(self.url().to_owned())),
            StatusCode::FORBIDDEN => Err(KibanaError::Forbidden {
                url: self.url().to_owned(),
                space: self.space.clone(),
            }),
            status if status.is_redirection() => {
                let target = response.headers().get(LOCATION);
                let target = target.map_or_else(String::new, |to| format!(" to {to:?}"));
                Err(self.not_kibana(&format!("it leads{target}")))
            }
            _ => Ok(response),
        }
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, KibanaError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|source| self.away(source))? {
            if body.len().saturating_add(chunk.len()) > ANSWER_BYTES_MAX {
                return Err(self.not_kibana("its answer has no end"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn is_default(&self) -> bool {
        self.space == "default"
    }

    fn at(&self, path: &[&str]) -> Url {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    fn in_space(&self, path: &[&str]) -> Url {
        if self.is_default() {
            return self.at(path);
        }
        self.at(&[&["s", self.space.as_str()], path].concat())
    }

    fn away(&self, source: reqwest::Error) -> KibanaError {
        KibanaError::Away { url: self.url().to_owned(), source: source.without_url() }
    }

    fn not_kibana(&self, why: &str) -> KibanaError {
        KibanaError::NotKibana { url: self.url().to_owned(), why: why.to_owned() }
    }

    fn refused(&self, status: StatusCode, body: &[u8]) -> KibanaError {
        if status == StatusCode::SERVICE_UNAVAILABLE {
            return KibanaError::NotReady(self.url().to_owned());
        }
        let said: Option<Value> = serde_json::from_slice(body).ok();
        let message = said.as_ref().and_then(|said| said.get("message")).and_then(Value::as_str);
        let message = message.unwrap_or("it does not say why").to_owned();
        KibanaError::Refused { status: status.as_u16(), message }
    }
}

/// What was given, but for what stands before the host.
fn without_secrets(url: &str) -> String {
    match url.split_once("://").map(|(scheme, rest)| (scheme, rest.rsplit_once('@'))) {
        Some((scheme, Some((_, host)))) => format!("{scheme}://***@{host}"),
        _ => url.to_owned(),
    }
}
