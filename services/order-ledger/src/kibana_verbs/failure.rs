//! Why an import did not come to be, and what to do about it.

use crate::{
    client::{Kind, Refused},
    told,
};

/// Nothing was imported.
#[derive(Debug, thiserror::Error)]
pub(super) enum KibanaError {
    #[error(
        "--url is {0:?}; allowed: http://HOST:PORT or https://HOST:PORT, with Kibana's path if it has one; a user goes \
         into ORDER_LEDGER_KIBANA_USER"
    )]
    NoAddress(String),
    #[error(
        "ORDER_LEDGER_KIBANA_API_KEY, or ORDER_LEDGER_KIBANA_USER with ORDER_LEDGER_KIBANA_PASSWORD: set one or the other"
    )]
    Credentials,
    #[error("can't reach Kibana at {url}")]
    Away {
        url: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("Kibana at {0} is not ready yet: try again")]
    NotReady(String),
    #[error(
        "what answers at {url} is not Kibana: {why}; name the address that a browser would show Kibana at"
    )]
    NotKibana { url: String, why: String },
    #[error("Kibana at {url} is {version}: the saved objects need 8.19 or newer")]
    TooOld { url: String, version: String },
    #[error(
        "Kibana at {0} wants to know who asks: set ORDER_LEDGER_KIBANA_API_KEY, or ORDER_LEDGER_KIBANA_USER and \
         ORDER_LEDGER_KIBANA_PASSWORD, to who may import there"
    )]
    Unauthenticated(String),
    #[error(
        "Kibana at {url} does not let this user do that in space {space}: it takes all privileges on Saved Objects \
         Management there"
    )]
    Forbidden { url: String, space: String },
    #[error("Kibana has no space {0}: make it first, or name another with --space")]
    NoSpace(String),
    #[error("Kibana refused the file ({status}): {message}")]
    Refused { status: u16, message: String },
}

impl From<KibanaError> for Refused {
    fn from(error: KibanaError) -> Self {
        let (code, kind) = match &error {
            KibanaError::NoAddress(_) | KibanaError::Credentials => ("USAGE", Kind::Usage),
            KibanaError::Away { .. } | KibanaError::NotReady(_) => {
                ("UNAVAILABLE", Kind::Unavailable)
            }
            KibanaError::TooOld { .. } => ("FAILED_PRECONDITION", Kind::Refused),
            KibanaError::NoSpace(_) => ("NOT_FOUND", Kind::NotFound),
            KibanaError::Unauthenticated(_) => ("UNAUTHENTICATED", Kind::Other),
            KibanaError::Forbidden { .. } => ("PERMISSION_DENIED", Kind::Other),
            KibanaError::NotKibana { .. } | KibanaError::Refused { .. } => ("UNKNOWN", Kind::Other),
        };
        Self::plain(code, kind, told(&error))
    }
}
