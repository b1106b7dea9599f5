//! Orders read from Postgres over gRPC, and orders placed while others watch.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use events::OrderId;
use proto::v1::{self, order_ledger_client::OrderLedgerClient};
use testkit::sample;
use tokio::task::JoinSet;

use crate::{
    Failure, Row, limits, placed,
    setup::{Projecting, Server, caught_up, pick, rate},
};

/// Different orders that are read.
const ORDERS: usize = 20_000;

/// `GetOrder` of random orders, `callers` under way at any time, beside bare unary calls of the same server.
pub(crate) async fn got(
    server: &Server,
    orders: &Arc<[OrderId]>,
    callers: usize,
    duration: Duration,
) -> Result<Row, Failure> {
    let channels = placed::connect(server).await?;
    let bare = limits::unary_calls(&channels, callers, duration).await?;
    let mut running = JoinSet::new();
    let start = Instant::now();
    for caller in 0..callers {
        let mut client = OrderLedgerClient::new(pick(&channels, caller));
        let orders = Arc::clone(orders);
        running.spawn(async move {
            let mut micros = Vec::new();
            // A stride prime to the number of orders: everyone reads everything, each in another order.
            for id in orders.iter().cycle().skip(caller * 31).step_by(7_919) {
                if start.elapsed() >= duration {
                    break;
                }
                let called = Instant::now();
                let request =
                    v1::GetOrderRequest { order_id: id.to_string(), ..Default::default() };
                client.get_order(request).await?;
                micros.push(u32::try_from(called.elapsed().as_micros()).unwrap_or(u32::MAX));
            }
            Ok::<_, tonic::Status>(micros)
        });
    }
    let mut micros = Vec::new();
    while let Some(ended) = running.join_next().await {
        micros.extend(ended??);
    }
    Ok(Row {
        what: format!("GetOrder, {callers} calls under way"),
        per_second: rate(micros.len(), start.elapsed()),
        latency: placed::Latency::of(micros),
        limit: "unary calls that do nothing".to_owned(),
        limit_per_second: bare,
    })
}

/// Orders placed and folded while `watchers` watch the orders of a customer each, beside the same with no one watching.
pub(crate) async fn watched(
    server: &Server,
    callers: usize,
    watchers: usize,
    duration: Duration,
) -> Result<Row, Failure> {
    let projecting = Projecting::start(&server.installation);
    let (before, _) = placed::place(server, callers, duration).await?;
    caught_up(&server.installation).await?;
    let channels = placed::connect(server).await?;
    let seen = Arc::new(AtomicUsize::new(0));
    let mut watching = JoinSet::new();
    for n in 0..watchers {
        let filter = v1::OrderFilter { customer_email: placed::customer(n), ..Default::default() };
        let request = v1::WatchOrdersRequest {
            filter: Some(filter),
            changes_only: true,
            ..Default::default()
        };
        let mut client = OrderLedgerClient::new(pick(&channels, n));
        let mut changes = client.watch_orders(request).await?.into_inner();
        if changes.message().await?.is_none() {
            return Err("a watch ended before it began".into());
        }
        let seen = Arc::clone(&seen);
        watching.spawn(async move {
            while changes.message().await?.is_some() {
                seen.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<_, tonic::Status>(())
        });
    }
    let (watched, latency) = placed::place(server, callers, duration).await?;
    if let Some(ended) = watching.try_join_next() {
        return Err(format!("a watch ended meanwhile: {:?}", ended?).into());
    }
    let seen = seen.load(Ordering::Relaxed);
    watching.shutdown().await;
    caught_up(&server.installation).await?;
    let (after, _) = placed::place(server, callers, duration).await?;
    projecting.stop().await?;
    Ok(Row {
        what: format!("PlaceOrder and its fold, {watchers} watchers, {seen} changes shown"),
        per_second: watched,
        latency,
        limit: "the same, no one watching, before and after".to_owned(),
        limit_per_second: f64::midpoint(before, after),
    })
}

/// Orders with a whole life, folded.
pub(crate) async fn lives(server: &Server) -> Result<Arc<[OrderId]>, Failure> {
    limits::fill(&server.installation, ORDERS).await?;
    let projecting = Projecting::start(&server.installation);
    caught_up(&server.installation).await?;
    projecting.stop().await?;
    Ok((0..ORDERS).map(|n| sample::order_id(n as u64)).collect())
}
