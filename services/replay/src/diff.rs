//! What another fold would change: two generations of the same log, compared row by row and order by order, as far as both
//! have folded it. Nothing is written, and neither is asked to be right.

use std::collections::BTreeMap;

use events::{EventKind, MinorUnits, Order, OrderId, Rejection, State};
use ports::{HistoryOutcome, HistoryRow, Offset, OrderStore, Partition, Position, StoreError};

/// What there is to say of the difference between a generation and the live one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// Records that both have folded.
    pub records: u64,
    /// Orders that either has of these records.
    pub orders: u64,
    /// Orders that end in another state, or with other sums, or in one of the two alone.
    pub ends_otherwise: u64,
    /// How many of these end in which state: in the live one, and in the new one; `None` where there is no such order.
    pub states: BTreeMap<(Option<State>, Option<State>), u64>,
    /// Events that the live fold has applied and the new one rejects: which, and why.
    pub now_rejected: BTreeMap<(EventKind, Rejection), u64>,
    /// Events that the live fold has rejected and the new one applies: which, and why they were.
    pub now_applied: BTreeMap<(EventKind, Rejection), u64>,
    /// Records of which something else became in any other way.
    pub otherwise: u64,
    /// Mails that would be due under the new fold and were not under the live one.
    pub would_send: u64,
    /// Mails that were due under the live fold and would not be under the new one.
    pub would_not_send: u64,
    /// Some of the orders that end otherwise.
    pub examples: Vec<Example>,
}

/// An order that ends otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// Which.
    pub order_id: OrderId,
    /// How it stands in the live generation, if it does.
    pub live: Option<Standing>,
    /// How it stands in the new one.
    pub new: Option<Standing>,
    /// The first record of which something else became.
    pub parts_at: Option<Parting>,
}

/// How an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its state.
    pub state: State,
    /// What it costs, and what was captured and refunded of that; `None` where only the state is known, because the order
    /// has moved on since.
    pub sums: Option<[MinorUnits; 3]>,
}

/// Where two folds part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parting {
    /// At which record.
    pub position: Position,
    /// Of what kind.
    pub kind: EventKind,
    /// What the live fold made of it; `None` if it could not be read.
    pub live: Option<HistoryOutcome>,
    /// What the new one makes of it.
    pub new: Option<HistoryOutcome>,
}

/// Says which mail is due because of what became of a record: its template's name.
pub type MailOf<'a> = &'a (dyn Fn(&HistoryOutcome) -> Option<&'static str> + Sync);

/// The most examples that are given.
pub const EXAMPLES_MAX: usize = 20;

/// Rows or orders read at once.
const PAGE: usize = 1_000;

/// Compares a generation with the live one.
///
/// # Errors
/// [`StoreError`] if either can't be read.
pub async fn diff(
    live: &dyn OrderStore,
    new: &dyn OrderStore,
    mail_of: MailOf<'_>,
) -> Result<Diff, StoreError> {
    let mut diff = Diff::default();
    let (of_live, of_new) = (offsets(live).await?, offsets(new).await?);
    let both: BTreeMap<_, _> = of_live
        .iter()
        .filter_map(|(partition, next)| Some((*partition, (*next).min(*of_new.get(partition)?))))
        .collect();
    for (partition, until) in &both {
        rows(live, new, *partition, *until, |live, new| diff.row(live, new, mail_of)).await?;
    }
    orders(live, new, &both, &mut diff).await?;
    Ok(diff)
}

async fn offsets(store: &dyn OrderStore) -> Result<BTreeMap<Partition, Offset>, StoreError> {
    let progress = store.progress(&[]).await?;
    Ok(progress.into_iter().map(|progress| (progress.partition, progress.next)).collect())
}

/// Hands out the rows of each record, of which at least one has one.
async fn rows(
    live: &dyn OrderStore,
    new: &dyn OrderStore,
    partition: Partition,
    until: Offset,
    mut each: impl FnMut(Option<&HistoryRow>, Option<&HistoryRow>),
) -> Result<(), StoreError> {
    let mut from = Offset::START;
    while from < until {
        let of_live = live.rows(partition, from, until, PAGE).await?;
        let of_new = new.rows(partition, from, until, PAGE).await?;
        // A full page ends before what the other may have more of.
        let end = |rows: &[HistoryRow]| {
            rows.last().filter(|_| rows.len() == PAGE).map(|row| row.position.offset.next())
        };
        let end = end(&of_live).into_iter().chain(end(&of_new)).min().unwrap_or(until);
        let mut places = BTreeMap::<Offset, [Option<&HistoryRow>; 2]>::new();
        for (side, rows) in [&of_live, &of_new].into_iter().enumerate() {
            for row in rows.iter().filter(|row| row.position.offset < end) {
                if let Some(place) = places.entry(row.position.offset).or_default().get_mut(side) {
                    *place = Some(row);
                }
            }
        }
        for [live, new] in places.into_values() {
            each(live, new);
        }
        from = end;
    }
    Ok(())
}

impl Diff {
    fn row(&mut self, live: Option<&HistoryRow>, new: Option<&HistoryRow>, mail_of: MailOf<'_>) {
        self.records += 1;
        let (was, is) = (live.map(|row| row.outcome), new.map(|row| row.outcome));
        if was == is {
            return;
        }
        let kind = new.or(live).map(|row| row.kind);
        match (kind, was, is) {
            (
                Some(kind),
                Some(HistoryOutcome::Applied { .. }),
                Some(HistoryOutcome::Rejected { reason, .. }),
            ) => *self.now_rejected.entry((kind, reason)).or_default() += 1,
            (
                Some(kind),
                Some(HistoryOutcome::Rejected { reason, .. }),
                Some(HistoryOutcome::Applied { .. }),
            ) => *self.now_applied.entry((kind, reason)).or_default() += 1,
            (_, _, _) => self.otherwise += 1,
        }
        let (had, has) = (was.as_ref().and_then(mail_of), is.as_ref().and_then(mail_of));
        if had != has {
            self.would_send += u64::from(has.is_some());
            self.would_not_send += u64::from(had.is_some());
        }
    }
}

/// Goes through both in the order of ids.
async fn orders(
    live: &dyn OrderStore,
    new: &dyn OrderStore,
    until: &BTreeMap<Partition, Offset>,
    diff: &mut Diff,
) -> Result<(), StoreError> {
    let (mut of_live, mut of_new) = (Scan::new(live), Scan::new(new));
    loop {
        let ids = [of_live.peek().await?, of_new.peek().await?];
        let Some(order_id) = ids.into_iter().flatten().min() else { return Ok(()) };
        let was = of_live.take(order_id, until).await?;
        let is = of_new.take(order_id, until).await?;
        if was.is_none() && is.is_none() {
            // Placed since.
            continue;
        }
        diff.orders += 1;
        if !differs(was, is) {
            continue;
        }
        diff.ends_otherwise += 1;
        let states = (was.map(|was| was.state), is.map(|is| is.state));
        *diff.states.entry(states).or_default() += 1;
        if diff.examples.len() < EXAMPLES_MAX {
            let parts_at = parting(live, new, order_id, until).await?;
            diff.examples.push(Example { order_id, live: was, new: is, parts_at });
        }
    }
}

fn differs(was: Option<Standing>, is: Option<Standing>) -> bool {
    match (was, is) {
        (Some(was), Some(is)) => {
            let sums = was.sums.zip(is.sums);
            was.state != is.state || sums.is_some_and(|(was, is)| was != is)
        }
        (None, None) => false,
        (Some(_), None) | (None, Some(_)) => true,
    }
}

/// The orders of a store, one by one.
struct Scan<'a> {
    store: &'a dyn OrderStore,
    page: std::vec::IntoIter<ports::StoredSnapshot>,
    next: Option<ports::StoredSnapshot>,
    last: Option<OrderId>,
}

impl<'a> Scan<'a> {
    fn new(store: &'a dyn OrderStore) -> Self {
        Self { store, page: Vec::new().into_iter(), next: None, last: None }
    }

    async fn peek(&mut self) -> Result<Option<OrderId>, StoreError> {
        if self.next.is_none() {
            self.next = self.page.next();
        }
        if self.next.is_none() {
            self.page = self.store.scan(self.last, PAGE).await?.into_iter();
            self.next = self.page.next();
        }
        Ok(self.next.as_ref().map(|next| next.order_id))
    }

    /// How this order stood below these offsets, if it is the one that comes next.
    async fn take(
        &mut self,
        order_id: OrderId,
        until: &BTreeMap<Partition, Offset>,
    ) -> Result<Option<Standing>, StoreError> {
        let Some(stored) = self.next.take_if(|next| next.order_id == order_id) else {
            return Ok(None);
        };
        self.last = Some(order_id);
        let Position { partition, offset } = stored.position;
        let is_past = until.get(&partition).is_some_and(|until| offset < *until);
        match codec::decode_snapshot(&stored.bytes) {
            Ok(order) if is_past => Ok(Some(Standing::of(&order))),
            // It has moved since, or an older program wrote it in its own way: the history says where it stood.
            Ok(_) | Err(_) => {
                let history = below(self.store, order_id, until).await?;
                let recorded = history.iter().rev().find(|row| row.outcome.is_recorded());
                let (_, state, _) = recorded.map_or((None, None, None), |row| row.outcome.parts());
                Ok(state.map(|state| Standing { state, sums: None }))
            }
        }
    }
}

impl Standing {
    fn of(order: &Order) -> Self {
        let sums = [order.details.total(), order.captured, order.refunded];
        Self { state: order.state, sums: Some(sums) }
    }
}

/// The history of an order as far as both have folded it.
async fn below(
    store: &dyn OrderStore,
    order_id: OrderId,
    until: &BTreeMap<Partition, Offset>,
) -> Result<Vec<HistoryRow>, StoreError> {
    let mut history = store.history(order_id).await?;
    history.retain(|row| {
        let Position { partition, offset } = row.position;
        until.get(&partition).is_some_and(|until| offset < *until)
    });
    Ok(history)
}

/// The first record of an order of which the two have made something else.
async fn parting(
    live: &dyn OrderStore,
    new: &dyn OrderStore,
    order_id: OrderId,
    until: &BTreeMap<Partition, Offset>,
) -> Result<Option<Parting>, StoreError> {
    let mut places = BTreeMap::<Position, (EventKind, [Option<HistoryOutcome>; 2])>::new();
    let histories = [below(live, order_id, until).await?, below(new, order_id, until).await?];
    for (side, history) in histories.iter().enumerate() {
        for row in history {
            let (_, outcomes) = places.entry(row.position).or_insert((row.kind, [None, None]));
            if let Some(outcome) = outcomes.get_mut(side) {
                *outcome = Some(row.outcome);
            }
        }
    }
    let parted = places.into_iter().find(|(_, (_, [live, new]))| live != new);
    Ok(parted.map(|(position, (kind, [live, new]))| Parting { position, kind, live, new }))
}
