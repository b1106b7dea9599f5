//! Stored orders that the log does not have: named where a partition's filter tells, counted where it does not.

use std::collections::BTreeMap;

use events::OrderId;
use fastbloom::BloomFilter;
use ports::{
    Offset, OrderStore, Partition, Position, StoreError, StoredSnapshot, partition_for_key,
};

use super::{Difference, difference::nothing, findings::Findings, partition::PAGE};

/// A partition that was verified.
pub(super) struct Verified {
    pub(super) partition: Partition,
    /// Up to where.
    pub(super) next: Offset,
    /// How many orders the log has there, without those that were found missing.
    pub(super) stored: u64,
    /// Has all of the orders, and some others.
    pub(super) seen: BloomFilter,
}

/// What is stored of orders that may be those of the log.
#[derive(Default)]
struct Counted {
    /// As last changed by a record that was verified.
    old: u64,
    /// Changed since, or made since.
    moved: Vec<OrderId>,
}

/// Looks for stored orders that the log does not have. What was folded since is left for the next time.
pub(super) async fn surplus(
    store: &dyn OrderStore,
    partitions: u32,
    verified: &[Verified],
    found: &mut Findings<'_, '_>,
) -> Result<(), StoreError> {
    let of = |partition| verified.iter().find(|verified| verified.partition == partition);
    let mut counted: BTreeMap<Partition, Counted> = BTreeMap::new();
    let mut page = store.scan(None, PAGE).await?;
    while let Some(last) = page.last().map(|snapshot| snapshot.order_id) {
        let mut unknown = Vec::new();
        for snapshot in page {
            let id = snapshot.order_id;
            let home = partition_for_key(id.to_string().as_bytes(), partitions);
            match of(home).filter(|home| home.seen.contains(id.as_uuid().as_bytes())) {
                Some(verified) => {
                    let counted = counted.entry(home).or_default();
                    let Position { partition, offset } = snapshot.position;
                    if partition == home && offset >= verified.next {
                        counted.moved.push(id);
                    } else {
                        counted.old += 1;
                    }
                }
                None => unknown.push(snapshot),
            }
        }
        report(store, unknown, of, found).await?;
        page = store.scan(Some(last), PAGE).await?;
    }
    for verified in verified {
        let counted = counted.remove(&verified.partition).unwrap_or_default();
        count(store, verified, counted, found).await?;
    }
    Ok(())
}

/// Orders that no filter knows: all but those that were made since.
async fn report<'a>(
    store: &dyn OrderStore,
    unknown: Vec<StoredSnapshot>,
    of: impl Fn(Partition) -> Option<&'a Verified>,
    found: &mut Findings<'_, '_>,
) -> Result<(), StoreError> {
    if unknown.is_empty() {
        return Ok(());
    }
    // After the page: whoever stored an order of it had moved on by then.
    let folded = store.progress(&[]).await?;
    for snapshot in unknown {
        let Position { partition, offset } = snapshot.position;
        let is_new = of(partition).is_some_and(|verified| offset >= verified.next)
            && folded.iter().any(|p| p.partition == partition && offset < p.next);
        if !is_new {
            found.differs(Difference {
                order_id: Some(snapshot.order_id),
                position: Some(snapshot.position),
                field: "snapshot",
                stored: "an order".to_owned(),
                expected: nothing(),
            });
        }
    }
    Ok(())
}

/// Orders that the filter takes for known ones are as many as there are known ones.
async fn count(
    store: &dyn OrderStore,
    verified: &Verified,
    counted: Counted,
    found: &mut Findings<'_, '_>,
) -> Result<(), StoreError> {
    let Counted { mut old, moved } = counted;
    let moved_count = u64::try_from(moved.len()).unwrap_or(u64::MAX);
    if old + moved_count <= verified.stored {
        return Ok(());
    }
    // Those that were made since are none of the known ones: the first record that counted tells.
    for order in moved {
        let rows = store.history_page(order, None, PAGE).await?;
        let first = rows.iter().find(|row| row.outcome.is_recorded());
        let is_old = first.is_none_or(|row| row.position.offset < verified.next);
        old += u64::from(is_old);
    }
    if old > verified.stored {
        let partition = verified.partition;
        found.differs(Difference {
            order_id: None,
            position: None,
            field: "snapshot",
            stored: format!("{old} orders of partition {partition}"),
            expected: format!("{} of them", verified.stored),
        });
    }
    Ok(())
}
