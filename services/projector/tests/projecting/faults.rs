//! One fault at one call of a port, counted over log and store together.

use std::{
    future::{Future, pending},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use ports::Commit;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::rival::Rival;

/// What happens at the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It fails and has no effect.
    Fails,
    /// It has its effect, but the answer is lost.
    AnswerLost,
    /// The log's queue is full; calls other than appending go well.
    QueueFull,
    /// Another projector, which also thinks that the partitions are its own, folds the next records first.
    Overtaken,
    /// Another projector, to which the partitions were given meanwhile, carries out decisions first.
    Decided,
    /// Another projector, which thinks that the partitions are its own still, has folded the next records just now. It
    /// commits them once this one has carried out decisions that are made now.
    FoldedLate,
    /// The same, of a decision that it carries out.
    DecidedLate,
    /// The process dies before the effect.
    DiesBefore,
    /// The process dies after the effect, before it knows.
    DiesAfter,
}

/// Which call goes wrong, and how.
pub(crate) struct Plan {
    fault: Fault,
    at: usize,
    rival: Rival,
    /// What the rival has not committed yet.
    late: Mutex<Option<Commit>>,
    calls: AtomicUsize,
    append_failed: AtomicBool,
    died: CancellationToken,
}

impl Plan {
    pub(crate) fn new(fault: Fault, at: usize, rival: Rival) -> Self {
        Self {
            fault,
            at,
            rival,
            late: Mutex::default(),
            calls: AtomicUsize::new(0),
            append_failed: AtomicBool::new(false),
            died: CancellationToken::new(),
        }
    }

    /// Notes that a record was not appended, though those after it may have been.
    pub(crate) fn append_failed(&self) {
        self.append_failed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn has_append_failed(&self) -> bool {
        self.append_failed.load(Ordering::SeqCst)
    }

    /// Whether there were so many calls that the fault happened.
    pub(crate) fn was_reached(&self) -> bool {
        self.calls.load(Ordering::SeqCst) > self.at
    }

    /// Resolves when the process dies; nothing it does later has any effect.
    pub(crate) async fn died(&self) {
        self.died.cancelled().await;
    }

    pub(crate) fn die(&self) {
        self.died.cancel();
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.died.is_cancelled()
    }

    /// Counts a call; what goes wrong with it, if it is the one.
    pub(crate) fn turn(&self) -> Option<Fault> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        (call == self.at).then_some(self.fault)
    }

    /// Lets the rival commit what it has in hand, once every decision is carried out.
    pub(crate) async fn commit_late(&self) {
        let mut late = self.late.lock().await;
        if late.is_some()
            && self.rival.is_all_decided().await
            && let Some(commit) = late.take()
        {
            self.rival.commit_late(&commit).await;
        }
    }

    /// Makes a call, unless it is the one.
    pub(crate) async fn call<T, E>(
        &self,
        error: impl FnOnce() -> E,
        effect: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        if self.is_dead() {
            return pending().await;
        }
        match self.turn() {
            None => {
                let answer = effect.await;
                self.commit_late().await;
                answer
            }
            Some(Fault::QueueFull) => effect.await,
            Some(Fault::Overtaken) => {
                self.rival.fold(2).await;
                effect.await
            }
            Some(Fault::Decided) => {
                self.rival.discard().await;
                effect.await
            }
            Some(Fault::FoldedLate) => {
                *self.late.lock().await = Some(self.rival.read(usize::MAX).await);
                self.rival.want_discarded().await;
                effect.await
            }
            Some(Fault::DecidedLate) => {
                *self.late.lock().await = self.rival.refold().await;
                self.rival.want_discarded().await;
                effect.await
            }
            Some(Fault::Fails) => Err(error()),
            Some(Fault::AnswerLost) => {
                effect.await?;
                Err(error())
            }
            Some(Fault::DiesBefore) => {
                self.die();
                pending().await
            }
            Some(Fault::DiesAfter) => {
                effect.await?;
                self.die();
                pending().await
            }
        }
    }
}
