//! A refusal, taken apart once: what it says, and what can be done about it.

use std::{collections::BTreeMap, error::Error as _, fmt, process::ExitCode};

use serde::Serialize;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, RpcStatusExt as _, StatusExt as _};

/// Why a request is refused whose id stands for something else.
const ID_REUSED: &str = "EVENT_ID_REUSED";
/// Names in the metadata that are the client's own.
const RESUME_TOKEN: &str = "resume_token";
const UNANSWERED_FROM: &str = "unanswered_from";

/// What the server's answer says, taken apart once.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Refused {
    /// As gRPC spells it, or `USAGE` and `UNKNOWN` for what never was a call.
    code: &'static str,
    message: String,
    fields: Vec<Field>,
    /// Of `google.rpc.ErrorInfo`; empty if there is none.
    reason: String,
    metadata: BTreeMap<String, String>,
    #[serde(skip)]
    kind: Kind,
}

#[derive(Debug, Clone, Serialize)]
struct Field {
    field: String,
    description: String,
}

/// What a script can do about it: the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Other = 1,
    Usage = 2,
    NotFound = 3,
    Refused = 4,
    Invalid = 5,
    Unavailable = 6,
}

impl Kind {
    const fn of(code: Code) -> Self {
        match code {
            Code::NotFound => Self::NotFound,
            Code::FailedPrecondition | Code::AlreadyExists | Code::Aborted => Self::Refused,
            Code::InvalidArgument | Code::OutOfRange => Self::Invalid,
            Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted => {
                Self::Unavailable
            }
            Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::PermissionDenied
            | Code::Unimplemented
            | Code::Internal
            | Code::DataLoss
            | Code::Unauthenticated => Self::Other,
        }
    }
}

impl From<Kind> for ExitCode {
    fn from(kind: Kind) -> Self {
        Self::from(kind as u8)
    }
}

impl Refused {
    /// A failure without a field or a reason.
    pub(crate) fn plain(code: &'static str, kind: Kind, message: String) -> Self {
        let (fields, reason, metadata) = <_>::default();
        Self { code, message, fields, reason, metadata, kind }
    }

    fn of(code: Code, message: &str, details: &ErrorDetails) -> Self {
        let fields = details.bad_request().into_iter().flat_map(|bad| &bad.field_violations);
        let fields = fields.map(|violation| Field {
            field: violation.field.clone(),
            description: violation.description.clone(),
        });
        let info = details.error_info();
        Self {
            code: proto::code_name(code),
            message: message.to_owned(),
            fields: fields.collect(),
            reason: info.map_or_else(String::new, |info| info.reason.clone()),
            metadata: info.into_iter().flat_map(|info| info.metadata.clone()).collect(),
            kind: Kind::of(code),
        }
    }

    /// Adds a field that is at fault.
    pub(crate) fn with_field(mut self, field: String, description: String) -> Self {
        self.fields.push(Field { field, description });
        self
    }

    /// Adds where a watch can go on.
    pub(crate) fn with_resume_token(self, token: &str) -> Self {
        if token.is_empty() { self } else { self.with(RESUME_TOKEN, token) }
    }

    /// Adds the first line of a file of whose order nothing is known.
    pub(crate) fn unanswered_from(self, place: &str) -> Self {
        self.with(UNANSWERED_FROM, place)
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.metadata.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    /// As gRPC spells it.
    pub(crate) const fn code(&self) -> &'static str {
        self.code
    }

    /// Of `google.rpc.ErrorInfo`; empty if there is none.
    pub(crate) fn reason(&self) -> &str {
        &self.reason
    }
}

impl From<&Status> for Refused {
    fn from(status: &Status) -> Self {
        Self::of(effective_code(status), status.message(), &status.get_error_details())
    }
}

impl From<Status> for Refused {
    fn from(status: Status) -> Self {
        Self::from(&status)
    }
}

/// One answer of many in a stream.
impl From<&tonic_types::Status> for Refused {
    fn from(status: &tonic_types::Status) -> Self {
        Self::of(Code::from(status.code), &status.message, &status.get_error_details())
    }
}

/// A line for people: what, each bad field, what would be possible, where to go on.
impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.code)?;
        if self.fields.is_empty() {
            write!(f, "{}", self.message)?;
        }
        for (index, Field { field, description }) in self.fields.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            let space = if field.is_empty() { "" } else { " " };
            write!(f, "{separator}{field}{space}{description}")?;
        }
        // What is possible is no help against a request id that was used.
        let allowed = self.metadata.get("allowed_events").filter(|_| self.reason != ID_REUSED);
        if let Some(allowed) = allowed {
            let allowed = if allowed.is_empty() { "nothing" } else { allowed };
            write!(f, "; possible now: {allowed}")?;
        }
        if let Some(token) = self.metadata.get(RESUME_TOKEN) {
            write!(f, "; go on with --resume {token}")?;
        }
        if let Some(place) = self.metadata.get(UNANSWERED_FROM) {
            write!(f, "; nothing is known of {place} and after")?;
        }
        Ok(())
    }
}

/// The code that says what happened, where tonic's own says less.
fn effective_code(status: &Status) -> Code {
    match status.code() {
        // No one cancels here but the timer of the channel, and a connection that went away.
        Code::Cancelled if status.message() == "Timeout expired" => Code::DeadlineExceeded,
        Code::Cancelled => Code::Unavailable,
        // Made by the transport, not sent by a server.
        Code::Unknown | Code::Internal if status.source().is_some() => Code::Unavailable,
        code => code,
    }
}
