//! Events folded from Kafka into Postgres.

use std::{sync::Arc, time::Instant};

use ports::{EventLog as _, Health, OrderStore as _, Topic};
use tokio_util::sync::CancellationToken;

use crate::{
    Failure, Row, limits,
    setup::{Installation, clock, rate},
};

/// Folds the lives of that many orders, state changes announced, beside bare upserts of as many rows.
pub(crate) async fn folded(orders: usize) -> Result<Row, Failure> {
    let bare = limits::upserted(orders).await?;
    let installation = Installation::new().await?;
    limits::fill(&installation, orders).await?;
    let ends = installation.log.end_offsets(Topic::Events).await?;
    let (log, store) = (Arc::clone(&installation.log), Arc::clone(&installation.store));
    let parts = projector::Parts {
        log,
        store,
        clock: clock(),
        health: Health::default().reporter("projector"),
    };
    let stop = CancellationToken::new();
    let start = Instant::now();
    let running = tokio::spawn(projector::run(parts, projector::Settings::default(), stop.clone()));
    let folded = async {
        loop {
            let progress = installation.store.progress(&[]).await?;
            let done = ends.iter().all(|end| {
                progress.iter().any(|at| at.partition == end.partition && at.next >= end.offset)
            });
            if done {
                return Ok::<_, ports::StoreError>(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    folded.await?;
    let elapsed = start.elapsed();
    stop.cancel();
    running.await??;
    installation.remove().await?;
    Ok(Row {
        what: format!("{} events folded into Postgres", orders * 5),
        per_second: rate(orders * 5, elapsed),
        latency: None,
        limit: "the same rows, upserted by UNNEST",
        limit_per_second: bare,
    })
}
