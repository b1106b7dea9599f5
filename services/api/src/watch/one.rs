//! `WatchOrder`: the order as it is, then every version once, in order.
//!
//! The subscription comes first and the snapshot second, so nothing is missed between them; what comes twice is told by
//! its version. What is missing (since a token, or because a later announcement came before the repeat of a failed one) is
//! folded from the order's history.

use std::{collections::VecDeque, sync::Arc};

use codec::Violations;
use events::{Order, OrderId, fold};
use proto::v1;
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    Watch, Watches, change_in_history, change_of,
    hub::{Change, Interest, Subscription},
};
use crate::{
    command::parse_order_id,
    denial::Denial,
    freshness::damaged,
    token::{self, TokenKind},
};

/// Updates made from the history at a time.
const MISSED_MAX: usize = 64;
/// History rows read at a time.
const PAGE: usize = 500;

/// A watch of one order.
pub(crate) struct One {
    watches: Arc<Watches>,
    order_id: OrderId,
    /// The version that was sent last.
    sent: u64,
    /// Versions up to here are known to be there.
    known: u64,
    missed: VecDeque<v1::WatchOrderResponse>,
    changes: Subscription,
}

impl One {
    /// Begins, from the order as it is or after the token.
    pub(crate) async fn begin(
        watches: Arc<Watches>,
        request: v1::WatchOrderRequest,
        deadline: Instant,
    ) -> Result<Self, Denial> {
        let mut faults = Violations::default();
        let order_id = parse_order_id(&request.order_id, &mut faults);
        let resumed = order_id.and_then(|id| parse_token(id, &request.resume_token, &mut faults));
        let (Some(order_id), Some(resumed)) = (order_id, resumed) else {
            return Err(Denial::Invalid(faults));
        };
        watches.hub.ready(deadline).await?;
        let (changes, _) = watches.hub.watch(Interest::Order(order_id), Box::new(|_| true));
        let mut order = watches.snapshots.find(order_id, deadline).await?;
        if resumed.is_some_and(|sent| sent > order.version) {
            watches.snapshots.catch_up(order_id, deadline).await?;
            order = watches.snapshots.find(order_id, deadline).await?;
        }
        let known = order.version;
        let mut missed = VecDeque::new();
        let sent = match resumed {
            Some(sent) if sent > known => {
                return Err(Denial::OutOfRange(format!("the order is at version {known}")));
            }
            Some(sent) => sent,
            None => {
                missed.push_back(response(order_id, order, None));
                known
            }
        };
        Ok(Self { watches, order_id, sent, known, missed, changes })
    }

    /// Takes a change in: sent at once if it is the next, known to be missing otherwise.
    fn take(&mut self, change: &Change) -> Option<v1::WatchOrderResponse> {
        let order = change.order();
        if order.version <= self.sent {
            return None;
        }
        self.known = self.known.max(order.version);
        if order.version > self.sent + 1 {
            return None;
        }
        self.sent = order.version;
        Some(response(self.order_id, order, Some(change_of(&change.message))))
    }

    /// Folds the next versions from the history.
    async fn fetch(&mut self) -> Result<(), Denial> {
        let (store, order_id) = (&self.watches.store, self.order_id);
        let mut order: Option<Order> = None;
        let mut after = None;
        let mut missed = VecDeque::new();
        'history: loop {
            let rows = store.history_page(order_id, after, PAGE).await?;
            for row in &rows {
                let event =
                    codec::decode_event(&row.event).map_err(|error| damaged(order_id, &error))?;
                order = fold(order, &event).order;
                let Some(order) = order.as_ref().filter(|_| row.outcome.is_recorded()) else {
                    continue;
                };
                if order.version.get() > self.sent {
                    let change = change_in_history(row);
                    missed.push_back(response(
                        order_id,
                        codec::order_to_proto(order),
                        Some(change),
                    ));
                }
                if missed.len() == MISSED_MAX {
                    break 'history;
                }
            }
            match rows.last() {
                Some(last) if rows.len() == PAGE => after = Some(last.position.offset),
                Some(_) | None => break,
            }
        }
        let last = missed.back().and_then(|last| last.order.as_ref()).map(|order| order.version);
        // The history had them all when they were announced: anything else is no state to go on from.
        self.sent = last.ok_or(Denial::Damaged)?;
        self.missed = missed;
        Ok(())
    }
}

impl Watch for One {
    type Update = v1::WatchOrderResponse;

    async fn next(&mut self) -> Result<v1::WatchOrderResponse, Denial> {
        loop {
            if let Some(missed) = self.missed.pop_front() {
                return Ok(missed);
            }
            if self.known > self.sent {
                self.fetch().await?;
                continue;
            }
            let change = self.changes.next().await?;
            if let Some(response) = self.take(&change) {
                return Ok(response);
            }
        }
    }
}

fn response(
    order_id: OrderId,
    order: v1::Order,
    change: Option<v1::OrderChange>,
) -> v1::WatchOrderResponse {
    let resume_token = resume_token(order_id, order.version);
    v1::WatchOrderResponse { order: Some(order), change, resume_token }
}

/// After this version of this order.
fn resume_token(order_id: OrderId, version: u64) -> String {
    let mut bytes = order_id.as_uuid().as_bytes().to_vec();
    bytes.extend_from_slice(&version.to_be_bytes());
    token::seal(TokenKind::WatchOrder, &bytes)
}

fn parse_token(order_id: OrderId, token: &str, faults: &mut Violations) -> Option<Option<u64>> {
    if token.is_empty() {
        return Some(None);
    }
    let version = token::open(TokenKind::WatchOrder, token).and_then(|bytes| {
        let bytes = &mut bytes.as_slice();
        let same = OrderId::new(Uuid::from_bytes(token::take(bytes)?)) == order_id;
        let version = u64::from_be_bytes(token::take(bytes)?);
        (same && bytes.is_empty()).then_some(version)
    });
    let problem = "must be the token of a watch of this order";
    faults.check("resume_token", version.ok_or(problem)).map(Some)
}
