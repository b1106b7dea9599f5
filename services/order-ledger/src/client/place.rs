//! The verb that places: one order by one call here, a file of them in `bulk`.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read as _},
    path::Path,
};

use proto::v1;

use crate::{
    cli::PlaceArgs,
    client::{ClientError, Session, bulk, order_file::OrderFileError, parse_line, record, refused},
};

/// The most that is read of a file that should be one order.
const ORDER_BYTES_MAX: u64 = 8 << 20;

pub(crate) async fn run(mut session: Session, args: PlaceArgs) -> Result<(), ClientError> {
    match (&args.source.file, &args.source.order) {
        (Some(file), _) => bulk::run(session, file, &args).await,
        (None, Some(file)) => one(&mut session, file, &args).await,
        // Clap asks for one of them.
        (None, None) => Ok(()),
    }
}

async fn one(session: &mut Session, file: &Path, args: &PlaceArgs) -> Result<(), ClientError> {
    let mut bytes = Vec::new();
    let read = open(file)?.take(ORDER_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|source| ClientError::Read { path: file.to_owned(), source })?;
    let mut request =
        parse(bytes).map_err(|source| ClientError::NotAnOrder { place: name(file), source })?;
    if let Some(request_id) = &args.request_id {
        request.request_id.clone_from(request_id);
    }
    request.actor.clone_from(&args.actor);
    request.wait_for = record::wait_for(args.wait);
    let request = session.within(request);
    let answer = session.client.place_order(request).await.map_err(refused)?.into_inner();
    session.out.show(&answer, |answer| answer.order_id.clone())
}

fn parse(bytes: Vec<u8>) -> Result<v1::PlaceOrderRequest, OrderFileError> {
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= ORDER_BYTES_MAX) {
        let text = String::from_utf8(bytes);
        return parse_line(&text.map_err(|_| OrderFileError::whole("is not UTF-8".to_owned()))?);
    }
    Err(OrderFileError::whole(format!("is longer than {ORDER_BYTES_MAX} bytes")))
}

/// Opens a file; `-` is standard input.
pub(crate) fn open(file: &Path) -> Result<Box<dyn BufRead + Send>, ClientError> {
    if file == Path::new("-") {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let opened = File::open(file);
    let opened = opened.map_err(|source| ClientError::Read { path: file.to_owned(), source })?;
    Ok(Box::new(BufReader::new(opened)))
}

/// What messages call a file.
pub(crate) fn name(file: &Path) -> String {
    if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() }
}
