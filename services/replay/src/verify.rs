//! Verification: the log, folded again, must say what is stored, and every record of it must be accounted for.
//!
//! Two partitions at a time, each up to the offset that the store says is folded, beside whoever folds on: an order that
//! moved meanwhile is compared once the log is read up to there. Memory is bounded by the orders that are open, and some
//! bits for each of the others. It shares nothing with the projector but the fold itself, and writes nothing.

mod account;
mod chain;
mod difference;
mod documents;
mod expect;
mod findings;
mod finish;
mod held;
mod partition;
mod reach;
mod refold;
mod scanned;
mod surplus;
mod transitions;

use std::{collections::BTreeMap, sync::Mutex};

use ports::{
    DeadLetters, EventLog, KeptTransitions, LogError, Offset, OrderStore, Position, Progress,
    SearchError, SearchIndex, StoreError, Topic,
};
use serde::Serialize;

pub use difference::Difference;

use self::{
    findings::{Findings, Shared},
    partition::PartitionCheck,
    surplus::Verified,
};

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
    /// A part of it ended without a word.
    #[error("records' digests were not computed: {0}")]
    Task(#[from] tokio::task::JoinError),
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
    /// What each change has left, and how much of it to look at.
    pub transitions: Option<(&'a dyn KeptTransitions, Share)>,
}

/// How many of the orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// Every one.
    All,
    /// The first thousand of each partition's log, and one in a hundred of the rest.
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
    /// Transitions that were compared, or found missing.
    pub transitions: u64,
    /// Transitions of events that the role `search` has not come to: not looked at.
    pub transitions_behind: u64,
    /// Transitions that are not there, of events from before the time since which their stream must be whole.
    pub transitions_before: u64,
    /// How often what is stored differs from what the log says.
    pub differences: u64,
}

impl Verification {
    /// Adds what was found elsewhere.
    const fn add(&mut self, other: &Self) {
        let Self { records, applied, rejected, duplicates, parked, .. } = other;
        let Self { dead_letters, behind, orders, documents, differences, .. } = other;
        let Self { transitions, transitions_behind, transitions_before, .. } = other;
        self.records += *records;
        self.applied += *applied;
        self.rejected += *rejected;
        self.duplicates += *duplicates;
        self.parked += *parked;
        self.dead_letters += *dead_letters;
        self.behind += *behind;
        self.orders += *orders;
        self.documents += *documents;
        self.transitions += *transitions;
        self.transitions_behind += *transitions_behind;
        self.transitions_before += *transitions_before;
        self.differences += *differences;
    }
}

/// Is told of each difference as it is found: those of a partition in the same order each time.
pub type Tell<'a> = &'a mut (dyn FnMut(Difference) + Send);

/// How far a verification is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compared {
    /// Records compared so far.
    pub records: u64,
    /// About how many there are to compare.
    pub of: u64,
    /// Orders in memory now.
    pub held: usize,
}

/// How a verification goes about it.
#[derive(Clone, Copy)]
pub struct VerifySettings<'a> {
    /// Orders of one partition held at once, beside those of the records that are compared at once. Some two thousand
    /// bytes each, of two partitions at a time.
    pub held_max: usize,
    /// Records that are compared at once. Each is there three times for a moment: as logged, as stored, and decoded.
    pub page: usize,
    /// The most bits of a partition's filter, by which orders are told apart that are there from those that are not.
    pub filter_bits_max: usize,
    /// Is told how far it is, some thousand records apart.
    pub progress: Option<&'a (dyn Fn(Compared) + Send + Sync)>,
}

impl Default for VerifySettings<'_> {
    fn default() -> Self {
        let (held_max, page, filter_bits_max) = (20_000, 2_048, 8 * 16 * 1_024 * 1_024);
        Self { held_max, page, filter_bits_max, progress: None }
    }
}

use VerifySettings as Settings;

/// Folds everything below the stored offsets and compares: the row of every record, every snapshot, the documents and
/// transitions asked for. A search index that has not caught up shows up as differences of documents: verify it at rest,
/// or again.
///
/// # Errors
/// [`VerifyError`] if something can't be read.
pub async fn verify(ledger: Ledger<'_>, tell: Tell<'_>) -> Result<Verification, VerifyError> {
    verify_with(ledger, Settings::default(), tell).await
}

/// The same, and says how far it is.
///
/// # Errors
/// [`VerifyError`] if something can't be read.
pub async fn verify_with<'a>(
    ledger: Ledger<'a>,
    settings: VerifySettings<'a>,
    tell: Tell<'a>,
) -> Result<Verification, VerifyError> {
    let partitions = ledger.log.partitions(Topic::Events).await?;
    // The store first: what it has folded by now is in the log by then.
    let folded = ledger.store.progress(&[]).await?;
    let ends = ledger.log.end_offsets(Topic::Events).await?;
    let mut reached = BTreeMap::new();
    if let Some((stream, _)) = ledger.transitions {
        reached = reach::reached(ledger.log, &folded).await?;
        stream.refresh().await?;
    }
    let ranges: Vec<_> = ends
        .into_iter()
        .map(|end| (end, folded.iter().find(|p| p.partition == end.partition).copied()))
        .collect();
    let of = ranges.iter().map(|range| until(*range).0).sum::<i64>();
    let shared = Shared::new(tell, settings.progress, u64::try_from(of).unwrap_or(0));
    let waiting = Mutex::new(ranges.into_iter());
    // One that waits for the store leaves the processor to the other.
    let next = || findings::locked(&waiting).next();
    let work = || async {
        let mut verified = Vec::new();
        let mut counted = Verification::default();
        while let Some(range) = next() {
            let mut found = Findings::new(&shared);
            let reached = reached.get(&range.0.partition).copied().unwrap_or(Offset::START);
            let work = partition(ledger, settings, partitions, range, reached, &mut found);
            verified.push(work.await?);
            counted.add(&found.counted);
        }
        Ok::<_, VerifyError>((verified, counted))
    };
    let ((mut verified, mut counted), (others, also)) =
        tokio::try_join!(Box::pin(work()), Box::pin(work()))?;
    verified.extend(others);
    counted.add(&also);
    let mut found = Findings::new(&shared);
    surplus::surplus(ledger.store, partitions, &verified, &mut found).await?;
    scanned::surplus(ledger, &mut found).await?;
    counted.add(&found.counted);
    Ok(counted)
}

/// A partition's end, and what is stored of how far it has come.
type Range = (Position, Option<Progress>);

/// Up to where it is verified.
fn until((end, stored): Range) -> Offset {
    stored.map_or(Offset::START, |progress| progress.next).min(end.offset)
}

/// Verifies one partition.
async fn partition(
    ledger: Ledger<'_>,
    settings: Settings<'_>,
    partitions: u32,
    range: Range,
    reached: Offset,
    found: &mut Findings<'_, '_>,
) -> Result<Verified, VerifyError> {
    let (Position { partition, offset: end }, stored) = range;
    let next = stored.map_or(Offset::START, |progress| progress.next);
    if next > end {
        let (stored, expected) = (next.to_string(), format!("at most {end}"));
        found.differs(Difference::of_progress(partition, stored, expected));
    }
    found.counted.behind += u64::try_from(end.0.saturating_sub(next.0)).unwrap_or(0);
    let until = until(range);
    let mut check = PartitionCheck::new(ledger, settings, partition, partitions, until, reached);
    check.advance(until, found).await?;
    check.digests(stored, found).await?;
    check.orders(found).await?;
    check.documents(found).await?;
    check.transitions(found).await?;
    check.beyond(found).await?;
    found.compared(0, 0);
    let (next, known, missing) = (check.next, check.known, check.missing);
    Ok(Verified {
        partition,
        next,
        stored: known.saturating_sub(missing),
        seen: check.orders.into_seen(),
    })
}
