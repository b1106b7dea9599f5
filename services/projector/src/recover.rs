//! Announcing again: after a crash or a failed append, every state change from `announced` on is derived once more from
//! the committed history (promise 5: repeated perhaps, never skipped).
//!
//! Each announcement has a whole order in it, so it is handed over before the next one is made.

use std::ops::Range;

use events::OrderId;
use ports::{Offset, OrderStore, Partition, Position, Progress, StoreError};

use projection::Refolder;

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

/// Rows of a history that are read at once: more than nearly every order has, and few enough where each has as many bytes as an
/// event may have.
const ROWS: usize = 64;

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
        // Orders come by their first row: what is below that of the last one is all there. Each row is told once, though its
        // order may come again with a later one.
        let last = touched.last().filter(|_| touched.len() >= PAGE);
        let until = last.map_or(Offset(i64::MAX), |(_, offset)| offset.next());
        for (order, _) in touched {
            sent += announce_order(store, announcer, order, partition, from..until).await?;
        }
        from = until;
    }
    announcer.settle().await?;
    Ok(sent)
}

/// Sends what an order's history tells of these records of its partition. Returns how many records that were.
async fn announce_order(
    store: &dyn OrderStore,
    announcer: &mut Announcer,
    order: OrderId,
    partition: Partition,
    offsets: Range<Offset>,
) -> Result<usize, Error> {
    let (mut refolder, mut after, mut sent) = (Refolder::default(), None, 0);
    loop {
        let rows = store.history_page(order, after, ROWS).await?;
        for row in &rows {
            let mut record = None;
            refolder.row(row, |refolding| {
                let position = refolding.row.position;
                if position.partition == partition && offsets.contains(&position.offset) {
                    record = refolding.announcement();
                }
            })?;
            sent += usize::from(record.is_some());
            announcer.send(record).await?;
        }
        match rows.last().map(|row| &row.position) {
            Some(Position { offset, .. }) if rows.len() >= ROWS && *offset < offsets.end => {
                after = Some(*offset);
            }
            Some(_) | None => return Ok(sent),
        }
    }
}
