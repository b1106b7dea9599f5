//! Where Elasticsearch is and how it is talked to.

use std::{fmt, time::Duration};

use elasticsearch::{
    Elasticsearch,
    auth::Credentials,
    http::transport::{SingleNodeConnectionPool, TransportBuilder},
};
use ports::SearchError;
use url::Url;

use crate::aliases::Aliases;

/// How to reach Elasticsearch and what to call things there.
#[derive(Clone)]
pub struct ElasticsearchOptions {
    /// `http://host:port` or `https://…`, with `user:password@` for basic authentication.
    pub url: String,
    /// Put before the aliases `orders` and `orders-write`, the data streams `order-transitions` and `order-ledger-metrics`,
    /// and the names of their templates and indices.
    pub index_prefix: String,
    /// An encoded API key, instead of a user in the URL.
    pub api_key: Option<String>,
    /// How long one request may take.
    pub request_timeout: Duration,
    /// How large a bulk request gets at most, unless a single document is larger.
    pub bulk_bytes_max: usize,
}

impl Default for ElasticsearchOptions {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:9200".to_owned(),
            index_prefix: String::new(),
            api_key: None,
            request_timeout: Duration::from_secs(30),
            bulk_bytes_max: 8 * 1024 * 1024,
        }
    }
}

/// Shows no credentials.
impl fmt::Debug for ElasticsearchOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = Url::parse(&self.url).map(|url| without_user(url).to_string());
        f.debug_struct("ElasticsearchOptions")
            .field("url", &url.as_deref().unwrap_or("not a URL"))
            .field("index_prefix", &self.index_prefix)
            .field("api_key", &self.api_key.as_ref().map(|_| "hidden"))
            .field("request_timeout", &self.request_timeout)
            .field("bulk_bytes_max", &self.bulk_bytes_max)
            .finish()
    }
}

impl ElasticsearchOptions {
    /// The names that documents are read and written under.
    pub(crate) fn aliases(&self) -> Result<Aliases, SearchError> {
        let alias = format!("{}orders", self.index_prefix);
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
        // Elasticsearch itself allows more; nothing that is left out here is ever missed.
        if !alias.chars().all(allowed) || alias.starts_with(['-', '_']) || alias.len() > 200 {
            let prefix = &self.index_prefix;
            return Err(SearchError::Unfit(format!(
                "the index prefix {prefix:?} must be short and of lower-case letters, digits, - and _"
            )));
        }
        Ok(Aliases::new(alias))
    }

    /// The data stream of transitions. Its prefix is checked with the aliases.
    pub(crate) fn stream(&self) -> String {
        format!("{}order-transitions", self.index_prefix)
    }

    /// The data stream of metrics. Its prefix is checked with the aliases.
    pub(crate) fn metrics(&self) -> String {
        format!("{}order-ledger-metrics", self.index_prefix)
    }

    /// A client that connects when it is first used.
    pub(crate) fn client(&self) -> Result<Elasticsearch, SearchError> {
        let url = Url::parse(&self.url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| unfit("its URL must be http://HOST:PORT or https://HOST:PORT"))?;
        let credentials = self.credentials(&url)?;
        let pool = SingleNodeConnectionPool::new(without_user(url));
        let mut builder = TransportBuilder::new(pool).timeout(self.request_timeout);
        if let Some(credentials) = credentials {
            builder = builder.auth(credentials);
        }
        // Not the builder's own error text: it may quote what it was built from.
        let transport = builder.build().map_err(|_| unfit("no HTTP client can be made for it"))?;
        Ok(Elasticsearch::new(transport))
    }

    fn credentials(&self, url: &Url) -> Result<Option<Credentials>, SearchError> {
        let has_user = !url.username().is_empty() || url.password().is_some();
        match &self.api_key {
            Some(_) if has_user => Err(unfit("it takes an API key or a user in the URL, not both")),
            Some(key) => Ok(Some(Credentials::EncodedApiKey(key.clone()))),
            None if has_user => {
                let user = decoded(url.username())?;
                let password = decoded(url.password().unwrap_or_default())?;
                Ok(Some(Credentials::Basic(user, password)))
            }
            None => Ok(None),
        }
    }
}

fn without_user(mut url: Url) -> Url {
    // Both fail only for a URL without a host, which has no user either.
    url.set_username("").ok();
    url.set_password(None).ok();
    url
}

/// Undoes the percent-encoding of a URL's user information.
fn decoded(text: &str) -> Result<String, SearchError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let byte = match byte {
            b'%' => {
                let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
                let (high, low) = (digit(rest.next()), digit(rest.next()));
                high.zip(low).and_then(|(high, low)| u8::try_from(high * 16 + low).ok())
            }
            plain => Some(plain),
        };
        bytes.push(byte.ok_or_else(|| unfit("the user in its URL is not percent-encoded"))?);
    }
    String::from_utf8(bytes).map_err(|_| unfit("the user in its URL is not UTF-8"))
}

fn unfit(why: &str) -> SearchError {
    SearchError::Unfit(why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(url: &str) -> ElasticsearchOptions {
        ElasticsearchOptions { url: url.to_owned(), ..ElasticsearchOptions::default() }
    }

    #[test]
    fn credentials_are_never_shown() {
        let mut options = options("https://ana:s3cret@example.com:9200/");
        options.api_key = Some("k3y".to_owned());
        let shown = format!("{options:?} {:?}", options.client().unwrap_err());
        assert!(shown.contains("https://example.com:9200/"), "{shown}");
        assert!(!shown.contains("s3cret") && !shown.contains("k3y"), "{shown}");
    }

    #[test]
    fn the_url_must_be_of_a_web_server() {
        for url in ["", "example.com:9200", "ftp://example.com", "kafka://a:1"] {
            assert!(matches!(options(url).client(), Err(SearchError::Unfit(_))), "{url}");
        }
        assert!(options("http://example.com").client().is_ok());
    }

    #[test]
    fn a_user_is_taken_out_of_the_url() {
        let credentials = |url: &str| {
            let url = Url::parse(url).unwrap();
            options("").credentials(&url).map(|found| match found {
                Some(Credentials::Basic(user, password)) => Some((user, password)),
                _ => None,
            })
        };
        let found = credentials("http://ana:p%40ss%C3%A9@h/").unwrap();
        assert_eq!(found, Some(("ana".to_owned(), "p@ssé".to_owned())));
        assert_eq!(credentials("http://h/").unwrap(), None);
        assert!(credentials("http://ana:%zz@h/").is_err());
    }

    #[test]
    fn prefixes_stay_within_what_an_index_may_be_called() {
        let alias = |prefix: &str| {
            let options = ElasticsearchOptions { index_prefix: prefix.to_owned(), ..options("") };
            options.aliases().ok().map(|aliases| aliases.read)
        };
        assert_eq!(alias("").as_deref(), Some("orders"));
        assert_eq!(alias("eu-1_").as_deref(), Some("eu-1_orders"));
        for prefix in ["EU-", "-", "_", "a*", "a,b", "a/b", "ñ"] {
            assert_eq!(alias(prefix), None, "{prefix}");
        }
    }
}
