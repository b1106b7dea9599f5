//! The operator's HTTP port: `/metrics` (Prometheus), `/healthz` (the process lives), `/readyz` (every role serves).

use std::fmt::Write as _;

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    routing::get,
};
use ports::Health;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::telemetry::Scrape;

/// What Prometheus' text format is called.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Serves until `stop`.
pub(crate) async fn serve(
    listener: TcpListener,
    scrape: Scrape,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let app = Router::new()
        .route(
            "/metrics",
            get(|State(scrape): State<Scrape>| async move {
                ([(CONTENT_TYPE, TEXT_FORMAT)], scrape.render())
            }),
        )
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(|State(scrape): State<Scrape>| async move { ready(&scrape.health) }))
        .with_state(scrape);
    axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned()).await
}

/// One line a role; 503 if any does not serve.
fn ready(health: &Health) -> (StatusCode, String) {
    let mut lines = String::new();
    let mut status = StatusCode::OK;
    for (role, why) in health.roles() {
        // Writing to a String cannot fail.
        _ = match why {
            None => writeln!(lines, "{role}: serving"),
            Some(why) => {
                status = StatusCode::SERVICE_UNAVAILABLE;
                writeln!(lines, "{role}: not serving: {why}")
            }
        };
    }
    (status, lines)
}
