//! When calls are started: at times fixed beforehand, or by callers that wait for their answers.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{JoinError, JoinSet},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    mix::CallKind,
    plan::{Pace, Plan},
    tally::{Answer, Board},
};

/// How long a caller of a closed loop waits after a failure: one that is refused at once would only count refusals.
const PAUSE: Duration = Duration::from_millis(100);
const NANOS_A_SECOND: u128 = 1_000_000_000;

/// Whoever is called; every call ends by itself, within the plan's time-out.
pub(super) trait Target: Send + Sync + 'static {
    /// What the number-th call is to be.
    fn kind(&self, number: u64) -> CallKind;
    /// Makes it.
    fn call(&self, number: u64) -> impl Future<Output = Answer> + Send;
}

/// Makes every call of the plan, and waits for every answer; whether `stop` ended it early.
pub(super) async fn drive<T: Target>(
    target: &Arc<T>,
    board: &Arc<Board>,
    plan: &Plan,
    stop: &CancellationToken,
) -> Result<bool, JoinError> {
    let end = board.begin() + plan.warm_up + plan.duration;
    match plan.pace {
        Pace::Rate { per_second, in_flight_max } => {
            let schedule = Schedule { begin: board.begin(), end, per_second };
            let room = usize::try_from(in_flight_max).unwrap_or(usize::MAX);
            let room = Arc::new(Semaphore::new(room.min(Semaphore::MAX_PERMITS)));
            let (under_way, full_until) = (JoinSet::new(), None);
            let mut open = Open { target, board, room, full_until, under_way };
            open.run(&schedule, stop).await?;
        }
        Pace::Callers(callers) => closed(target, board, callers, end, stop).await?,
    }
    Ok(stop.is_cancelled())
}

/// When calls are due: evenly, from begin to end.
struct Schedule {
    begin: Instant,
    end: Instant,
    per_second: u32,
}

impl Schedule {
    /// When the number-th is; `None` if not before the end.
    fn due(&self, number: u64) -> Option<Instant> {
        let nanos = (u128::from(number) * NANOS_A_SECOND).checked_div(self.per_second.into())?;
        let due = self.begin + Duration::from_nanos(u64::try_from(nanos).ok()?);
        (due < self.end).then_some(due)
    }
}

/// The open loop.
struct Open<'a, T> {
    target: &'a Arc<T>,
    board: &'a Arc<Board>,
    room: Arc<Semaphore>,
    /// When the last call got room that had to wait for it.
    full_until: Option<Instant>,
    under_way: JoinSet<()>,
}

impl<T: Target> Open<'_, T> {
    /// Starts each call when it is due. While there is no room the next ones wait in their order, and their time runs.
    async fn run(
        &mut self,
        schedule: &Schedule,
        stop: &CancellationToken,
    ) -> Result<(), JoinError> {
        let mut number = 0;
        while let Some(due) = schedule.due(number) {
            let room = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = sleep_until(schedule.end) => break,
                room = self.room_at(due) => room,
            };
            let Some(room) = room else { break };
            self.start(number, due, room);
            number += 1;
            while let Some(ended) = self.under_way.try_join_next() {
                ended?;
            }
        }
        self.start_or_count_the_rest(schedule, number);
        while let Some(ended) = self.under_way.join_next().await {
            ended?;
        }
        Ok(())
    }

    async fn room_at(&mut self, due: Instant) -> Option<OwnedSemaphorePermit> {
        sleep_until(due).await;
        if let Ok(room) = Arc::clone(&self.room).try_acquire_owned() {
            return Some(room);
        }
        let room = Arc::clone(&self.room).acquire_owned().await.ok();
        self.full_until = Some(Instant::now());
        room
    }

    /// What became due in the last moment is started still, as far as there is room at once; what is left is counted.
    fn start_or_count_the_rest(&mut self, schedule: &Schedule, mut number: u64) {
        let now = Instant::now();
        let mut has_room = true;
        while let Some(due) = schedule.due(number).filter(|due| *due <= now) {
            let room =
                if has_room { Arc::clone(&self.room).try_acquire_owned().ok() } else { None };
            has_room = room.is_some();
            match room {
                Some(room) => self.start(number, due, room),
                None => self.board.not_started(self.target.kind(number), due),
            }
            number += 1;
        }
    }

    fn start(&mut self, number: u64, due: Instant, room: OwnedSemaphorePermit) {
        let (target, board) = (Arc::clone(self.target), Arc::clone(self.board));
        // Whoever waited for room, and whoever was due behind them.
        if self.full_until.is_some_and(|until| due < until) {
            board.held_up();
        }
        board.started();
        self.under_way.spawn(async move {
            let started = Instant::now();
            let answer = target.call(number).await;
            board.answered(&answer, Some(due), started);
            drop(room);
        });
    }
}

/// The closed loop.
async fn closed<T: Target>(
    target: &Arc<T>,
    board: &Arc<Board>,
    callers: u32,
    end: Instant,
    stop: &CancellationToken,
) -> Result<(), JoinError> {
    let next = Arc::new(AtomicU64::new(0));
    let mut running = JoinSet::new();
    for _ in 0..callers {
        let (target, board) = (Arc::clone(target), Arc::clone(board));
        let (next, stop) = (Arc::clone(&next), stop.clone());
        running.spawn(async move {
            while Instant::now() < end && !stop.is_cancelled() {
                let number = next.fetch_add(1, Ordering::Relaxed);
                board.started();
                let started = Instant::now();
                let answer = target.call(number).await;
                board.answered(&answer, None, started);
                if answer.failure.is_some() {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = sleep_until(end.min(Instant::now() + PAUSE)) => {}
                    }
                }
            }
        });
    }
    while let Some(ended) = running.join_next().await {
        ended?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "pace_tests.rs"]
mod tests;
