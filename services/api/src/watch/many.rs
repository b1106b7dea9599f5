//! `WatchOrders`: the orders that match as they are, then every change after which one matches.
//!
//! A watch knows its place in `orders.state-changed`. It reads the log from there until it is close to the hub, takes its
//! place among the hub's watchers, and reads the little that is left between. A new watch notes the hub's place, lists the
//! orders, and goes on as one that resumes from there: however long a list takes, nothing is queued meanwhile.

use std::{collections::VecDeque, sync::Arc};

use codec::Violations;
use ports::{ListKey, Offset, OrderFilter, Partition, Reader, Topic};
use proto::v1::{self, watch_orders_response::Update};
use tokio::time::Instant;

use super::{
    Watch, Watches, change_of,
    hub::{Change, Interest, Places, Subscription},
};
use crate::{
    denial::Denial,
    filter::parse_filter,
    freshness::damaged,
    token::{self, TokenKind},
};

/// Orders listed at a time.
const PAGE: usize = 200;
/// So few changes behind, a watch takes its place at the hub.
const CLOSE: i64 = 128;

/// A watch of many orders.
pub(crate) struct Many {
    watches: Arc<Watches>,
    filter: Arc<OrderFilter>,
    /// Every change below was looked at.
    places: Places,
    phase: Phase,
    ready: VecDeque<v1::WatchOrdersResponse>,
}

enum Phase {
    /// Orders as they are, after the key.
    Listing(Option<ListKey>),
    /// The log, up to where the hub is.
    Reading(Option<(Partition, Box<dyn Reader>)>),
    /// The log, up to where the subscription begins.
    Joining(Subscription, Places, Option<(Partition, Box<dyn Reader>)>),
    Live(Subscription),
}

impl Many {
    /// Begins, with the orders as they are, with the next change, or after the token.
    pub(crate) async fn begin(
        watches: Arc<Watches>,
        request: v1::WatchOrdersRequest,
        deadline: Instant,
    ) -> Result<Self, Denial> {
        let mut faults = Violations::default();
        let filter = parse_filter(request.filter.as_ref(), &mut faults);
        let resumed = parse_token(&request.resume_token, &mut faults);
        let (Some(filter), Some(resumed)) = (filter, resumed) else {
            return Err(Denial::Invalid(faults));
        };
        watches.hub.ready(deadline).await?;
        let now = watches.hub.places();
        let mut ready = VecDeque::new();
        let (places, phase) = match resumed {
            Some(places) => {
                check(&watches, &places, &now).await?;
                (places, Phase::Reading(None))
            }
            None if request.changes_only => {
                ready.push_back(caught_up(&now));
                (now, Phase::Reading(None))
            }
            None => (now, Phase::Listing(None)),
        };
        Ok(Self { watches, filter: Arc::new(filter), places, phase, ready })
    }

    /// The next page of orders as they are; at its end, changes come.
    async fn list(&mut self, after: Option<ListKey>) -> Result<(), Denial> {
        let page = self.watches.store.list(&self.filter, after, PAGE).await?;
        for snapshot in &page {
            let order = codec::order_of_snapshot(&snapshot.bytes)
                .map_err(|error| damaged(snapshot.order_id, &error))?;
            if let Some(placed_at) = codec::decode_instant(order.placed_at.as_ref()) {
                let order_id = snapshot.order_id;
                self.phase = Phase::Listing(Some(ListKey { placed_at, order_id }));
            }
            let update = Some(Update::Order(order));
            self.ready.push_back(v1::WatchOrdersResponse { update, ..Default::default() });
        }
        if page.len() < PAGE {
            self.ready.push_back(caught_up(&self.places));
            self.phase = Phase::Reading(None);
        }
        Ok(())
    }

    /// A change that was looked at: its place is passed, and it is sent if it matches.
    fn take(&mut self, change: &Change) {
        let (partition, next) = (change.position.partition, change.position.offset.next());
        let place = self.places.entry(partition).or_insert(Offset::START);
        if *place >= next {
            return;
        }
        *place = next;
        if matches(&self.filter, change) {
            let changed = v1::WatchOrderResponse {
                order: Some(change.order()),
                change: Some(change_of(&change.message)),
                // A place among many orders: the outer one.
                resume_token: String::new(),
            };
            self.ready.push_back(v1::WatchOrdersResponse {
                update: Some(Update::Changed(changed)),
                resume_token: resume_token(&self.places),
            });
        }
    }

    /// Reads what is behind `until`; whether there was something.
    async fn read(
        &mut self,
        reader: &mut Option<(Partition, Box<dyn Reader>)>,
        until: &Places,
    ) -> Result<bool, Denial> {
        if reader.is_none() {
            let behind = until.iter().find(|(partition, until)| {
                self.places.get(partition).is_none_or(|place| place < *until)
            });
            let Some((partition, until)) = behind else { return Ok(false) };
            let from = self.places.get(partition).copied().unwrap_or(Offset::START);
            let log = &self.watches.log;
            *reader =
                Some((*partition, log.read(Topic::StateChanged, *partition, from, *until).await?));
        }
        let Some((partition, open)) = reader else { return Ok(false) };
        let partition = *partition;
        let records = open.next().await?;
        if records.is_empty() {
            // The last records may be none of ours, or not there at all.
            if let Some(until) = until.get(&partition) {
                let place = self.places.entry(partition).or_insert(*until);
                *place = (*place).max(*until);
            }
            *reader = None;
        }
        for record in &records {
            match Change::parse(record) {
                Some(change) => self.take(&change),
                None => _ = self.places.insert(partition, record.position.offset.next()),
            }
        }
        Ok(true)
    }

    /// One step of whatever phase it is in.
    async fn step(&mut self) -> Result<(), Denial> {
        // Taken out for the step; a step that is dropped half-way is followed by no other.
        match std::mem::replace(&mut self.phase, Phase::Reading(None)) {
            Phase::Listing(after) => {
                self.phase = Phase::Listing(after);
                self.list(after).await?;
            }
            Phase::Reading(mut reader) => {
                let head = self.watches.hub.places();
                if reader.is_none() && behind(&self.places, &head) <= CLOSE {
                    let filter = Arc::clone(&self.filter);
                    let wanted = Box::new(move |change: &Change| matches(&filter, change));
                    let (changes, from) = self.watches.hub.watch(interest(&self.filter), wanted);
                    self.phase = Phase::Joining(changes, from, None);
                } else {
                    self.read(&mut reader, &head).await?;
                    self.phase = Phase::Reading(reader);
                }
            }
            Phase::Joining(changes, until, mut reader) => {
                let more = self.read(&mut reader, &until).await?;
                self.phase = if more {
                    Phase::Joining(changes, until, reader)
                } else {
                    Phase::Live(changes)
                };
            }
            Phase::Live(mut changes) => {
                let change = changes.next().await;
                self.phase = Phase::Live(changes);
                self.take(&*change?);
            }
        }
        Ok(())
    }
}

impl Watch for Many {
    type Update = v1::WatchOrdersResponse;

    async fn next(&mut self) -> Result<v1::WatchOrdersResponse, Denial> {
        loop {
            if let Some(update) = self.ready.pop_front() {
                return Ok(update);
            }
            self.step().await?;
        }
    }
}

/// What the filter names that fewest orders have.
fn interest(filter: &OrderFilter) -> Interest {
    match (&filter.customer_email, &filter.region) {
        (Some(email), _) => Interest::Customer(email.clone()),
        (None, Some(region)) => Interest::Region(region.clone()),
        (None, None) => Interest::Everything,
    }
}

/// Whether the order matches after the change.
fn matches(filter: &OrderFilter, change: &Change) -> bool {
    let order = change.message.order.as_ref();
    let details = order.and_then(|order| order.details.as_ref());
    let is = |wanted: &Option<String>, found: Option<&String>| {
        wanted.as_ref().is_none_or(|wanted| Some(wanted) == found)
    };
    (filter.states.is_empty() || filter.states.contains(&change.state))
        && is(&filter.region, details.map(|details| &details.region))
        && is(
            &filter.customer_email,
            details.and_then(|details| details.customer.as_ref()).map(|customer| &customer.email),
        )
        && filter.placed_from.is_none_or(|from| change.placed_at >= from)
        && filter.placed_until.is_none_or(|until| change.placed_at < until)
}

/// How many changes at most are between.
fn behind(places: &Places, head: &Places) -> i64 {
    head.iter().fold(0, |sum, (partition, head)| {
        let place = places.get(partition).map_or(0, |place| place.0);
        sum.saturating_add(head.0.saturating_sub(place).max(0))
    })
}

/// Refuses places that the log does not have: expired, or never there.
async fn check(watches: &Watches, places: &Places, now: &Places) -> Result<(), Denial> {
    if places.len() != now.len() || !places.keys().eq(now.keys()) {
        let mut faults = Violations::default();
        faults.add("resume_token", "must be of this ledger");
        return Err(Denial::Invalid(faults));
    }
    for start in watches.log.start_offsets(Topic::StateChanged).await? {
        if places.get(&start.partition).is_some_and(|place| *place < start.offset) {
            return Err(Denial::expired());
        }
    }
    let ends = watches.log.end_offsets(Topic::StateChanged).await?;
    if ends.iter().any(|end| places.get(&end.partition).is_some_and(|place| *place > end.offset)) {
        return Err(Denial::OutOfRange("the token is ahead of the log".to_owned()));
    }
    Ok(())
}

fn caught_up(places: &Places) -> v1::WatchOrdersResponse {
    v1::WatchOrdersResponse {
        update: Some(Update::CaughtUp(v1::CaughtUp {})),
        resume_token: resume_token(places),
    }
}

/// After these places.
fn resume_token(places: &Places) -> String {
    let mut bytes = Vec::with_capacity(places.len() * 12);
    for (partition, offset) in places {
        bytes.extend_from_slice(&partition.0.to_be_bytes());
        bytes.extend_from_slice(&offset.0.to_be_bytes());
    }
    token::seal(TokenKind::WatchOrders, &bytes)
}

fn parse_token(token: &str, faults: &mut Violations) -> Option<Option<Places>> {
    if token.is_empty() {
        return Some(None);
    }
    let places = token::open(TokenKind::WatchOrders, token).and_then(|bytes| {
        let mut bytes = bytes.as_slice();
        let mut places = Places::new();
        while !bytes.is_empty() {
            let partition = Partition(u32::from_be_bytes(token::take(&mut bytes)?));
            let offset = Offset(i64::from_be_bytes(token::take(&mut bytes)?));
            if offset.0 < 0 || places.insert(partition, offset).is_some() {
                return None;
            }
        }
        Some(places)
    });
    faults.check("resume_token", places.ok_or("must be the token of a watch")).map(Some)
}
