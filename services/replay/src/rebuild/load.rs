//! Loading: partitions side by side, each folded in memory from offset 0; rows leave in bulk.
//!
//! Memory is bounded by the orders that are held, not by those that there are: an order is written and let go of once it is
//! done, or if it was not touched for longest and there are too many. Should an event of it come after all, it is read back;
//! a Bloom filter tells that from an order that is new.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use events::{Digest, Event, Order, OrderId, State, Version};
use fastbloom::BloomFilter;
use ports::{
    Clock, Commit, DeadLetters, Epoch, GenerationStore, LetterStatus, LogRecord, Offset, Partition,
    PartitionCommit, Place, Position, Reader, SnapshotRow, StoreError, Topic,
};
use projection::{Chain, Entry, Step};
use tokio::task::JoinSet;

use super::{
    Parts, Plan, ReplayError, Until,
    catch_up::decode,
    discards::Discards,
    steer::{PartitionReport, Phase, Steering},
};

/// Partitions that are loaded at once: while one waits for the store, another folds.
const AT_ONCE: usize = 4;
/// Orders held by one partition: some ten thousand bytes each at the worst, one thousand as a rule.
const HELD_MAX: usize = 40_000;
/// Rows written at once.
const ROWS: usize = 8_192;
/// The same of a replay that has time: whoever else uses the store waits for no more than these.
const ROWS_PACED: usize = 1_024;
/// The filter's size. Of ten million orders in a partition, one in five is then looked up in vain: slower, not larger.
const FILTER_BITS: usize = 8 * 4 * 1_024 * 1_024;
const FILTER_HASHES: u32 = 3;

/// Loads every partition up to where it ends.
pub(super) async fn load(
    parts: &Parts,
    store: &Arc<dyn GenerationStore>,
    plan: &Plan,
    ends: &[Position],
    steering: &Arc<Steering>,
) -> Result<(), ReplayError> {
    let Plan { until, .. } = plan;
    let partitions = parts.log.partitions(Topic::Events).await?;
    let bounds: Vec<_> =
        ends.iter().map(|end| (end.partition, until.bound(end.partition, end.offset))).collect();
    let rows = bounds.iter().map(|(partition, bound)| PartitionReport {
        partition: partition.0,
        next: 0,
        until: bound.0,
    });
    steering.phase(Phase::Loading, &rows.collect::<Vec<_>>()).await?;
    let (at_once, rows) = if steering.is_paced { (1, ROWS_PACED) } else { (AT_ONCE, ROWS) };
    let mut waiting = bounds.into_iter();
    let mut loading = JoinSet::new();
    let mut loaded = Vec::new();
    loop {
        while loading.len() < at_once
            && let Some((partition, bound)) = waiting.next()
        {
            let (store, steering) = (Arc::clone(store), Arc::clone(steering));
            let (clock, letters) = (Arc::clone(&parts.clock), Arc::clone(&parts.dead_letters));
            let mut loader = Loader::new(partition, partitions, store, clock, letters);
            loader.rows_max = rows;
            let (log, until) = (Arc::clone(&parts.log), until.clone());
            loading.spawn(async move {
                let reader = log.read(Topic::Events, partition, Offset::START, bound).await?;
                loader.run(reader, &until, &steering).await?;
                // A partition may end in places without a record.
                let next = if loader.stopped { loader.next } else { bound };
                let digest = loader.chain.digest();
                Ok::<_, ReplayError>(PartitionCommit {
                    partition,
                    expected: Place { next: Offset::START, epoch: Epoch::FIRST },
                    next,
                    announced: Offset::START,
                    digest,
                })
            });
        }
        let Some(done) = loading.join_next().await else { break };
        loaded.push(done??);
    }
    store.finish_loading().await?;
    store.commit(&Commit { partitions: loaded, ..Commit::default() }).await?;
    Ok(())
}

/// An order in memory.
struct Held {
    order: Order,
    /// The last record that counted.
    position: Position,
    /// It has a row already, which is to be replaced.
    stored: bool,
    /// It is not as its row says.
    moved: bool,
}

struct Loader {
    partition: Partition,
    /// How many the topic has.
    partitions: u32,
    store: Arc<dyn GenerationStore>,
    clock: Arc<dyn Clock>,
    next: Offset,
    chain: Chain,
    /// Records that someone discarded.
    discards: Discards,
    /// Orders that wait for a decision on a dead letter; as few as these are.
    parked: HashSet<OrderId>,
    /// `until` came before the end.
    stopped: bool,
    held: HashMap<OrderId, Held>,
    /// Orders as they were touched, with the version they had then: only an order's last entry counts.
    touched: VecDeque<(OrderId, Version)>,
    /// Every order that was let go of; and some that were not.
    let_go: BloomFilter,
    /// When they are written.
    rows_max: usize,
    /// New rows.
    rows: Commit,
    /// Orders whose rows are to be replaced.
    replaced: Vec<SnapshotRow>,
}

impl Loader {
    fn new(
        partition: Partition,
        partitions: u32,
        store: Arc<dyn GenerationStore>,
        clock: Arc<dyn Clock>,
        letters: Arc<dyn DeadLetters>,
    ) -> Self {
        Self {
            partition,
            partitions,
            store,
            clock,
            next: Offset::START,
            chain: Chain::at(partition, Offset::START, Digest::ZERO),
            discards: Discards::new(letters, partition, Offset::START),
            parked: HashSet::new(),
            stopped: false,
            held: HashMap::new(),
            touched: VecDeque::new(),
            let_go: BloomFilter::with_num_bits(FILTER_BITS).hashes(FILTER_HASHES),
            rows_max: ROWS,
            rows: Commit::default(),
            replaced: Vec::new(),
        }
    }

    async fn run(
        &mut self,
        mut reader: Box<dyn Reader>,
        until: &Until,
        steering: &Steering,
    ) -> Result<(), ReplayError> {
        while !self.stopped {
            let records = reader.next().await?;
            if records.is_empty() {
                break;
            }
            let entries = self.decode(records, until).await?;
            self.read_back(&entries).await?;
            let count = entries.len();
            self.fold(entries);
            self.let_go();
            if self.rows.history.len() >= self.rows_max {
                self.write().await?;
            }
            steering.moved(self.partition, self.next, count).await?;
        }
        for order in self.held.keys().copied().collect::<Vec<_>>() {
            self.evict(order);
            if self.rows.snapshots.len() >= self.rows_max {
                self.write().await?;
            }
        }
        self.write().await
    }

    async fn decode(
        &mut self,
        records: Vec<LogRecord>,
        until: &Until,
    ) -> Result<Vec<Entry>, StoreError> {
        let now = self.clock.now();
        let discarded = self.discards.of(&records).await?;
        let mut entries = Vec::with_capacity(records.len());
        for record in records {
            if until.is_past(&record) {
                self.stopped = true;
                break;
            }
            self.next = record.position.offset.next();
            self.rows.checkpoints.extend(self.chain.add(&record));
            entries.push(Entry::read(record, self.partitions, now, discarded));
        }
        Ok(entries)
    }

    /// Takes orders back that were let go of too early.
    async fn read_back(&mut self, entries: &[Entry]) -> Result<(), ReplayError> {
        let ids = entries.iter().filter_map(Entry::order_id);
        let wanted: HashSet<_> = ids
            .filter(|id| {
                !self.held.contains_key(id) && self.let_go.contains(id.as_uuid().as_bytes())
            })
            .collect();
        if wanted.is_empty() {
            return Ok(());
        }
        // They may be among those that are about to be written.
        self.write().await?;
        for page in wanted.into_iter().collect::<Vec<_>>().chunks(ROWS) {
            for row in self.store.load(page).await? {
                let (order, position) = (decode(&row)?, row.position);
                self.held.insert(order.id, Held { order, position, stored: true, moved: false });
            }
        }
        Ok(())
    }

    fn fold(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            match entry {
                Entry::Event(record, event) if self.parked.contains(&event.order_id) => {
                    let order = self.held.get(&event.order_id).map(|held| &held.order);
                    self.rows.history.push(projection::parked(order, record, &event));
                }
                Entry::Event(record, event) => self.step(record, &event),
                Entry::Dead(letter) => {
                    if letter.status != LetterStatus::Discarded {
                        self.parked.extend(letter.parks);
                    }
                    self.rows.dead_letters.push(*letter);
                }
            }
        }
    }

    fn step(&mut self, record: LogRecord, event: &Event) {
        let held = self.held.remove(&event.order_id);
        let (stored, was_moved, at) =
            held.as_ref().map_or((false, false, record.position), |held| {
                (held.stored, held.moved, held.position)
            });
        let Step { order, row, .. } = projection::step(held.map(|held| held.order), record, event);
        if let Some(order) = order {
            let is_recorded = row.outcome.is_recorded();
            let position = if is_recorded { row.position } else { at };
            self.touched.push_back((order.id, order.version));
            let moved = was_moved || is_recorded;
            self.held.insert(order.id, Held { order, position, stored, moved });
        }
        self.rows.history.push(row);
    }

    /// Lets go of what is done, and of what was not touched for longest as long as there is too much.
    fn let_go(&mut self) {
        // What this batch touched stands at the end.
        let done: Vec<_> = self
            .touched
            .iter()
            .rev()
            .take(self.rows.history.len())
            .map(|(order, _)| *order)
            .filter(|order| self.held.get(order).is_some_and(|held| is_done(held.order.state)))
            .collect();
        for order in done {
            self.evict(order);
        }
        while self.held.len() > HELD_MAX {
            let Some((order, version)) = self.touched.pop_front() else { break };
            if self.held.get(&order).is_some_and(|held| held.order.version == version) {
                self.evict(order);
            }
        }
        if self.touched.len() > 8 * HELD_MAX {
            let held = &self.held;
            self.touched.retain(|(order, version)| {
                held.get(order).is_some_and(|held| held.order.version == *version)
            });
        }
    }

    fn evict(&mut self, order: OrderId) {
        let Some(Held { order, position, stored, moved }) = self.held.remove(&order) else {
            return;
        };
        self.let_go.insert(order.id.as_uuid().as_bytes());
        if moved {
            let row = SnapshotRow { bytes: codec::encode_snapshot(&order), order, position };
            if stored { &mut self.replaced } else { &mut self.rows.snapshots }.push(row);
        }
    }

    async fn write(&mut self) -> Result<(), ReplayError> {
        self.store.load_rows(&self.rows).await?;
        let snapshots = std::mem::take(&mut self.replaced);
        if !snapshots.is_empty() {
            self.store.commit(&Commit { snapshots, ..Commit::default() }).await?;
        }
        let Commit { snapshots, history, dead_letters, checkpoints, partitions: _, refolds: _ } =
            &mut self.rows;
        snapshots.clear();
        history.clear();
        dead_letters.clear();
        checkpoints.clear();
        Ok(())
    }
}

/// Whether an order is likely to be left alone from now on; a refund may come, and is not often.
const fn is_done(state: State) -> bool {
    matches!(state, State::Completed | State::Cancelled | State::Refunded)
}
