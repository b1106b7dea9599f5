//! Replay: the log folded from its beginning into a new generation beside the live one, which then takes its place.
//!
//! Load in bulk, every partition from offset 0 to where the log ends; catch up; verify; hold the projectors still for a
//! moment, fold the rest and cut. A replay writes nothing but its generation: it announces nothing, so no mail and no timer
//! comes of it. Interrupted at any instant, it leaves the live generation as it is; the next one goes on with a generation
//! that had loaded, and removes one that had not.

mod catch_up;
mod load;
mod steer;

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use ports::{
    Clock, CommitError, Consumer, DeadLetters, EventLog, Generation, GenerationStore, Generations,
    LetterFilter, LetterStatus, LogError, LogRecord, NewGeneration, Offset, OrderStore, Partition,
    Position, Stage, StoreError, Topic,
};

pub use self::steer::{PartitionReport, Phase, Report, Watch};
use self::{
    catch_up::{advance, behind},
    steer::Steering,
};
use crate::{Difference, Ledger, Verification, VerifyError, verify};

/// Why a replay ended before its time. The live generation is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// Another process is at it.
    #[error("another replay is running: see `order-ledger replay status`")]
    Busy,
    /// Someone said so; what was built is removed.
    #[error("the replay was cancelled: generation {0} is removed, the live one is as it was")]
    Cancelled(u32),
    /// There is none that can be made live.
    #[error("there is no generation {0} that could be made live: see `order-ledger replay status`")]
    NoSuchGeneration(u32),
    /// There is none to go back to.
    #[error("there is no earlier generation to go back to")]
    NothingRetired,
    /// What was built is not what the log says.
    #[error(
        "generation {generation} has {differences} differences from the log and did not become live, the first: {first}"
    )]
    Differs {
        /// Which.
        generation: u32,
        /// How many.
        differences: u64,
        /// One of them.
        first: Box<Difference>,
    },
    /// The log can't be read.
    #[error("can't read the event log")]
    Log(#[from] LogError),
    /// A store does not answer, or is damaged.
    #[error("can't write the generation")]
    Store(#[from] StoreError),
    /// It could not be verified.
    #[error("can't verify the generation")]
    Verify(#[from] VerifyError),
    /// A part of it ended without a word.
    #[error("a partition's task ended early: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl From<CommitError> for ReplayError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Store(error) => Self::Store(error),
            fenced @ CommitError::Fenced { .. } => {
                Self::Store(StoreError::Corrupt(format!("someone else writes it: {fenced}")))
            }
        }
    }
}

/// What a replay works with.
#[derive(Clone)]
pub struct Parts {
    /// What is read.
    pub log: Arc<dyn EventLog>,
    /// The live generation.
    pub live: Arc<dyn OrderStore>,
    /// Its dead letters: what was decided on them holds for every generation.
    pub dead_letters: Arc<dyn DeadLetters>,
    /// Where others come into being beside it.
    pub generations: Arc<dyn Generations>,
    /// For what is written down of it.
    pub clock: Arc<dyn Clock>,
}

/// Which generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A new one; or the last one that was interrupted, if it had loaded.
    Log,
    /// This one, which has loaded or was live.
    Generation(u32),
    /// The one that was live before.
    Previous,
}

/// How far to fold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Until {
    /// All there is.
    Now,
    /// Records appended then or before.
    Time(DateTime<Utc>),
    /// Records below these offsets; nothing of partitions that are left out.
    Offsets(BTreeMap<Partition, Offset>),
}

impl Until {
    /// Where to stop at the latest, in a partition that ends at `end`.
    fn bound(&self, partition: Partition, end: Offset) -> Offset {
        match self {
            Self::Now | Self::Time(_) => end,
            Self::Offsets(offsets) => {
                offsets.get(&partition).map_or(Offset::START, |o| end.min(*o))
            }
        }
    }

    /// Whether to stop before this record.
    fn is_past(&self, record: &LogRecord) -> bool {
        match self {
            Self::Now | Self::Offsets(_) => false,
            Self::Time(time) => record.appended_at.is_some_and(|at| at > *time),
        }
    }
}

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// With which generation.
    pub source: Source,
    /// Up to where a new one is loaded. One that ends in the past does not become live.
    pub until: Until,
    /// Whether it becomes live.
    pub swap: bool,
}

/// What was done.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// With which generation.
    pub generation: u32,
    /// What was found when it was verified.
    pub verified: Verification,
    /// Whether it is live.
    pub live: bool,
    /// Where it stands.
    pub offsets: Vec<Position>,
}

/// Carries a plan out.
///
/// # Errors
/// [`ReplayError`]; the live generation is as it was.
pub async fn replay(parts: &Parts, plan: &Plan, watch: Watch) -> Result<Replayed, ReplayError> {
    let Some(_lease) = parts.generations.lease().await? else { return Err(ReplayError::Busy) };
    let (number, store) = match find(parts, plan).await? {
        Some(number) => (number, parts.generations.open(number).await?.into()),
        None => create(parts, plan, &watch).await?,
    };
    let steering = Steering::new(Arc::clone(&parts.generations), number, watch);
    let replayed = finish(parts, plan, number, &store, &steering).await;
    if let Err(ReplayError::Cancelled(_) | ReplayError::Differs { .. }) = replayed {
        drop(store);
        parts.generations.remove(number).await?;
    }
    replayed
}

/// The generation that the plan goes on with, if it is there. Removes what was left half loaded.
async fn find(parts: &Parts, plan: &Plan) -> Result<Option<u32>, ReplayError> {
    let mut interrupted = None;
    let mut previous: Option<Generation> = None;
    for generation in parts.generations.generations().await? {
        let Generation { number, stage, fold_version, kept, .. } = generation;
        let is_ours = fold_version == events::FOLD_VERSION;
        match stage {
            Stage::Loading => parts.generations.remove(number).await?,
            Stage::Ready if is_ours && !kept => interrupted = Some(number),
            Stage::Retired => {
                let at = |generation: &Generation| generation.live.as_ref().map(|live| live.0);
                let later = previous.as_ref().is_none_or(|last| at(last) <= at(&generation));
                previous = if later { Some(generation) } else { previous };
            }
            Stage::Ready | Stage::Live => {}
        }
    }
    match plan.source {
        Source::Log if plan.until == Until::Now && plan.swap => Ok(interrupted),
        Source::Log => Ok(None),
        Source::Previous => match previous {
            Some(previous) => Ok(Some(previous.number)),
            None => Err(ReplayError::NothingRetired),
        },
        Source::Generation(number) => {
            let all = parts.generations.generations().await?;
            let found = all.iter().find(|generation| generation.number == number);
            match found.map(|generation| generation.stage) {
                Some(Stage::Ready | Stage::Retired) => Ok(Some(number)),
                Some(Stage::Loading | Stage::Live) | None => {
                    Err(ReplayError::NoSuchGeneration(number))
                }
            }
        }
    }
}

/// Makes a new generation and loads it.
async fn create(
    parts: &Parts,
    plan: &Plan,
    watch: &Watch,
) -> Result<(u32, Arc<dyn GenerationStore>), ReplayError> {
    let partitions = parts.log.partitions(Topic::Events).await?;
    let ends = parts.log.end_offsets(Topic::Events).await?;
    let (kept, created_at) = (!plan.swap, parts.clock.now());
    let number = parts.generations.create(NewGeneration { partitions, kept, created_at }).await?;
    let store: Arc<dyn GenerationStore> = parts.generations.open(number).await?.into();
    let steering = Steering::new(Arc::clone(&parts.generations), number, Arc::clone(watch));
    let steering = Arc::new(steering);
    match load::load(parts, &store, &plan.until, &ends, &steering).await {
        Ok(()) => {
            parts.generations.loaded(number).await?;
            Ok((number, store))
        }
        Err(error) => {
            drop(store);
            parts.generations.remove(number).await?;
            Err(error)
        }
    }
}

/// Where the records stand that someone discarded: they park no order.
async fn discarded(letters: &dyn DeadLetters) -> Result<HashSet<Position>, StoreError> {
    const PAGE: usize = 1_000;
    let filter = LetterFilter {
        consumer: Some(Consumer::Projector),
        statuses: vec![LetterStatus::Discarded, LetterStatus::Discard],
        order: None,
    };
    let mut discarded = HashSet::new();
    let mut after = None;
    loop {
        let page = letters.letters(&filter, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(discarded) };
        after = Some(last.key());
        discarded.extend(page.iter().map(|letter| letter.record.position));
    }
}

/// How many records may be left to fold while the projectors stand still.
const REST_MAX: i64 = 2_000;

/// Brings a loaded generation up to date, verifies it, and puts it in the place of the live one.
async fn finish(
    parts: &Parts,
    plan: &Plan,
    number: u32,
    store: &Arc<dyn GenerationStore>,
    steering: &Steering,
) -> Result<Replayed, ReplayError> {
    let swap = plan.swap && plan.until == Until::Now;
    if swap {
        catch_up(parts, store.as_ref(), steering).await?;
    }
    steering.phase(Phase::Verifying, &[]).await?;
    let verified = check(parts, number, store.as_ref()).await?;
    if swap {
        catch_up(parts, store.as_ref(), steering).await?;
        steering.phase(Phase::Cutting, &[]).await?;
        let cut = parts.generations.begin_cut(number).await?;
        let live = cut.live().iter().map(|live| (live.partition, live.next)).collect();
        advance(parts, store.as_ref(), &live, steering).await?;
        cut.finish(parts.clock.now(), false).await?;
    }
    let offsets = match swap {
        true => parts.live.progress(&[]).await?,
        false => store.progress(&[]).await?,
    };
    let position = |progress: ports::Progress| Position {
        partition: progress.partition,
        offset: progress.next,
    };
    let offsets = offsets.into_iter().map(position).collect();
    Ok(Replayed { generation: number, verified, live: swap, offsets })
}

/// Folds on until next to nothing is left.
async fn catch_up(
    parts: &Parts,
    store: &dyn GenerationStore,
    steering: &Steering,
) -> Result<(), ReplayError> {
    loop {
        let ends = parts.log.end_offsets(Topic::Events).await?;
        let ends = ends.into_iter().map(|end| (end.partition, end.offset)).collect();
        let left = behind(&store.progress(&[]).await?, &ends);
        steering.phase(Phase::CatchingUp, &left).await?;
        advance(parts, store, &ends, steering).await?;
        if left.iter().map(|left| left.until - left.next).sum::<i64>() <= REST_MAX {
            return Ok(());
        }
    }
}

/// Compares every row and snapshot with the log, folded once more.
async fn check(
    parts: &Parts,
    generation: u32,
    store: &dyn GenerationStore,
) -> Result<Verification, ReplayError> {
    let ledger = Ledger { log: parts.log.as_ref(), store, dead_letters: store, search: None };
    let mut first = None;
    let mut tell = |difference| {
        first.get_or_insert(difference);
    };
    let verified = verify(ledger, &mut tell).await?;
    match first {
        None => Ok(verified),
        Some(first) => Err(ReplayError::Differs {
            generation,
            differences: verified.differences,
            first: Box::new(first),
        }),
    }
}
