//! A file of orders through one stream. Whatever the size of the file, some hundred orders are in memory: those that
//! were sent and not answered yet.

mod report;

use std::{io, path::Path, thread};

use futures::stream;
use proto::v1::{self, place_orders_response::Result as Answer};
use tokio::sync::mpsc;
use tonic::{Request, Status, Streaming};

use self::report::Report;
use crate::{
    cli::PlaceArgs,
    client::{
        ClientError, Session,
        line_reader::{Line, LineReader},
        order_file::OrderFileError,
        parse_line, place, refused,
        refused::Refused,
    },
};

/// How many lines may wait for their answer.
const IN_FLIGHT_MAX: usize = 512;

/// A line of the file, in the file's order.
struct Entry {
    line: u64,
    bytes_read: u64,
    outcome: Outcome,
}

enum Outcome {
    /// Its answer is the next one in the stream.
    Sent,
    Bad(OrderFileError),
    Unreadable(io::Error),
}

pub(crate) async fn run(
    mut session: Session,
    file: &Path,
    args: &PlaceArgs,
) -> Result<(), ClientError> {
    let lines = LineReader::new(place::open(file)?);
    let mut report = Report::new(file, session.out);
    // What was sent is bounded by the entries: the reader gives an entry before its order.
    let (entries_in, mut entries) = mpsc::channel(IN_FLIGHT_MAX);
    let (orders_in, mut orders) = mpsc::channel(1);
    let (prefix, actor) = (args.request_id.clone(), args.actor.clone());
    let read = move || {
        read_all(lines, &entries_in, &orders_in, |line, order| {
            order.actor.clone_from(&actor);
            if let Some(prefix) = &prefix
                && order.request_id.is_empty()
            {
                order.request_id = format!("{prefix}-{line}");
            }
        });
    };
    // A thread of its own, since the runtime would not end before a blocking task that reads an idle pipe. It ends with
    // the file, or when no one takes its orders any more.
    thread::Builder::new()
        .name("reader".to_owned())
        .spawn(read)
        .map_err(|source| ClientError::Read { path: file.to_owned(), source })?;
    let orders = stream::poll_fn(move |context| orders.poll_recv(context));
    let answers = session.client.place_orders(Request::new(orders)).await;
    let mut answers = answers.map_err(refused)?.into_inner();
    while let Some(Entry { line, bytes_read, outcome }) = entries.recv().await {
        report.progress(bytes_read);
        match outcome {
            Outcome::Sent => match next(&mut answers).await {
                Ok(Answer::Placed(placed)) => report.placed(line, &placed)?,
                Ok(Answer::Refused(status)) => report.failed(line, Refused::from(&status))?,
                Err(status) => return report.broken(line, Refused::from(&status)),
            },
            Outcome::Bad(source) => {
                let place = report.place(line);
                let error = ClientError::NotAnOrder { place, source };
                report.failed(line, error.as_refused())?;
            }
            Outcome::Unreadable(source) => {
                report.close()?;
                return Err(ClientError::Read { path: file.to_owned(), source });
            }
        }
    }
    report.end()
}

/// The next answer; that there is none, or an empty one, is the server's fault.
async fn next(answers: &mut Streaming<v1::PlaceOrdersResponse>) -> Result<Answer, Status> {
    let answer = answers.message().await?;
    answer
        .and_then(|answer| answer.result)
        .ok_or_else(|| Status::unavailable("the server ended the stream before its last answer"))
}

/// Gives every line's entry, and before the next one the order that is in it.
fn read_all(
    mut lines: LineReader<impl io::BufRead>,
    entries: &mpsc::Sender<Entry>,
    orders: &mpsc::Sender<v1::PlaceOrderRequest>,
    complete: impl Fn(u64, &mut v1::PlaceOrderRequest),
) {
    loop {
        let Line { number: line, bytes_read, text } = match lines.next() {
            Ok(Some(line)) => line,
            Ok(None) => return,
            Err(error) => {
                let outcome = Outcome::Unreadable(error);
                // If no one listens any more, the failure that ended it was told.
                _ = entries.blocking_send(Entry { line: 0, bytes_read: 0, outcome });
                return;
            }
        };
        let (outcome, order) = match text.and_then(|text| parse_line(&text)) {
            Ok(mut order) => {
                complete(line, &mut order);
                (Outcome::Sent, Some(order))
            }
            Err(error) => (Outcome::Bad(error), None),
        };
        if entries.blocking_send(Entry { line, bytes_read, outcome }).is_err()
            || order.is_some_and(|order| orders.blocking_send(order).is_err())
        {
            return;
        }
    }
}
