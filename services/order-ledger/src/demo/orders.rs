//! The sample orders: from a file to the server.

use std::{fs, path::Path};

use events::OrderId;
use futures::{FutureExt as _, future::BoxFuture};
use proto::v1;

use crate::{
    Failure,
    client::{self, parse_line},
    demo::GLANCE,
};

const BUILT_IN: &str = include_str!("../../sample/orders.jsonl");

/// Orders labelled so are called off right after they are placed.
const CANCEL: (&str, &str) = ("demo", "cancel");

/// An order to place.
pub(crate) struct Sample {
    request: v1::PlaceOrderRequest,
    cancel: bool,
}

/// Reads the orders of a file, or those that came with the binary.
pub(crate) fn read(file: Option<&Path>) -> Result<Vec<Sample>, Failure> {
    let (name, text) = match file {
        None => ("the built-in orders".to_owned(), BUILT_IN.to_owned()),
        Some(path) => {
            let text = fs::read_to_string(path);
            let name = path.display().to_string();
            (name.clone(), text.map_err(|error| format!("can't read {name}: {error}"))?)
        }
    };
    let mut samples = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let request =
            parse_line(line).map_err(|error| format!("{name}, line {}: {error}", index + 1))?;
        let labels = request.details.as_ref().map(|details| &details.labels);
        let cancel = labels.is_some_and(|l| l.get(CANCEL.0).is_some_and(|v| v == CANCEL.1));
        samples.push(Sample { request, cancel });
    }
    if samples.is_empty() {
        return Err(format!("{name}: no orders").into());
    }
    Ok(samples)
}

/// Places each order, calls off those that ask for it, and gives the ids that the server acknowledged.
pub(crate) fn place(
    server: &str,
    samples: Vec<Sample>,
) -> BoxFuture<'static, Result<Vec<OrderId>, Failure>> {
    let server = server.to_owned();
    async move {
        let mut client = client::connect(&server, std::time::Duration::from_secs(10)).await?;
        let mut placed = Vec::new();
        for sample in samples {
            let response = client.place_order(sample.request).await.map_err(client::refused)?;
            let order_id = response.into_inner().order_id;
            placed.push(order_id.parse().map_err(|_| "the server gave no order id")?);
            if sample.cancel {
                let reason = "changed my mind".to_owned();
                let cancel = v1::CancelOrderRequest { order_id, reason, ..Default::default() };
                client.cancel_order(cancel).await.map_err(client::refused)?;
            }
            // A trickle, so that there is something to watch.
            tokio::time::sleep(GLANCE / 4).await;
        }
        Ok(placed)
    }
    .boxed()
}
