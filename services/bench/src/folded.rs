//! Events folded from Kafka into Postgres.

use std::time::Instant;

use crate::{
    Failure, Row, limits,
    setup::{Installation, Projecting, caught_up, rate},
};

/// Folds the lives of that many orders, state changes announced, beside bare upserts of as many rows.
pub(crate) async fn folded(orders: usize) -> Result<Row, Failure> {
    let bare = limits::upserted(orders).await?;
    let installation = Installation::new().await?;
    limits::fill(&installation, orders).await?;
    let start = Instant::now();
    let projecting = Projecting::start(&installation);
    caught_up(&installation).await?;
    let elapsed = start.elapsed();
    projecting.stop().await?;
    installation.remove().await?;
    Ok(Row {
        what: format!("{} events folded into Postgres", orders * 5),
        per_second: rate(orders * 5, elapsed),
        latency: None,
        limit: "the same rows, upserted by UNNEST".to_owned(),
        limit_per_second: bare,
    })
}
