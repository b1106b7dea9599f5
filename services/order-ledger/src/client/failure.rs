//! What ends a verb early: told to people in a line, to programs as JSON, to scripts by the exit code.

use std::{
    error::Error,
    ffi::OsStr,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use crate::{
    cli::Output,
    client::{
        order_file::OrderFileError,
        refused::{Kind, Refused},
    },
    complain, told,
};

/// Why a verb of `order-ledger order` failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error("--server is {0:?}; allowed: http://HOST:PORT")]
    NoAddress(String),
    #[error("can't reach {server}; is `order-ledger serve` running there?")]
    Connect {
        server: String,
        #[source]
        source: tonic::transport::Error,
    },
    #[error("{0}")]
    Refused(Refused),
    #[error("can't read {}", .path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{place}")]
    NotAnOrder {
        /// The file, and the line if it has one order a line.
        place: String,
        #[source]
        source: OrderFileError,
    },
    /// Each line was told by itself.
    #[error("{failed} of {orders} orders were not placed")]
    Lines { orders: u64, failed: u64, kind: Kind },
    #[error("can't write the result")]
    Write(#[from] io::Error),
    #[error("can't write the result as JSON")]
    Json(#[source] Box<dyn Error + Send + Sync>),
}

impl ClientError {
    /// The same for programs.
    pub(crate) fn as_refused(&self) -> Refused {
        let plain = |code, kind| Refused::plain(code, kind, told(self));
        match self {
            Self::NoAddress(_) => plain("USAGE", Kind::Usage),
            Self::Connect { .. } => plain("UNAVAILABLE", Kind::Unavailable),
            Self::Refused(refused) => refused.clone(),
            Self::Read { .. } | Self::Write(_) | Self::Json(_) => plain("UNKNOWN", Kind::Other),
            Self::NotAnOrder { source, .. } => {
                let refused = plain("INVALID_ARGUMENT", Kind::Invalid);
                let OrderFileError { field, description } = source.clone();
                refused.with_field(field, description)
            }
            Self::Lines { kind, .. } => plain("UNKNOWN", *kind),
        }
    }

    /// Tells it on stderr and gives the exit code.
    pub(crate) fn report(&self, output: Output) -> ExitCode {
        if let Self::Write(error) = self
            && error.kind() == io::ErrorKind::BrokenPipe
        {
            // Whoever read has enough, as `head` does.
            return ExitCode::SUCCESS;
        }
        let refused = self.as_refused();
        match (output, self) {
            // The document on stdout tells of every line.
            (Output::Json, Self::Lines { .. }) => {}
            (Output::Json, _) => complain_as_json(&refused),
            (Output::Human, _) => complain(self),
        }
        refused.kind().into()
    }
}

/// Tells what is wrong with the command line, or what was asked about it.
pub(crate) fn misused(misuse: &clap::Error) -> ExitCode {
    let asked_for_json = || {
        let arguments: Vec<_> = std::env::args_os().collect();
        arguments.windows(2).any(|pair| pair == [OsStr::new("--output"), OsStr::new("json")])
            || arguments.iter().any(|argument| argument == "--output=json")
    };
    if misuse.use_stderr() && asked_for_json() {
        let message = misuse.to_string().trim().trim_start_matches("error: ").to_owned();
        complain_as_json(&Refused::plain("USAGE", Kind::Usage, message));
        return Kind::Usage.into();
    }
    // If there is no one to read it there is no one to tell.
    _ = misuse.print();
    if misuse.use_stderr() { Kind::Usage.into() } else { ExitCode::SUCCESS }
}

fn complain_as_json(refused: &Refused) {
    if let Ok(document) = serde_json::to_string(refused) {
        // If stderr is gone there is no one to tell.
        _ = writeln!(io::stderr(), "{document}");
    }
}
