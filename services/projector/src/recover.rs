//! Announcing again: after a crash or a failed append, every state change from `announced` on is derived once more from
//! the committed history (promise 5: repeated perhaps, never skipped).

use events::OrderId;
use ports::{NewRecord, Offset, OrderStore, Partition, Progress, StoreError};

use projection::refold;

use crate::announce::Announcer;

/// Why announcements could not be made up for. Trying again is safe.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Append(#[from] ports::AppendError),
}

/// How many orders are looked at in one go.
const PAGE: usize = 500;

/// Sends again all that a partition's rows from `announced` to `next` tell of, and waits for the acknowledgements.
/// Returns how many records that were.
pub(crate) async fn announce_again(
    store: &dyn OrderStore,
    announcer: &mut Announcer,
    progress: Progress,
) -> Result<usize, Error> {
    let Progress { partition, next, announced, .. } = progress;
    let (mut from, mut sent) = (announced, 0);
    while from < next {
        let touched = store.touched_since(partition, from, PAGE).await?;
        let Some((_, last)) = touched.last().copied() else { break };
        for (order, _) in touched {
            let records = changes_since(store, order, partition, from).await?;
            sent += records.len();
            announcer.send(records).await?;
        }
        from = last.next();
    }
    announcer.settle().await?;
    Ok(sent)
}

/// What an order's history tells of from an offset on.
async fn changes_since(
    store: &dyn OrderStore,
    order: OrderId,
    partition: Partition,
    from: Offset,
) -> Result<Vec<NewRecord>, StoreError> {
    let mut records = Vec::new();
    refold(&store.history(order).await?, |refolding| {
        let position = refolding.row.position;
        if position.partition == partition && position.offset >= from {
            records.extend(refolding.announcement());
        }
    })?;
    Ok(records)
}
