//! The search index follows: one that was built anew takes the place of the one in use.
//!
//! In this order, after which nothing is lost and no reader has seen an order go back:
//!
//! 1. Where the store stands is noted, and every snapshot is written to the new index; then what moved since, so that little
//!    is left. With a new generation this is done from its own store, and the cut makes that the live one.
//! 2. Writes move. From here on every document that a search projector begins to write goes to the new index. One that was
//!    on its way before may end in the former; but it was made of a state change, and that was announced after its commit:
//!    the live store has it by now.
//! 3. What moved since the note is read from the live store once more, up to where that stands after step 2. So the new
//!    index has each order at least as the former has: the versions that only grow (promise 6) see to the rest.
//! 4. Reads move, in one step that also removes the former.
//!
//! Until the last step the former answers, and does not change any more after step 2: that is why step 1 leaves so little
//! for step 3. A process may die in between. Before step 2 the new index is no one's, and is removed. The cut writes down
//! that the index is to follow; an index that takes writes and is not read tells of itself. Either way another is built from
//! the live store, by [`finish_cut`]: what is in the half-made one need not be known.

use std::{num::NonZeroU32, sync::Arc};

use ports::{Generation, Position, Stage, StoreError, Wanted};

use super::{
    Parts, REST_MAX, ReplayError, Replayed, forget_wishes,
    reindex::{Filling, Reindexed, State},
    steer::{Steering, Watch},
};

/// Finishes what a replay left that was interrupted while the search index was to follow. To be called when a process starts
/// that keeps the index up to date. It may take as long as a replay of the index alone; everything else goes on meanwhile.
///
/// `None` if there is nothing to finish, or if another process has the lease: that one sees to it.
///
/// # Errors
/// [`ReplayError`]; the index in use is as it was, and the next call begins anew.
pub async fn finish_cut(parts: &Parts) -> Result<Option<Reindexed>, ReplayError> {
    match parts.generations.lease().await? {
        Some(_lease) => finish(parts).await,
        None => Ok(None),
    }
}

/// The same, for whoever has the lease.
pub(super) async fn finish(parts: &Parts) -> Result<Option<Reindexed>, ReplayError> {
    let Generation { number, search_pending, .. } = live(parts).await?;
    if !search_pending && parts.search.unfinished().await?.is_none() {
        return Ok(None);
    }
    tracing::info!(generation = number, "the search index has not followed a replay; it does now");
    let steering = Steering::new(Arc::clone(&parts.generations), number, Arc::new(|_| {}), None);
    // No one is there who could want anything of it.
    steering.carry_through().await;
    Ok(Some(build_and_follow(parts, number, &steering).await?))
}

/// Builds the index anew from the live store, and leaves that as it is.
pub(super) async fn alone(
    parts: &Parts,
    watch: Watch,
    rate: Option<NonZeroU32>,
) -> Result<Replayed, ReplayError> {
    let number = live(parts).await?.number;
    // The live generation's, as there is no other: what was once wanted of whoever built it does not count.
    parts.generations.want(number, Wanted::Run).await?;
    let steering = Steering::new(Arc::clone(&parts.generations), number, watch, rate);
    let followed = build_and_follow(parts, number, &steering).await;
    forget_wishes(parts, number).await;
    let search = match followed {
        Err(ReplayError::Cancelled(_)) => return Err(ReplayError::SearchCancelled),
        followed => Some(followed?),
    };
    let offsets = parts.live.progress(&[]).await?;
    let offsets =
        offsets.iter().map(|at| Position { partition: at.partition, offset: at.next }).collect();
    Ok(Replayed { generation: number, verified: None, live: true, offsets, search })
}

/// The live generation.
pub(super) async fn live(parts: &Parts) -> Result<Generation, ReplayError> {
    let mut all = parts.generations.generations().await?.into_iter();
    let live = all.find(|generation| generation.stage == Stage::Live);
    live.ok_or_else(|| StoreError::Corrupt("no generation is live".to_owned()).into())
}

/// Makes an index and fills it. If that fails, nothing is left of it.
pub(super) async fn fill(
    parts: &Parts,
    from: State<'_>,
    steering: &Steering,
) -> Result<Filling, ReplayError> {
    let mut filling = Filling::begin(parts, from).await?;
    match filling.fill(from, steering).await {
        Ok(()) => Ok(filling),
        Err(error) => {
            filling.remove().await;
            Err(error)
        }
    }
}

/// Puts an index that is as good as up to date in the place of the one in use.
pub(super) async fn take_over(
    parts: &Parts,
    number: u32,
    mut filling: Filling,
    steering: &Steering,
) -> Result<Reindexed, ReplayError> {
    steering.carry_through().await;
    filling.take_writes().await?;
    filling.follow(parts.live_state(), steering).await?;
    let done = filling.take_reads().await?;
    parts.generations.search_followed(number).await?;
    Ok(done)
}

async fn build_and_follow(
    parts: &Parts,
    number: u32,
    steering: &Steering,
) -> Result<Reindexed, ReplayError> {
    let from = parts.live_state();
    let mut filling = fill(parts, from, steering).await?;
    if let Err(error) = come_close(&mut filling, from, steering).await {
        filling.remove().await;
        return Err(error);
    }
    let followed = take_over(parts, number, filling, steering).await;
    followed.map_err(|source| ReplayError::SearchPending { number, source: Box::new(source) })
}

/// Follows until little moves in the time that it takes, or until it gets no better.
async fn come_close(
    filling: &mut Filling,
    from: State<'_>,
    steering: &Steering,
) -> Result<(), ReplayError> {
    let mut last = u64::MAX;
    loop {
        let moved = filling.follow(from, steering).await?;
        if moved <= REST_MAX.unsigned_abs() || moved >= last {
            return Ok(());
        }
        last = moved;
    }
}
