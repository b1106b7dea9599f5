//! Orders placed over gRPC, acknowledged by Kafka.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, stream};
use proto::v1::{self, order_ledger_client::OrderLedgerClient};
use tokio::task::JoinSet;
use tonic::transport::Channel;

use crate::{
    Failure, Row, limits,
    setup::{Server, pick, rate},
};

/// Customers that place orders.
const CUSTOMERS: usize = 1_000;
/// Connections that unary callers share.
const CONNECTIONS: usize = 4;

/// How long calls took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Latency {
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

impl Latency {
    /// Of these durations, in microseconds.
    pub(crate) fn of(mut micros: Vec<u32>) -> Option<Self> {
        micros.sort_unstable();
        let at = |percent: usize| {
            let index = (micros.len() * percent / 100).min(micros.len().checked_sub(1)?);
            micros.get(index).map(|micros| f64::from(*micros) / 1_000.0)
        };
        Some(Self { p50_ms: at(50)?, p99_ms: at(99)? })
    }
}

/// Unary calls, `callers` under way at any time, beside bare unary calls of the same server.
pub(crate) async fn unary(
    server: &Server,
    callers: usize,
    duration: Duration,
) -> Result<Row, Failure> {
    let bare = limits::unary_calls(&connect(server).await?, callers, duration).await?;
    let (per_second, latency) = place(server, callers, duration).await?;
    Ok(Row {
        what: format!("PlaceOrder, {callers} calls under way"),
        per_second,
        latency,
        limit: "unary calls that do nothing".to_owned(),
        limit_per_second: bare,
    })
}

/// Orders a second, placed by unary calls, and how long the calls took.
pub(crate) async fn place(
    server: &Server,
    callers: usize,
    duration: Duration,
) -> Result<(f64, Option<Latency>), Failure> {
    let channels = connect(server).await?;
    let mut running = JoinSet::new();
    let start = Instant::now();
    for caller in 0..callers {
        let mut client = OrderLedgerClient::new(pick(&channels, caller));
        running.spawn(async move {
            let mut micros = Vec::new();
            while start.elapsed() < duration {
                let called = Instant::now();
                client.place_order(order(caller + micros.len())).await?;
                micros.push(u32::try_from(called.elapsed().as_micros()).unwrap_or(u32::MAX));
            }
            Ok::<_, tonic::Status>(micros)
        });
    }
    let mut micros = Vec::new();
    while let Some(ended) = running.join_next().await {
        micros.extend(ended??);
    }
    Ok((rate(micros.len(), start.elapsed()), Latency::of(micros)))
}

/// Calls at a steady pace, each timed from when it was due, so that one that is late does not hide those after it.
pub(crate) async fn paced(
    server: &Server,
    per_second: u32,
    duration: Duration,
) -> Result<Latency, Failure> {
    let channels = connect(server).await?;
    let start = tokio::time::Instant::now();
    let mut running = JoinSet::new();
    let calls = duration.as_secs() * u64::from(per_second);
    for (number, call) in (0..calls).enumerate() {
        let due = start + Duration::from_secs(1) * u32::try_from(call)? / per_second;
        let mut client = OrderLedgerClient::new(pick(&channels, number));
        tokio::time::sleep_until(due).await;
        running.spawn(async move {
            client.place_order(order(number)).await?;
            Ok::<_, tonic::Status>(u32::try_from(due.elapsed().as_micros()).unwrap_or(u32::MAX))
        });
    }
    let mut micros = Vec::new();
    while let Some(ended) = running.join_next().await {
        micros.push(ended??);
    }
    Latency::of(micros).ok_or_else(|| "no call was made".into())
}

/// Bulk streams, beside bare production of the same records.
pub(crate) async fn streamed(
    server: &Server,
    streams: usize,
    duration: Duration,
) -> Result<Row, Failure> {
    let bare = limits::produced(&server.installation, duration).await?;
    let channels = connect(server).await?;
    let mut running = JoinSet::new();
    let start = Instant::now();
    for number in 0..streams {
        let mut client = OrderLedgerClient::new(pick(&channels, number));
        running.spawn(async move {
            let orders = stream::iter(number..)
                .map(order)
                .take_while(move |_| futures::future::ready(start.elapsed() < duration));
            let mut results = client.place_orders(orders).await?.into_inner();
            let mut placed = 0_usize;
            while let Some(result) = results.next().await {
                match result?.result {
                    Some(v1::place_orders_response::Result::Placed(_)) => placed += 1,
                    other => return Err(tonic::Status::internal(format!("not placed: {other:?}"))),
                }
            }
            Ok(placed)
        });
    }
    let mut placed = 0;
    while let Some(ended) = running.join_next().await {
        placed += ended??;
    }
    Ok(Row {
        what: format!("PlaceOrders, {streams} streams"),
        per_second: rate(placed, start.elapsed()),
        latency: None,
        limit: "the same records, produced".to_owned(),
        limit_per_second: bare,
    })
}

pub(crate) async fn connect(server: &Server) -> Result<Vec<Channel>, Failure> {
    let mut channels = Vec::new();
    for _ in 0..CONNECTIONS {
        channels.push(Channel::from_shared(server.address.clone())?.connect().await?);
    }
    Ok(channels)
}

/// Whose the orders are, in turn.
pub(crate) fn customer(number: usize) -> String {
    format!("customer-{}@example.com", number % CUSTOMERS)
}

/// An ordinary order: two lines, about 300 bytes.
fn order(number: usize) -> v1::PlaceOrderRequest {
    let line = |sku: &str, quantity, unit_price_minor| v1::OrderLine {
        sku: sku.to_owned(),
        name: format!("Article {sku}"),
        quantity,
        unit_price_minor,
    };
    v1::PlaceOrderRequest {
        request_id: String::new(),
        details: Some(v1::OrderDetails {
            currency_code: "CLP".to_owned(),
            lines: vec![line("MUG-1", 2, 15_990), line("TEA-7", 1, 3_990)],
            customer: Some(v1::Customer {
                email: customer(number),
                name: "Ana Pérez".to_owned(),
                locale: "es-CL".to_owned(),
            }),
            shipping_address: "Av. Siempreviva 742, Santiago".to_owned(),
            region: "Metropolitana".to_owned(),
            payment: Some(v1::Payment {
                gateway: "Webpay".to_owned(),
                card_brand: "Visa".to_owned(),
                bank: "Banco de Chile".to_owned(),
            }),
            labels: BTreeMap::new(),
        }),
        ..Default::default()
    }
}
