//! The operator's HTTP port: `/metrics` (Prometheus), `/healthz` (the process lives), `/readyz` (every role serves).

use std::fmt::Write as _;

use axum::{Router, extract::State, http::StatusCode, routing::get};
use metrics_exporter_prometheus::PrometheusHandle;
use ports::Health;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[derive(Clone)]
struct Shared {
    health: Health,
    metrics: PrometheusHandle,
}

/// Serves until `stop`.
pub(crate) async fn serve(
    listener: TcpListener,
    health: Health,
    metrics: PrometheusHandle,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let app = Router::new()
        .route(
            "/metrics",
            get(|State(shared): State<Shared>| async move { shared.metrics.render() }),
        )
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(|State(shared): State<Shared>| async move { ready(&shared.health) }))
        .with_state(Shared { health, metrics });
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
