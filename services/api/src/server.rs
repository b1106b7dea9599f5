//! The server: which services listen, within which bounds, and how they end.

use std::{sync::Arc, time::Duration};

use proto::{
    seed::order_service_server::OrderServiceServer, v1::order_ledger_server::OrderLedgerServer,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::{
    Server,
    server::{Router, TcpIncoming},
};
use tonic_health::server::{HealthReporter, HealthService};
use tonic_reflection::server::Builder as Reflection;

use crate::{
    Error, Parts, Settings,
    health::Watch,
    seed::SeedService,
    service::{Edge, LedgerService},
};

/// Unread bytes that one stream, and one connection, may have in this process.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;
/// A connection that says nothing for this long is asked whether it lives, and closed if it does not answer.
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_ANSWER: Duration = Duration::from_secs(10);

/// Serves on `listener` until `stop`, then answers what is under way and waits for the log.
///
/// # Errors
/// [`Error`] if it can't serve at all. Servers that are away never end it: calls are answered `UNAVAILABLE` meanwhile.
pub async fn run(
    parts: Parts,
    settings: Settings,
    listener: TcpListener,
    stop: CancellationToken,
) -> Result<(), Error> {
    let statuses = HealthReporter::new();
    let watch = Watch::start(&parts, statuses.clone(), settings.check_every).await;
    // Cancelled after health says that nothing is served: those who look there go elsewhere first.
    let closing = CancellationToken::new();
    let edge = Arc::new(Edge::new(&parts, &settings, watch.log_is_away(), closing.clone()));
    let watches = Arc::clone(&edge.watches);
    let router = router(edge, HealthService::from_health_reporter(statuses), &settings)?;
    let incoming =
        TcpIncoming::from(listener).with_nodelay(Some(true)).with_keepalive(Some(KEEPALIVE));
    let serve = router.serve_with_incoming_shutdown(incoming, closing.cancelled());

    let watching = async {
        watch.run(&stop).await;
        closing.cancel();
        watch.close().await;
        tokio::time::sleep(settings.drain_max).await;
    };
    tokio::select! {
        biased;
        served = serve => served?,
        () = watches.follow() => {}
        () = watching => {
            tracing::warn!(waited = ?settings.drain_max, "calls are still open; no longer waiting for them");
        }
    }
    parts.log.flush().await;
    Ok(())
}

fn router(edge: Arc<Edge>, health: HealthService, settings: &Settings) -> Result<Router, Error> {
    let reflection = || {
        Reflection::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let bytes_max = settings.request_bytes_max;
    let ledger = OrderLedgerServer::new(LedgerService(Arc::clone(&edge)));
    let seed = OrderServiceServer::new(SeedService(edge));
    Ok(Server::builder()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(settings.calls_per_connection_max)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE_ANSWER))
        .add_service(ledger.max_decoding_message_size(bytes_max))
        .add_service(seed.max_decoding_message_size(bytes_max))
        .add_service(tonic_health::pb::health_server::HealthServer::new(health))
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?))
}
