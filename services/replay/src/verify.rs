//! Verification: the log, folded again, must say what is stored, and every record of it must be accounted for.
//!
//! One partition after the other, up to the offset that the store says is folded, beside whoever folds on: an order that
//! moved meanwhile is compared once the log is read up to there. Memory is bounded by the orders of one partition, and the
//! ids of all. It shares nothing with the projector but the fold itself, and writes nothing.

mod account;
mod difference;
mod partition;

use std::collections::{BTreeMap, HashSet};

use events::OrderId;
use ports::{
    DeadLetters, EventLog, LogError, Offset, OrderStore, Partition, Position, SearchError,
    SearchIndex, StoreError, Topic,
};
use serde::Serialize;

pub use difference::Difference;

use self::{difference::nothing, partition::PartitionCheck};

/// Something could not be read.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The log.
    #[error("can't read the event log")]
    Log(#[from] LogError),
    /// The store.
    #[error("can't read the state store")]
    Store(#[from] StoreError),
    /// The search index.
    #[error("can't read the search index")]
    Search(#[from] SearchError),
}

/// What is verified.
#[derive(Clone, Copy)]
pub struct Ledger<'a> {
    /// What is true.
    pub log: &'a dyn EventLog,
    /// What was made of it.
    pub store: &'a dyn OrderStore,
    /// What nothing could be made of.
    pub dead_letters: &'a dyn DeadLetters,
    /// What is searched, and how much of it to look at.
    pub search: Option<(&'a dyn SearchIndex, Share)>,
}

/// How many of the orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// Every one.
    All,
    /// The first thousand of each partition, by id, and one in a hundred of the rest.
    Sample,
}

/// What a verification looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Records read, below the folded offsets.
    pub records: u64,
    /// Of these, events that moved an order.
    pub applied: u64,
    /// Events that did not fit.
    pub rejected: u64,
    /// Events that were there before.
    pub duplicates: u64,
    /// Events that wait for a decision on a dead letter of their order.
    pub parked: u64,
    /// Records that are no event of an order that lives there.
    pub dead_letters: u64,
    /// Records above the folded offsets: not projected yet, not looked at.
    pub behind: u64,
    /// Orders that the log has.
    pub orders: u64,
    /// Documents of the search index that were compared.
    pub documents: u64,
    /// How often what is stored differs from what the log says.
    pub differences: u64,
}

/// Is told of each difference as it is found.
pub type Tell<'a> = &'a mut (dyn FnMut(Difference) + Send);

/// Counts and tells of differences.
struct Findings<'a> {
    counted: Verification,
    tell: Tell<'a>,
}

impl Findings<'_> {
    fn differs(&mut self, difference: Difference) {
        self.counted.differences += 1;
        (self.tell)(difference);
    }
}

/// How many rows, snapshots or documents are compared at once.
const PAGE: usize = 1_000;

/// Folds everything below the stored offsets and compares: the row of every record, every snapshot, the documents asked
/// for. A search index that has not caught up shows up as differences: verify it at rest, or again.
///
/// # Errors
/// [`VerifyError`] if something can't be read.
pub async fn verify(ledger: Ledger<'_>, tell: Tell<'_>) -> Result<Verification, VerifyError> {
    let mut found = Findings { counted: Verification::default(), tell };
    let partitions = ledger.log.partitions(Topic::Events).await?;
    // The store first: what it has folded by now is in the log by then.
    let folded = ledger.store.progress(&[]).await?;
    let ends = ledger.log.end_offsets(Topic::Events).await?;
    let mut known = HashSet::new();
    let mut verified = BTreeMap::new();
    for Position { partition, offset: end } in ends {
        let next = folded.iter().find(|progress| progress.partition == partition);
        let next = next.map_or(Offset::START, |progress| progress.next);
        if next > end {
            let (stored, expected) = (next.to_string(), format!("at most {end}"));
            found.differs(Difference::of_progress(partition, stored, expected));
        }
        found.counted.behind += u64::try_from(end.0.saturating_sub(next.0)).unwrap_or(0);
        let mut check = PartitionCheck::new(ledger, partition, partitions);
        check.advance(next.min(end), &mut found).await?;
        check.orders(&mut found).await?;
        check.documents(&mut found).await?;
        check.beyond(&mut found).await?;
        verified.insert(partition, check.next());
        known.extend(check.into_orders());
    }
    surplus(ledger.store, &known, &verified, &mut found).await?;
    Ok(found.counted)
}

/// Looks for stored orders that the log does not have. What was folded since is left for the next time.
async fn surplus(
    store: &dyn OrderStore,
    known: &HashSet<OrderId>,
    verified: &BTreeMap<Partition, Offset>,
    found: &mut Findings<'_>,
) -> Result<(), StoreError> {
    let mut page = store.scan(None, PAGE).await?;
    while let Some(last) = page.last().map(|snapshot| snapshot.order_id) {
        page.retain(|snapshot| !known.contains(&snapshot.order_id));
        if !page.is_empty() {
            // After the page: whoever stored an order of it had moved on by then.
            let folded = store.progress(&[]).await?;
            for snapshot in page {
                let Position { partition, offset } = snapshot.position;
                let is_new = verified.get(&partition).is_some_and(|verified| offset >= *verified)
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
        }
        page = store.scan(Some(last), PAGE).await?;
    }
    Ok(())
}
