//! Groups: who of this process's members holds which partition. No I/O; members look here and act on it themselves.
//!
//! Partitions move as they do in Kafka's cooperative protocol: only those that must, each first let go of by the one
//! who held it (or after ten seconds), then taken by the one who should.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{FutureExt as _, future::Shared};
use ports::{Group, Partition, Revoked, Topic};
use tokio::{
    sync::{oneshot, watch},
    time::Instant,
};

/// How long a member may take to let go.
const HANDOVER_MAX: Duration = Duration::from_secs(10);

type MemberId = u64;
type LetGo = Shared<oneshot::Receiver<()>>;

/// Every group of a log.
#[derive(Debug, Default)]
pub(super) struct Groups {
    states: Mutex<BTreeMap<(&'static str, &'static str), State>>,
    /// Moves whenever someone should look again.
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    next_member: MemberId,
    members: Vec<MemberId>,
    partitions: BTreeMap<u32, Held>,
}

/// A partition: who should hold it and who does.
#[derive(Debug, Default)]
struct Held {
    wanted: Option<MemberId>,
    holder: Option<Holder>,
}

#[derive(Debug)]
struct Holder {
    member: MemberId,
    /// Once it is being taken away: resolves when the member let go, and until when that is waited for.
    letting_go: Option<(LetGo, Instant)>,
}

impl Holder {
    /// Whether it no longer counts.
    fn is_gone(&self) -> bool {
        self.letting_go.as_ref().is_some_and(|(let_go, until)| {
            let_go.clone().now_or_never().is_some() || Instant::now() >= *until
        })
    }
}

/// A member of a group; dropping it leaves.
#[derive(Debug)]
pub(super) struct Membership {
    groups: Arc<Groups>,
    pub(super) topic: Topic,
    pub(super) group: Group,
    member: MemberId,
    changed: watch::Receiver<()>,
}

impl Groups {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(&'static str, &'static str), State>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn join(
        groups: &Arc<Self>,
        topic: Topic,
        group: Group,
        partitions: u32,
    ) -> Membership {
        let mut states = groups.lock();
        let state = states.entry((topic.name(), group.name())).or_default();
        for partition in 0..partitions {
            state.partitions.entry(partition).or_default();
        }
        let member = state.next_member;
        state.next_member += 1;
        state.members.push(member);
        state.share_out();
        drop(states);
        let changed = groups.changed.subscribe();
        groups.changed.send_replace(());
        Membership { groups: Arc::clone(groups), topic, group, member, changed }
    }
}

impl State {
    /// Says who should hold what: as evenly as it goes, moving as little as it takes.
    fn share_out(&mut self) {
        let Some(share) = self.partitions.len().checked_div(self.members.len()) else {
            for held in self.partitions.values_mut() {
                held.wanted = None;
            }
            return;
        };
        let mut one_more = self.partitions.len() % self.members.len();
        let mut loads: BTreeMap<MemberId, usize> = self.members.iter().map(|m| (*m, 0)).collect();
        for held in self.partitions.values_mut() {
            let load = held.wanted.and_then(|member| loads.get_mut(&member));
            match load {
                Some(load) if *load < share => *load += 1,
                Some(load) if *load == share && one_more > 0 => {
                    *load += 1;
                    one_more -= 1;
                }
                Some(_) | None => held.wanted = None,
            }
        }
        for held in self.partitions.values_mut().filter(|held| held.wanted.is_none()) {
            let least = loads.iter_mut().min_by_key(|(_, load)| **load);
            if let Some((member, load)) = least {
                *load += 1;
                held.wanted = Some(*member);
            }
        }
    }
}

impl Membership {
    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        let mut states = self.groups.lock();
        look(states.entry((self.topic.name(), self.group.name())).or_default())
    }

    /// Partitions that this member holds and should let go of, if any.
    pub(super) fn to_let_go(&self) -> Option<Revoked> {
        let revoked = self.with(|state| {
            let mine = state.partitions.iter_mut().filter_map(|(partition, held)| {
                let wanted = held.wanted;
                let holder = held.holder.as_mut()?;
                let leaves = holder.member == self.member
                    && wanted != Some(self.member)
                    && holder.letting_go.is_none();
                leaves.then_some((Partition(*partition), holder))
            });
            let mine: Vec<_> = mine.collect();
            if mine.is_empty() {
                return None;
            }
            let (done, let_go) = oneshot::channel();
            let (let_go, until) = (let_go.shared(), Instant::now() + HANDOVER_MAX);
            let mut partitions = Vec::new();
            for (partition, holder) in mine {
                partitions.push(partition);
                holder.letting_go = Some((let_go.clone(), until));
            }
            Some(Revoked::new(partitions, done))
        });
        if revoked.is_some() {
            self.groups.changed.send_replace(());
        }
        revoked
    }

    /// Takes the partitions that this member should hold and nobody does any longer.
    pub(super) fn take(&self) -> Vec<Partition> {
        self.with(|state| {
            let mut taken = Vec::new();
            for (partition, held) in &mut state.partitions {
                let free = held.holder.as_ref().is_none_or(Holder::is_gone);
                if free && held.wanted == Some(self.member) {
                    held.holder = Some(Holder { member: self.member, letting_go: None });
                    taken.push(Partition(*partition));
                }
            }
            taken
        })
    }

    /// Whether this member may still speak for a partition.
    pub(super) fn holds(&self, partition: Partition) -> bool {
        self.with(|state| {
            let held = state.partitions.get(&partition.0);
            held.and_then(|held| held.holder.as_ref())
                .is_some_and(|holder| holder.member == self.member && !holder.is_gone())
        })
    }

    /// Waits until a look may show something new. Cancel-safe.
    pub(super) async fn changed(&mut self) {
        let awaited = self.with(|state| {
            let waited_for = state.partitions.values().filter(|h| h.wanted == Some(self.member));
            let letting_go = waited_for.filter_map(|held| held.holder.as_ref()?.letting_go.clone());
            letting_go.min_by_key(|(_, until)| *until)
        });
        let handed_over = async {
            match awaited {
                // Dropped without a word means let go as well.
                Some((let_go, until)) => _ = tokio::time::timeout_at(until, let_go).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = handed_over => {}
            // The sender lives as long as the groups, which this holds on to.
            _ = self.changed.changed() => {}
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.with(|state| {
            state.members.retain(|member| *member != self.member);
            for held in state.partitions.values_mut() {
                let mine = |holder: &&mut Holder| {
                    holder.member == self.member && holder.letting_go.is_none()
                };
                if held.holder.as_mut().as_ref().is_some_and(mine) {
                    held.holder = None;
                }
            }
            state.share_out();
        });
        self.groups.changed.send_replace(());
    }
}
