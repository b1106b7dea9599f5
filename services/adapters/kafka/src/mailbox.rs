//! What passes between a member's thread and its subscription: events one way, room and answers the other. Bounded.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Condvar, Mutex, PoisonError},
    time::Duration,
};

use ports::{LogError, LogRecord, Partition, Position, SubscriptionEvent};
use tokio::sync::Notify;

use crate::{error::lock, record::weight};

/// What the thread hands over.
pub(crate) enum Letter {
    /// Asks for these partitions' places; to be answered with [`Mailbox::answer`].
    Ask(Vec<Partition>),
    /// For the subscriber.
    Event(SubscriptionEvent),
}

/// Records wait here until they are taken: at most a batch, while the one before is worked off.
pub(crate) struct Mailbox {
    state: Mutex<State>,
    filled: Notify,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    letters: VecDeque<Letter>,
    records: usize,
    bytes: usize,
    /// The answer to an [`Letter::Ask`]: the partitions asked for, and their places.
    answer: Option<(Vec<Partition>, Vec<Position>)>,
    assigned: BTreeSet<Partition>,
    /// The subscription is gone.
    closed: bool,
    /// The thread is gone, and why.
    dead: Option<String>,
}

impl Mailbox {
    /// The port's limit of a batch.
    pub(crate) const RECORDS_MAX: usize = 4_096;
    /// Where a batch of large records ends.
    const BYTES_MAX: usize = 8 * 1024 * 1024;

    pub(crate) fn new() -> Self {
        Self { state: Mutex::default(), filled: Notify::new(), changed: Condvar::new() }
    }

    /// How many records there is room for. Waits up to `limit` for any; 0 then, or if the subscription is gone.
    pub(crate) fn room(&self, limit: Duration) -> usize {
        let full = |state: &mut State| {
            !state.closed && (state.records >= Self::RECORDS_MAX || state.bytes >= Self::BYTES_MAX)
        };
        let waited = self.changed.wait_timeout_while(lock(&self.state), limit, full);
        let (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() || state.closed {
            return 0;
        }
        Self::RECORDS_MAX - state.records
    }

    /// Adds records, to the last batch if nothing came after it.
    pub(crate) fn push_records(&self, mut records: Vec<LogRecord>) {
        if records.is_empty() {
            return;
        }
        let mut state = lock(&self.state);
        state.records += records.len();
        state.bytes += records.iter().map(weight).sum::<usize>();
        if let Some(Letter::Event(SubscriptionEvent::Records(last))) = state.letters.back_mut()
            && last.len() + records.len() <= Self::RECORDS_MAX
        {
            last.append(&mut records);
        } else {
            state.letters.push_back(Letter::Event(SubscriptionEvent::Records(records)));
        }
        drop(state);
        self.filled.notify_one();
    }

    pub(crate) fn push(&self, letter: Letter) {
        lock(&self.state).letters.push_back(letter);
        self.filled.notify_one();
    }

    /// Notes partitions as held: their offsets may be committed.
    pub(crate) fn hold(&self, partitions: &[Partition]) {
        lock(&self.state).assigned.extend(partitions);
    }

    /// The opposite.
    pub(crate) fn let_go(&self, partitions: &[Partition]) {
        lock(&self.state).assigned.retain(|partition| !partitions.contains(partition));
    }

    /// The partitions held.
    pub(crate) fn held(&self) -> BTreeSet<Partition> {
        lock(&self.state).assigned.clone()
    }

    /// Takes back what was not taken yet of these partitions: whoever gets them reads it again.
    pub(crate) fn withdraw(&self, partitions: &[Partition]) {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        (state.records, state.bytes) = (0, 0);
        state.letters.retain_mut(|letter| match letter {
            Letter::Event(SubscriptionEvent::Records(records)) => {
                records.retain(|record| !partitions.contains(&record.position.partition));
                state.records += records.len();
                state.bytes += records.iter().map(weight).sum::<usize>();
                !records.is_empty()
            }
            Letter::Ask(_) | Letter::Event(_) => true,
        });
    }

    /// The answer to `asked`, once it is there.
    pub(crate) fn take_answer(&self, asked: &[Partition]) -> Option<Vec<Position>> {
        let (partitions, positions) = lock(&self.state).answer.take()?;
        (partitions == asked).then_some(positions)
    }

    pub(crate) fn answer(&self, asked: Vec<Partition>, positions: Vec<Position>) {
        lock(&self.state).answer = Some((asked, positions));
        self.changed.notify_all();
    }

    /// The next letter. Cancel-safe.
    ///
    /// # Errors
    /// [`LogError::Unfit`] once the thread is gone.
    pub(crate) async fn take(&self) -> Result<Letter, LogError> {
        loop {
            if let Some(letter) = self.pop()? {
                return Ok(letter);
            }
            self.filled.notified().await;
        }
    }

    fn pop(&self) -> Result<Option<Letter>, LogError> {
        let mut state = lock(&self.state);
        let letter = state.letters.pop_front();
        match (&letter, &state.dead) {
            (None, Some(why)) => return Err(LogError::Unfit(why.clone())),
            (Some(Letter::Event(SubscriptionEvent::Records(records))), _) => {
                state.records -= records.len();
                state.bytes -= records.iter().map(weight).sum::<usize>();
                self.changed.notify_all();
            }
            (None | Some(_), _) => {}
        }
        Ok(letter)
    }

    /// The thread ends: what was handed over can still be taken, then `why` is told.
    pub(crate) fn die(&self, why: String) {
        lock(&self.state).dead.get_or_insert(why);
        self.filled.notify_one();
    }

    /// The subscription ends.
    pub(crate) fn close(&self) {
        lock(&self.state).closed = true;
        self.changed.notify_all();
    }

    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.state).closed
    }
}
