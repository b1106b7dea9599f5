//! Replay: the log folded from its beginning into a new generation beside the live one, which then takes its place.
//!
//! Load in bulk, every partition from offset 0 to where the log ends; catch up; verify; hold the projectors still for a
//! moment, fold the rest and cut. A replay writes nothing but its generation: it announces nothing, so no mail and no timer
//! comes of it. Interrupted at any instant, it leaves the live generation as it is; the next one goes on with a generation
//! that had loaded, and removes one that had not.
//!
//! The search index is built anew beside the one in use, from the new generation, and follows after the cut: [`search`] says
//! in which order and why. A crash in between leaves a new generation whose index is yet to follow; [`finish_cut`] sees to it.

mod catch_up;
mod check;
mod discards;
mod error;
mod load;
mod pace;
mod parked;
mod plan;
mod reindex;
mod search;
mod steer;
mod transitions;

use std::{sync::Arc, time::Instant};

use ports::{
    Clock, DeadLetters, EventLog, Generation, GenerationStore, Generations, NewGeneration,
    OrderStore, Position, SearchGenerations, Stage, StoreError, Topic, TransitionStream, Wanted,
};

use self::{
    catch_up::{advance, behind},
    check::check,
    reindex::{Filling, State},
    steer::Steering,
};
pub use self::{
    error::ReplayError,
    plan::{Only, Plan, Source, Until},
    reindex::{RefusedDocument, Reindexed},
    search::finish_cut,
    steer::{PartitionReport, Phase, Report, Watch},
};
use crate::Verification;

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
    /// Where a search index comes into being beside the one in use.
    pub search: Arc<dyn SearchGenerations>,
    /// Where transitions go that are missing there.
    pub transitions: Arc<dyn TransitionStream>,
    /// For what is written down of it.
    pub clock: Arc<dyn Clock>,
}

impl Parts {
    fn live_state(&self) -> State<'_> {
        State { orders: self.live.as_ref(), dead_letters: self.dead_letters.as_ref() }
    }
}

/// What was done.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// With which generation; with the live one, if nothing but the search index was built.
    pub generation: u32,
    /// What was found when it was verified, if it was built.
    pub verified: Option<Verification>,
    /// Whether it is live.
    pub live: bool,
    /// Where it stands.
    pub offsets: Vec<Position>,
    /// What the new search index took, if one was built.
    pub search: Option<Reindexed>,
}

/// Carries a plan out.
///
/// # Errors
/// [`ReplayError`]; the live generation is as it was, but for [`ReplayError::SearchPending`].
pub async fn replay(parts: &Parts, plan: &Plan, watch: Watch) -> Result<Replayed, ReplayError> {
    let Some(_lease) = parts.generations.lease().await? else { return Err(ReplayError::Busy) };
    if plan.only == Some(Only::Search) {
        return search::alone(parts, watch, plan.rate).await;
    }
    if let Until::Offsets(_) = plan.until {
        plan.until.check(&parts.log.end_offsets(Topic::Events).await?)?;
    }
    // What builds a new index makes up for one that did not follow; and what mends the state must not wait for it.
    if !plan.reindexes()
        && let Err(error) = search::finish(parts).await
    {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "the search index has not followed an earlier replay, and could not");
    }
    let (number, store) = match find(parts, plan).await? {
        Some(number) => (number, parts.generations.open(number).await?.into()),
        None => create(parts, plan, &watch).await?,
    };
    let steering = Steering::new(Arc::clone(&parts.generations), number, watch, plan.rate);
    let replayed = finish(parts, plan, number, &store, &steering).await;
    match (&replayed, plan.source) {
        (
            Err(
                ReplayError::Cancelled(_)
                | ReplayError::Differs { .. }
                | ReplayError::Discarded { .. },
            ),
            Source::Log,
        ) => {
            drop(store);
            parts.generations.remove(number).await?;
        }
        // It was there before, and is only further by now.
        (Err(ReplayError::Cancelled(_)), Source::Generation(_) | Source::Previous) => {
            forget_wishes(parts, number).await;
            return Err(ReplayError::CancelledKept(number));
        }
        (Ok(_) | Err(ReplayError::SearchPending { .. }), _) => {
            forget_wishes(parts, number).await;
            remove_older(parts).await?;
        }
        (Err(_), _) => {}
    }
    replayed
}

/// Removes the generations that were live before the one before: going back one step is enough, and each takes its room.
async fn remove_older(parts: &Parts) -> Result<(), StoreError> {
    let all = parts.generations.generations().await?;
    let mut retired: Vec<_> = all
        .iter()
        .filter(|generation| generation.stage == Stage::Retired)
        .map(|generation| (generation.live.as_ref().map(|live| live.0), generation.number))
        .collect();
    retired.sort_unstable();
    // The first one of all was never said to be live: it counts as the oldest.
    retired.pop();
    for (_, number) in retired {
        parts.generations.remove(number).await?;
        tracing::info!(
            generation = number,
            "removed a generation that is not the last before the live one"
        );
    }
    Ok(())
}

/// What was wanted of a replay that is over must not be taken for a wish to whoever reports on that generation next.
async fn forget_wishes(parts: &Parts, number: u32) {
    if let Err(error) = parts.generations.want(number, Wanted::Run).await {
        tracing::warn!(%error, generation = number, "could not note that the replay is over");
    }
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
    let steering =
        Steering::new(Arc::clone(&parts.generations), number, Arc::clone(watch), plan.rate);
    let steering = Arc::new(steering);
    match load::load(parts, &store, plan, &ends, &steering).await {
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
    if plan.cuts() {
        catch_up(parts, store.as_ref(), steering).await?;
    }
    let verified = Some(check(parts, number, store.as_ref(), steering).await?);
    let mut search = None;
    if plan.cuts() {
        let mut filling = match plan.reindexes() {
            true => Some(search::fill(parts, state(store), steering).await?),
            false => None,
        };
        let cut = cut(parts, number, store, filling.as_mut(), steering).await;
        match (cut, filling) {
            (Ok(()), Some(filling)) => {
                search = Some(follow(parts, number, filling, steering).await?)
            }
            (Ok(()), None) => {}
            (Err(error), filling) => {
                if let Some(filling) = filling {
                    filling.remove().await;
                }
                return Err(error);
            }
        }
    }
    let offsets = match plan.cuts() {
        true => parts.live.progress(&[]).await?,
        false => store.progress(&[]).await?,
    };
    let position = |progress: ports::Progress| Position {
        partition: progress.partition,
        offset: progress.next,
    };
    let offsets = offsets.into_iter().map(position).collect();
    Ok(Replayed { generation: number, verified, live: plan.cuts(), offsets, search })
}

fn state(store: &Arc<dyn GenerationStore>) -> State<'_> {
    State { orders: store.as_ref(), dead_letters: store.as_ref() }
}

/// Makes a generation live that is as the log says. The search index has all of it but what came last.
async fn cut(
    parts: &Parts,
    number: u32,
    store: &Arc<dyn GenerationStore>,
    filling: Option<&mut Filling>,
    steering: &Steering,
) -> Result<(), ReplayError> {
    catch_up(parts, store.as_ref(), steering).await?;
    // What did not follow earlier is still to.
    let mut search_pending = search::live(parts).await?.search_pending;
    if let Some(filling) = filling {
        filling.follow(state(store), steering).await?;
        // Filling takes long at times, and projectors are to stand still for a moment only.
        catch_up(parts, store.as_ref(), steering).await?;
        search_pending = true;
    }
    steering.phase(Phase::Cutting, &[]).await?;
    let begun = Instant::now();
    let cut = parts.generations.begin_cut(number).await?;
    let live = cut.live().iter().map(|live| (live.partition, live.next)).collect();
    advance(parts, store.as_ref(), &live, steering).await?;
    // It can't be taken back (promise 10), and what was folded of it can't be undone here.
    let unheeded = discards::unheeded(parts.dead_letters.as_ref(), store.as_ref()).await?;
    if let Some(position) = unheeded {
        return Err(ReplayError::Discarded { generation: number, position });
    }
    cut.finish(parts.clock.now(), search_pending).await?;
    let held_ms = begun.elapsed().as_millis();
    tracing::info!(
        generation = number,
        held_ms,
        "the generation is live; projectors stood still for a moment"
    );
    Ok(())
}

/// After the cut: it can't be called off any more, and what is wanted of it from now on is not heard.
async fn follow(
    parts: &Parts,
    number: u32,
    filling: Filling,
    steering: &Steering,
) -> Result<Reindexed, ReplayError> {
    let followed = search::take_over(parts, number, filling, steering).await;
    followed.map_err(|source| ReplayError::SearchPending { number, source: Box::new(source) })
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
