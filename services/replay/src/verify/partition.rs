//! One partition: read again, folded again, compared.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};
use events::{Digest, Event, OrderId};
use ports::{
    HistoryOutcome, HistoryRow, LogRecord, Offset, Partition, Progress, Reader, StoredSnapshot,
    Topic,
};

use super::{
    Ledger, Settings, VerifyError,
    account::{Accounts, Worth},
    chain::Chain,
    expect::{self, Read},
    findings::Findings,
    held::{Held, Orders},
    transitions::{Expected, Folded},
};

/// How many snapshots or documents are compared at once.
pub(super) const PAGE: usize = 1_000;

/// A partition on its way through the log.
pub(super) struct PartitionCheck<'a> {
    pub(super) ledger: Ledger<'a>,
    pub(super) partition: Partition,
    /// How many the topic has.
    partitions: u32,
    /// Records that are compared at once.
    page: usize,
    /// Every record below is read.
    pub(super) next: Offset,
    chain: Chain,
    pub(super) orders: Orders,
    /// How many orders the log has here.
    pub(super) known: u64,
    /// Of these, those that have no snapshot.
    pub(super) missing: u64,
    /// Orders that wait for a decision on a dead letter, and where the first such stands; as few as these are.
    pub(super) parked: HashMap<OrderId, Offset>,
    /// Where each order's dead letters stand, decided on or not.
    pub(super) letters: HashMap<OrderId, Vec<Offset>>,
    /// Orders that may be decided on at this moment: they are compared at the end.
    pub(super) undecided: BTreeSet<OrderId>,
    /// Where there is no row of the event that the log has there.
    pub(super) disbelieved: HashSet<Offset>,
    /// The first orders of the log, which are part of every sample.
    pub(super) first: HashSet<OrderId>,
    /// The transition of every recorded event below was appended when the verification began.
    reached: Offset,
    /// What must be in the stream of transitions and was not looked for yet.
    pub(super) expected: Vec<Expected>,
    /// When the events of orders with dead letters were logged, if their transitions are compared.
    pub(super) logged: HashMap<Offset, DateTime<Utc>>,
}

impl<'a> PartitionCheck<'a> {
    pub(super) fn new(
        ledger: Ledger<'a>,
        settings: Settings<'_>,
        partition: Partition,
        partitions: u32,
        until: Offset,
        reached: Offset,
    ) -> Self {
        let Settings { held_max, page, filter_bits_max, progress: _ } = settings;
        Self {
            ledger,
            partition,
            partitions,
            page: page.max(1),
            next: Offset::START,
            chain: Chain::new(partition),
            orders: Orders::new(held_max, until.0, filter_bits_max),
            known: 0,
            missing: 0,
            parked: HashMap::new(),
            letters: HashMap::new(),
            undecided: BTreeSet::new(),
            disbelieved: HashSet::new(),
            first: HashSet::new(),
            reached,
            expected: Vec::new(),
            logged: HashMap::new(),
        }
    }

    /// Reads on, and compares what is stored of each record; and the snapshots of orders that are let go of.
    pub(super) async fn advance(
        &mut self,
        until: Offset,
        found: &mut Findings<'_, '_>,
    ) -> Result<(), VerifyError> {
        let log = self.ledger.log;
        let reader = log.read(Topic::Events, self.partition, self.next, until).await?;
        let mut pages = Pages { reader, page: self.page, left: Vec::new() };
        loop {
            let (records, is_last) = pages.next().await?;
            let end = records.last().map_or(until, |last| last.position.offset.next());
            let end = if is_last { until.max(end) } else { end };
            // While the store answers. What is held longer is made here, or its memory would lie scattered among threads.
            let digested = tokio::task::spawn_blocking(move || digested(records));
            let stored = Accounts::load(self.ledger, self.partition, self.next, end, self.page);
            let (accounts, records) = tokio::join!(stored, digested);
            let (mut accounts, records) = (accounts?, records?);
            let read: Vec<_> = records
                .iter()
                .map(|(record, _)| {
                    let is_discarded = accounts.is_discarded(record.position.offset);
                    expect::read(record, self.partitions, is_discarded)
                })
                .collect();
            let touched = read.iter().filter_map(|read| match read {
                Read::Event(event) => Some(event.order_id),
                Read::Unreadable { .. } => None,
            });
            // Those that were let go of too early.
            self.recall(touched).await?;
            for (read, (record, digest)) in read.iter().zip(&records) {
                self.chain.add(record.position.offset, *digest);
                found.counted.records += 1;
                self.record(read, record, &mut accounts, found);
            }
            self.disbelieved.extend(accounts.rest(found));
            self.next = end;
            let leaving = self.orders.leaving(PAGE);
            for page in leaving.chunks(PAGE) {
                self.let_go(page).await?;
            }
            self.transitions_so_far(found).await?;
            found.compared(records.len(), self.orders.len());
            if is_last {
                return Ok(());
            }
        }
    }

    /// Compares the chain with what is stored of it, `stored` having been read before the first record was.
    pub(super) async fn digests(
        &mut self,
        stored: Option<Progress>,
        found: &mut Findings<'_, '_>,
    ) -> Result<(), VerifyError> {
        Ok(self.chain.compare(self.ledger.store, stored, self.next, found).await?)
    }

    fn record(
        &mut self,
        read: &Read,
        record: &LogRecord,
        accounts: &mut Accounts,
        found: &mut Findings<'_, '_>,
    ) {
        let offset = record.position.offset;
        match read {
            Read::Event(event) => {
                let row = self.event(event, record, found);
                let order_waits = self.letters.contains_key(&row.order_id);
                match accounts.event(&row, order_waits, found) {
                    Worth::Believed => {}
                    Worth::Undecided => {
                        self.undecided.insert(row.order_id);
                    }
                    Worth::Wrong => {
                        self.disbelieved.insert(offset);
                        self.orders.keep(row.order_id);
                    }
                }
            }
            Read::Unreadable { parks } => {
                found.counted.dead_letters += 1;
                let is_discarded = accounts.unreadable(record, *parks, found);
                self.disbelieved.insert(offset);
                if let Some(order) = *parks {
                    self.letters.entry(order).or_default().push(offset);
                    if !is_discarded {
                        self.parked.entry(order).or_insert(offset);
                    }
                }
            }
        }
    }

    /// Folds an event in, unless its order waits, and says what its row must be.
    fn event(
        &mut self,
        event: &Event,
        record: &LogRecord,
        found: &mut Findings<'_, '_>,
    ) -> HistoryRow {
        let (id, offset) = (event.order_id, record.position.offset);
        // What becomes of those with dead letters may be decided on meanwhile.
        let has_letters = self.letters.contains_key(&id);
        if has_letters && self.is_streamed(id) {
            self.logged.extend(record.appended_at.map(|at| (offset, at)));
        }
        if self.parked.contains_key(&id) {
            found.counted.parked += 1;
            return expect::parked(self.orders.get(id).map(|held| &held.order), event, record);
        }
        let before = self.orders.take(id);
        let (last, kept) =
            before.as_ref().map_or((record.position, false), |held| (held.position, held.kept));
        let entered_at_before = before.as_ref().map(|held| held.order.entered_at);
        let is_new = before.is_none();
        let (order, row) = expect::folded(before.map(|held| held.order), event, record);
        *match row.outcome {
            HistoryOutcome::Applied { .. } => &mut found.counted.applied,
            HistoryOutcome::Rejected { .. } => &mut found.counted.rejected,
            HistoryOutcome::Duplicate { .. } => &mut found.counted.duplicates,
            HistoryOutcome::Parked { .. } => &mut found.counted.parked,
        } += 1;
        if let Some(mut order) = order {
            if is_new {
                self.is_new(id, found);
            }
            let (outcome, position) = (row.outcome, record.position);
            if !has_letters && self.is_streamed(id) {
                let record = Some(record);
                let folded = Folded { event, outcome, entered_at_before, position, record };
                let expected;
                (order, expected) = folded.expected(order);
                if let Some(expected) = expected {
                    self.expect(expected, self.reached, found);
                }
            }
            let position = if outcome.is_recorded() { position } else { last };
            self.orders.put(Held { order, position, kept }, offset);
        }
        row
    }

    fn is_new(&mut self, order: OrderId, found: &mut Findings<'_, '_>) {
        self.known += 1;
        found.counted.orders += 1;
        if self.first.len() < Self::FIRST {
            self.first.insert(order);
        }
        found.counted.documents += u64::from(self.is_wanted(order));
    }

    /// Lets go of orders that are as stored. Those that are not may be later in the log, and are compared at the end.
    async fn let_go(&mut self, page: &[OrderId]) -> Result<(), VerifyError> {
        let stored = self.stored(page).await?;
        let mut same = Vec::with_capacity(page.len());
        for order in page {
            let Some(held) = self.orders.get(*order) else { continue };
            match stored.get(order) {
                Some(stored)
                    if stored.position == held.position
                        && stored.bytes == codec::encode_snapshot(&held.order) =>
                {
                    same.push(*order);
                }
                Some(stored) if self.is_ahead(stored) => self.orders.set_aside(*order),
                Some(_) | None => self.orders.keep(*order),
            }
        }
        let differing = self.differing_documents(&same).await?;
        for order in same {
            if differing.contains_key(&order) {
                self.orders.keep(order);
            } else {
                self.orders.take(order);
            }
        }
        Ok(())
    }

    /// Whether a snapshot is of a record that is not read yet.
    pub(super) fn is_ahead(&self, stored: &StoredSnapshot) -> bool {
        stored.position.partition == self.partition && stored.position.offset >= self.next
    }

    /// What is stored of these orders.
    pub(super) async fn stored(
        &self,
        orders: &[OrderId],
    ) -> Result<BTreeMap<OrderId, StoredSnapshot>, VerifyError> {
        let stored = self.ledger.store.load(orders).await?;
        Ok(stored.into_iter().map(|snapshot| (snapshot.order_id, snapshot)).collect())
    }

    /// How far the store says it is.
    pub(super) async fn folded(&self) -> Result<Offset, VerifyError> {
        let progress = self.ledger.store.progress(&[self.partition]).await?;
        Ok(progress.first().map_or(self.next, |progress| progress.next).max(self.next))
    }
}

fn digested(records: Vec<LogRecord>) -> Vec<(LogRecord, Digest)> {
    let digested = |record: LogRecord| {
        let digest = codec::record_digest(&record);
        (record, digest)
    };
    records.into_iter().map(digested).collect()
}

/// What is read, cut into pages: what a log reads at once may be more, or far less.
struct Pages {
    reader: Box<dyn Reader>,
    page: usize,
    left: Vec<LogRecord>,
}

impl Pages {
    /// The next page, and whether it is the last one.
    async fn next(&mut self) -> Result<(Vec<LogRecord>, bool), VerifyError> {
        while self.left.len() < self.page {
            let batch = self.reader.next().await?;
            if batch.is_empty() {
                return Ok((std::mem::take(&mut self.left), true));
            }
            self.left.extend(batch);
        }
        let left = self.left.split_off(self.page);
        Ok((std::mem::replace(&mut self.left, left), false))
    }
}
