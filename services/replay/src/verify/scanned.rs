//! Transitions that no recorded event has left: the whole stream is gone through, which only a comparison of all is worth.

use std::collections::{BTreeMap, BTreeSet};

use events::OrderId;
use ports::{HistoryRow, OrderStore, StoreError, TransitionKey};

use super::{
    Ledger, Share, VerifyError,
    difference::{Difference, nothing},
    findings::Findings,
    partition::PAGE,
    refold::ROWS,
};

/// Versions that are in the stream and that no one has accounted for yet, by order.
type Versions = BTreeMap<OrderId, BTreeSet<u64>>;

/// Names every document whose id is that of no transition, and every transition that its order never made.
pub(super) async fn surplus(
    ledger: Ledger<'_>,
    found: &mut Findings<'_, '_>,
) -> Result<(), VerifyError> {
    let Some((stream, Share::All)) = ledger.transitions else { return Ok(()) };
    let mut scan = stream.scan().await?;
    loop {
        let ids = scan.next().await?;
        if ids.is_empty() {
            return Ok(());
        }
        for page in ids.chunks(PAGE) {
            let mut versions = Versions::new();
            for id in page {
                match TransitionKey::of_id(id) {
                    Some(key) => {
                        versions.entry(key.order_id).or_default().insert(key.version);
                    }
                    None => differs(None, format!("a document {id:?}"), found),
                }
            }
            // After the page: what is told of an order was stored before.
            by_snapshots(ledger.store, &mut versions).await?;
            by_histories(ledger.store, &mut versions).await?;
            for (order, versions) in versions {
                for version in versions {
                    differs(Some(order), format!("version {version}"), found);
                }
            }
        }
    }
}

fn differs(order_id: Option<OrderId>, stored: String, found: &mut Findings<'_, '_>) {
    let (position, field, expected) = (None, "transition", nothing());
    found.differs(Difference { order_id, position, field, stored, expected });
}

/// Takes out the versions up to those of the snapshots, which were compared with the log.
async fn by_snapshots(store: &dyn OrderStore, versions: &mut Versions) -> Result<(), StoreError> {
    let orders: Vec<_> = versions.keys().copied().collect();
    for stored in store.load(&orders).await? {
        // One that can't be read was named.
        let Ok(order) = codec::decode_snapshot(&stored.bytes) else { continue };
        if let Some(versions) = versions.get_mut(&stored.order_id) {
            versions.retain(|version| *version == 0 || *version > order.version.get());
        }
    }
    versions.retain(|_, versions| !versions.is_empty());
    Ok(())
}

/// Takes out those of which there is a row: where the snapshot is wrong, the transition need not be.
async fn by_histories(store: &dyn OrderStore, versions: &mut Versions) -> Result<(), StoreError> {
    let orders: Vec<_> = versions.keys().copied().collect();
    let mut histories: BTreeMap<OrderId, Vec<HistoryRow>> = BTreeMap::new();
    for row in store.histories(&orders, ROWS).await? {
        histories.entry(row.order_id).or_default().push(row);
    }
    for (order, mut rows) in histories {
        let Some(left) = versions.get_mut(&order) else { continue };
        let mut limit = ROWS;
        loop {
            for version in rows.iter().filter_map(HistoryRow::recorded_version) {
                left.remove(&version.get());
            }
            let after = rows.last().map(|row| row.position.offset);
            if rows.len() < limit || left.is_empty() {
                break;
            }
            limit = PAGE;
            rows = store.history_page(order, after, limit).await?;
        }
    }
    versions.retain(|_, versions| !versions.is_empty());
    Ok(())
}
