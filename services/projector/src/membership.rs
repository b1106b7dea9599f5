//! Memberships of the projector group, one after the other: whoever turns out to know what is not stored any more joins
//! anew, and loads everything anew.

use std::sync::Arc;

use async_trait::async_trait;
use ports::{
    Backoff, CommitError, Group, GroupOffsets, OrderStore, Partition, Position, Progress,
    StartOffsets, Topic,
};
use tokio_util::sync::CancellationToken;

use crate::{
    Error, Parts,
    patience::Patience,
    worker::{End, Worker},
};

/// Works until `stop`; joins the group anew whenever another projector turned out to own a partition, or a decision or a
/// cut has changed what was loaded.
pub(crate) async fn run(parts: Parts, stop: CancellationToken) -> Result<(), Error> {
    // There from the start: an alert must see the first one rise from 0.
    metrics::counter!("order_ledger_anomalies_total").increment(0);
    let patience = Patience { health: parts.health.clone(), stop: stop.clone() };
    let mut refused = Backoff::default();
    while !stop.is_cancelled() {
        let partitions = patience
            .until_fit("ask the log for its partitions", || parts.log.partitions(Topic::Events));
        let Some(partitions) = partitions.await? else { break };
        // The place is asked for until it is known; whoever asks gives up by dropping the question.
        let patient = Patience { stop: CancellationToken::new(), ..patience.clone() };
        let start = StartOffsets::External(Arc::new(StoredOffsets {
            store: Arc::clone(&parts.store),
            patience: patient,
        }));
        let subscription = patience.until_fit("join the group", || {
            parts.log.subscribe(Topic::Events, Group::Projector, start.clone())
        });
        let Some(mut subscription) = subscription.await? else { break };
        if refused.failures() < 2 {
            parts.health.up();
        }
        let mut worker = Worker::new(parts.clone(), patience.clone(), partitions);
        let End::Fenced(why) = worker.work(subscription.as_mut()).await? else { continue };
        drop(subscription);
        metrics::counter!("order_ledger_projector_fenced_total").increment(1);
        if worker.has_committed {
            refused = Backoff::default();
        }
        join_anew(&patience, &why, &mut refused).await;
    }
    Ok(())
}

/// At once, if another has won a race: then the line has moved. What the store refuses although nobody was in between may be
/// right when it is made anew; if it is not, a person must look, and it is tried again and again.
async fn join_anew(patience: &Patience, why: &CommitError, refused: &mut Backoff) {
    tracing::warn!(%why, "joining the group anew");
    if matches!(why, CommitError::Fenced { .. }) {
        *refused = Backoff::default();
        return;
    }
    let delay = refused.next_delay(u64::from(std::process::id()));
    if refused.failures() > 1 {
        patience.failed("commit what was folded anew", why, delay);
        tokio::select! {
            () = patience.stop.cancelled() => {}
            () = tokio::time::sleep(delay) => {}
        }
    }
}

/// The projector's place is kept in the store, with the snapshots.
struct StoredOffsets {
    store: Arc<dyn OrderStore>,
    patience: Patience,
}

#[async_trait]
impl GroupOffsets for StoredOffsets {
    async fn next_offsets(&self, partitions: &[Partition]) -> Vec<Position> {
        let progress =
            self.patience.until_ok("load progress", || self.store.progress(partitions)).await;
        let next = |p: Progress| Position { partition: p.partition, offset: p.next };
        progress.unwrap_or_default().into_iter().map(next).collect()
    }
}
