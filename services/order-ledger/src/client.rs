//! `order-ledger order …`: the same API as everyone else's, from the command line.

mod order_file;

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Write as _},
    path::Path,
    process::ExitCode,
    time::Duration,
};

use proto::v1::{self, order_ledger_client::OrderLedgerClient};
use tonic::{Status, transport::Channel};
use tonic_types::StatusExt as _;

pub(crate) use order_file::parse_line;

use crate::{
    Failure,
    cli::{ClientArgs, OrderVerb},
    table,
};

/// The server refused or did not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error("can't reach {server}; is `order-ledger serve` running there?")]
    Connect {
        server: String,
        #[source]
        source: tonic::transport::Error,
    },
    #[error("{0}")]
    Refused(String),
}

/// Connects.
pub(crate) async fn connect(
    server: &str,
    timeout: Duration,
) -> Result<OrderLedgerClient<Channel>, ClientError> {
    let failed = |source| ClientError::Connect { server: server.to_owned(), source };
    let endpoint = Channel::from_shared(server.to_owned()).map_err(|_| {
        ClientError::Refused(format!("--server is {server:?}; allowed: http://HOST:PORT"))
    })?;
    let channel =
        endpoint.connect_timeout(timeout).timeout(timeout).connect().await.map_err(failed)?;
    Ok(OrderLedgerClient::new(channel))
}

/// Runs one verb.
pub(crate) async fn run(args: &ClientArgs, verb: OrderVerb) -> Result<ExitCode, Failure> {
    let mut client = connect(&args.server, Duration::from_secs(args.timeout)).await?;
    let request_id = String::new();
    let recorded = match verb {
        OrderVerb::Place { file } => return place(&mut client, &file).await,
        OrderVerb::Get { order_id } => {
            let response =
                client.get_order(v1::GetOrderRequest { order_id, ..Default::default() }).await;
            let order = response.map_err(refused)?.into_inner().order.unwrap_or_default();
            writeln!(io::stdout(), "{}", table::order(&order))?;
            return Ok(ExitCode::SUCCESS);
        }
        OrderVerb::Pay { order_id, reference } => {
            let amount = None;
            let request = v1::RecordPaymentCapturedRequest {
                order_id,
                request_id,
                amount,
                reference,
                ..Default::default()
            };
            client.record_payment_captured(request).await
        }
        OrderVerb::Prepare { order_id } => {
            let request =
                v1::RecordPreparationStartedRequest { order_id, request_id, ..Default::default() };
            client.record_preparation_started(request).await
        }
        OrderVerb::Ship { order_id, carrier, tracking_number } => {
            let parcel = Some(v1::Parcel { carrier, tracking_number });
            client
                .record_shipped(v1::RecordShippedRequest {
                    order_id,
                    request_id,
                    parcel,
                    ..Default::default()
                })
                .await
        }
        OrderVerb::Deliver { order_id } => {
            client
                .record_delivered(v1::RecordDeliveredRequest {
                    order_id,
                    request_id,
                    ..Default::default()
                })
                .await
        }
        OrderVerb::Complete { order_id } => {
            client
                .record_completed(v1::RecordCompletedRequest {
                    order_id,
                    request_id,
                    ..Default::default()
                })
                .await
        }
        OrderVerb::Cancel { order_id, reason } => {
            client
                .cancel_order(v1::CancelOrderRequest {
                    order_id,
                    request_id,
                    reason,
                    ..Default::default()
                })
                .await
        }
    };
    let recorded = recorded.map_err(refused)?.into_inner();
    writeln!(io::stdout(), "recorded as event {}", recorded.event_id)?;
    Ok(ExitCode::SUCCESS)
}

/// Places every order of a file; a bad line is told with its number and does not stop the others.
async fn place(client: &mut OrderLedgerClient<Channel>, file: &Path) -> Result<ExitCode, Failure> {
    let lines: Box<dyn BufRead> = if file == Path::new("-") {
        Box::new(BufReader::new(io::stdin()))
    } else {
        let opened = File::open(file);
        Box::new(BufReader::new(opened.map_err(|e| format!("{}: {e}", file.display()))?))
    };
    let mut code = ExitCode::SUCCESS;
    for (index, line) in lines.lines().enumerate() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let placed = match parse_line(&line) {
            Ok(request) => client.place_order(request).await.map_err(|s| refused(s).to_string()),
            Err(error) => Err(error.to_string()),
        };
        match placed {
            Ok(placed) => writeln!(io::stdout(), "{}", placed.into_inner().order_id)?,
            Err(error) => {
                code = ExitCode::FAILURE;
                writeln!(io::stderr(), "{}:{}: {error}", file.display(), index + 1)?;
            }
        }
    }
    Ok(code)
}

/// A status as a line for people: what, and each bad field.
pub(crate) fn refused(status: Status) -> ClientError {
    let mut line = format!("{:?}: {}", status.code(), status.message());
    let details = status.get_error_details();
    if let Some(bad) = details.bad_request() {
        let fields: Vec<_> = bad
            .field_violations
            .iter()
            .map(|violation| format!("{} {}", violation.field, violation.description))
            .collect();
        line = format!("{:?}: {}", status.code(), fields.join("; "));
    }
    if let Some(info) = details.error_info()
        && let Some(allowed) = info.metadata.get("allowed_events")
    {
        line = format!("{line}; possible now: {allowed}");
    }
    ClientError::Refused(line)
}
