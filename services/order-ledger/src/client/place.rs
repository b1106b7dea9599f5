//! The verb that places: one order by one call here, a file of them in `bulk`.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read as _},
    path::Path,
};

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
    let mut text = String::new();
    let read = open(file)?.take(ORDER_BYTES_MAX).read_to_string(&mut text);
    read.map_err(|source| ClientError::Read { path: file.to_owned(), source })?;
    let place = name(file);
    let mut request = parse_line(&text)
        .map_err(|source: OrderFileError| ClientError::NotAnOrder { place, source })?;
    if let Some(request_id) = &args.request_id {
        request.request_id.clone_from(request_id);
    }
    request.actor.clone_from(&args.actor);
    request.wait_for = record::wait_for(args.wait);
    let request = session.within(request);
    let answer = session.client.place_order(request).await.map_err(refused)?.into_inner();
    session.out.show(&answer, |answer| answer.order_id.clone())
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
