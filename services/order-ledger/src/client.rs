//! `order-ledger order …`: the same API as everyone else's, from the command line.
//!
//! Owns the connection and the choice of the verb; the modules below own a kind of verb each. Knows nothing of logs,
//! stores or roles: what it can't do by gRPC it can't do.

mod bulk;
mod failure;
mod line_reader;
mod order_file;
mod out;
mod place;
mod read;
mod record;
mod refused;
mod sheet;
mod watch;

use std::{process::ExitCode, time::Duration};

use proto::v1::order_ledger_client::OrderLedgerClient;
use tonic::{Request, Status, transport::Channel};

pub(crate) use failure::{ClientError, misused};
pub(crate) use order_file::parse_line;
pub(crate) use out::Out;
pub(crate) use record::wait_for;
pub(crate) use refused::{Kind, Refused};
pub(crate) use sheet::GrowingDocument;

use crate::cli::{ClientArgs, OrderVerb};

/// A page of long orders is larger than gRPC's customary 4 MiB.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// How often a silent connection is asked whether it lives: a watch can be silent for days.
const PING_EVERY: Duration = Duration::from_secs(30);

/// What a verb works with.
pub(crate) struct Session {
    client: OrderLedgerClient<Channel>,
    timeout: Duration,
    out: Out,
}

impl Session {
    /// A request that tells the server how long the caller waits.
    fn within<R>(&self, message: R) -> Request<R> {
        let mut request = Request::new(message);
        request.set_timeout(self.timeout);
        request
    }
}

/// Connects.
pub(crate) async fn connect(
    server: &str,
    timeout: Duration,
) -> Result<OrderLedgerClient<Channel>, ClientError> {
    let endpoint = Channel::from_shared(server.to_owned())
        .ok()
        .filter(|endpoint| endpoint.uri().scheme_str() == Some("http"))
        .ok_or_else(|| ClientError::NoAddress(server.to_owned()))?;
    let channel = endpoint
        .connect_timeout(timeout)
        .timeout(timeout)
        .http2_keep_alive_interval(PING_EVERY)
        .connect()
        .await
        .map_err(|source| ClientError::Connect { server: server.to_owned(), source })?;
    Ok(OrderLedgerClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX))
}

/// Runs one verb, tells what went wrong, and gives the exit code.
pub(crate) async fn run(args: &ClientArgs, verb: OrderVerb) -> ExitCode {
    match perform(args, verb).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(args.output),
    }
}

async fn perform(args: &ClientArgs, verb: OrderVerb) -> Result<(), ClientError> {
    let out = Out::new(args.output)?;
    let timeout = Duration::from_secs(args.timeout);
    let client = connect(&args.server, timeout).await?;
    let mut session = Session { client, timeout, out };
    match verb {
        OrderVerb::Place(args) => place::run(session, args).await,
        OrderVerb::Get(args) => read::get(&mut session, args).await,
        OrderVerb::List { filter, page } => read::list(&mut session, filter, page).await,
        OrderVerb::History { order_id, page } => read::history(&mut session, order_id, page).await,
        OrderVerb::Search(args) => read::search(&mut session, args).await,
        OrderVerb::Watch(args) => watch::run(&mut session, args).await,
        OrderVerb::Record(verb) => record::run(&mut session, verb).await,
    }
}

/// What a server's refusal means to the caller.
#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
pub(crate) fn refused(status: Status) -> ClientError {
    ClientError::Refused(Refused::from(&status))
}
