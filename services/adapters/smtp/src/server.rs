//! Where the mail server is, and how a connection to it is made ready for mails.

use std::{borrow::Cow, time::Duration};

use lettre::transport::smtp::{
    Error, SMTP_PORT, SUBMISSION_PORT, SUBMISSIONS_PORT,
    authentication::{Credentials, DEFAULT_MECHANISMS},
    client::{AsyncSmtpConnection, Tls, TlsParameters},
    extension::ClientId,
};
use percent_encoding::percent_decode_str;
use url::Url;

/// How long the server may take until it is connected to.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(30);

/// A mail server.
pub(crate) struct Server {
    host: String,
    port: u16,
    tls: Tls,
    login: Option<Credentials>,
    hello: ClientId,
}

impl Server {
    /// Of a URL: see [`crate::SmtpMailer::new`]. What is wrong with it is said without what it says.
    pub(crate) fn of_url(url: &str) -> Result<Self, String> {
        let url = Url::parse(url).map_err(|error| error.to_string())?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or("it names no host")?;
        let tls_wanted = url.query_pairs().find(|(key, _)| key == "tls").map(|(_, value)| value);
        let parameters = || TlsParameters::new(host.to_owned()).map_err(|error| error.to_string());
        let (tls, usual_port) = match (url.scheme(), tls_wanted.as_deref()) {
            ("smtp", None) => (Tls::None, SMTP_PORT),
            ("smtp", Some("required")) => (Tls::Required(parameters()?), SUBMISSION_PORT),
            ("smtp", Some("opportunistic")) => (Tls::Opportunistic(parameters()?), SUBMISSION_PORT),
            ("smtps", _) => (Tls::Wrapper(parameters()?), SUBMISSIONS_PORT),
            ("smtp", Some(_)) => return Err("tls is required or opportunistic".to_owned()),
            _ => return Err("it begins with neither smtp:// nor smtps://".to_owned()),
        };
        let login = match url.password() {
            Some(password) => Some(Credentials::new(decoded(url.username())?, decoded(password)?)),
            None => None,
        };
        let name = url.path().trim_matches('/');
        let hello =
            if name.is_empty() { ClientId::default() } else { ClientId::Domain(name.to_owned()) };
        let port = url.port().unwrap_or(usual_port);
        Ok(Self { host: host.to_owned(), port, tls, login, hello })
    }

    /// A connection that was greeted, is as secret as it is to be, and logged in.
    pub(crate) async fn connect(&self) -> Result<AsyncSmtpConnection, Error> {
        let wrapped = match &self.tls {
            Tls::Wrapper(parameters) => Some(parameters.clone()),
            Tls::None | Tls::Opportunistic(_) | Tls::Required(_) => None,
        };
        let address = (self.host.as_str(), self.port);
        let timeout = Some(CONNECT_TIME_MAX);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(address, timeout, &self.hello, wrapped, None)
                .await?;
        match &self.tls {
            Tls::Required(parameters) => {
                connection.starttls(parameters.clone(), &self.hello).await?;
            }
            Tls::Opportunistic(parameters) if connection.can_starttls() => {
                connection.starttls(parameters.clone(), &self.hello).await?;
            }
            Tls::None | Tls::Opportunistic(_) | Tls::Wrapper(_) => {}
        }
        if let Some(login) = &self.login {
            connection.auth(DEFAULT_MECHANISMS, login).await?;
        }
        Ok(connection)
    }
}

fn decoded(text: &str) -> Result<String, String> {
    let text = percent_decode_str(text).decode_utf8().map(Cow::into_owned);
    text.map_err(|_| "its user or password is no UTF-8".to_owned())
}
