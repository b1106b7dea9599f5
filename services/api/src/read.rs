//! Reading orders: one, its past, its history, those that match, those that are found.

use std::{sync::Arc, time::Duration};

use codec::Violations;
use events::OrderId;
use ports::{
    HistoryRow, ListKey, Offset, OrderHit, OrderStore, Partition, Position, SearchIndex, SearchKey,
    SearchQuery,
};
use proto::v1::{self, get_order_request::At};
use tokio::time::Instant;

use crate::{
    call::Context,
    command::parse_order_id,
    denial::Denial,
    filter::{
        PageKey, digest, parse_filter, parse_instant, parse_page_size, parse_position, parse_text,
    },
    freshness::{Snapshots, damaged},
    past::{self, Moment, Past},
    token::{self, TokenKind},
};

/// How many a page has if the caller does not say.
const HISTORY_PAGE: u32 = 100;
const ORDERS_PAGE: u32 = 50;
/// How long between two looks at whether the index has an order.
const INDEX_PAUSE: Duration = Duration::from_millis(20);

/// Answers the calls that read.
pub(crate) struct Reads {
    snapshots: Arc<Snapshots>,
    store: Arc<dyn OrderStore>,
    index: Arc<dyn SearchIndex>,
}

impl Reads {
    pub(crate) const fn new(
        snapshots: Arc<Snapshots>,
        store: Arc<dyn OrderStore>,
        index: Arc<dyn SearchIndex>,
    ) -> Self {
        Self { snapshots, store, index }
    }

    /// One order, as it is or was.
    pub(crate) async fn get(
        &self,
        request: v1::GetOrderRequest,
        context: Context,
    ) -> Result<v1::GetOrderResponse, Denial> {
        let mut faults = Violations::default();
        let order_id = parse_order_id(&request.order_id, &mut faults);
        let not_before = parse_position("not_before", request.not_before, &mut faults);
        let moment = parse_moment(request.at, &mut faults);
        let (Some(order_id), Some(not_before), Some(moment)) = (order_id, not_before, moment)
        else {
            return Err(Denial::Invalid(faults));
        };
        self.reach(not_before, context.deadline).await?;
        if let Some(Moment::Position(position)) = moment {
            self.is_logged(position).await?;
            self.snapshots.folded(position, context.deadline).await?;
        }
        let order = match moment {
            None => self.snapshots.find(order_id, context.deadline).await?,
            Some(moment) => self.past(order_id, moment, context.deadline).await?,
        };
        Ok(v1::GetOrderResponse { order: Some(order) })
    }

    /// Every event of an order and what became of it.
    pub(crate) async fn history(
        &self,
        request: v1::GetOrderHistoryRequest,
        context: Context,
    ) -> Result<v1::GetOrderHistoryResponse, Denial> {
        let mut faults = Violations::default();
        let order_id = parse_order_id(&request.order_id, &mut faults);
        let not_before = parse_position("not_before", request.not_before, &mut faults);
        let size = parse_page_size(request.page_size, HISTORY_PAGE, &mut faults);
        let after =
            order_id.and_then(|id| parse_history_token(id, &request.page_token, &mut faults));
        let (Some(order_id), Some(not_before), Some(size), Some(after)) =
            (order_id, not_before, size, after)
        else {
            return Err(Denial::Invalid(faults));
        };
        self.reach(not_before, context.deadline).await?;
        let mut rows = self.store.history_page(order_id, after, size + 1).await?;
        if rows.is_empty() && after.is_none() {
            self.snapshots.catch_up(order_id, context.deadline).await?;
            rows = self.store.history_page(order_id, after, size + 1).await?;
            if rows.is_empty() {
                return Err(Denial::NotFound(order_id));
            }
        }
        let is_more = rows.len() > size;
        rows.truncate(size);
        let last = rows.last().map(|row| row.position.offset).filter(|_| is_more);
        let entries: Result<_, _> = rows.iter().map(history_entry).collect();
        Ok(v1::GetOrderHistoryResponse {
            entries: entries?,
            next_page_token: last.map_or_else(String::new, |last| history_token(order_id, last)),
        })
    }

    /// Orders that match, newest placed first.
    pub(crate) async fn list(
        &self,
        request: v1::ListOrdersRequest,
        context: Context,
    ) -> Result<v1::ListOrdersResponse, Denial> {
        let mut faults = Violations::default();
        let question = digest(&request.filter.clone().unwrap_or_default());
        let filter = parse_filter(request.filter.as_ref(), &mut faults);
        let size = parse_page_size(request.page_size, ORDERS_PAGE, &mut faults);
        let after = PageKey::parse(TokenKind::List, question, &request.page_token, &mut faults);
        let not_before = parse_position("not_before", request.not_before, &mut faults);
        let (Some(filter), Some(size), Some(after), Some(not_before)) =
            (filter, size, after, not_before)
        else {
            return Err(Denial::Invalid(faults));
        };
        self.reach(not_before, context.deadline).await?;
        let after = after.map(|PageKey { placed_at, order_id }| ListKey { placed_at, order_id });
        let mut found = self.store.list(&filter, after, size + 1).await?;
        let is_more = found.len() > size;
        found.truncate(size);
        let orders: Result<Vec<_>, _> = found
            .iter()
            .map(|snapshot| {
                codec::order_of_snapshot(&snapshot.bytes)
                    .map_err(|error| damaged(snapshot.order_id, &error))
            })
            .collect();
        let orders = orders?;
        let last = found.last().zip(orders.last()).filter(|_| is_more);
        let next_page_token = last
            .and_then(|(snapshot, order)| {
                let placed_at = codec::decode_instant(order.placed_at.as_ref())?;
                let key = PageKey { placed_at, order_id: snapshot.order_id };
                Some(key.token(TokenKind::List, question))
            })
            .unwrap_or_default();
        Ok(v1::ListOrdersResponse { orders, next_page_token })
    }

    /// Orders that are found by text.
    pub(crate) async fn search(
        &self,
        request: v1::SearchOrdersRequest,
        context: Context,
    ) -> Result<v1::SearchOrdersResponse, Denial> {
        let mut faults = Violations::default();
        let question = digest(&v1::SearchOrdersRequest {
            text: request.text.clone(),
            filter: request.filter.clone(),
            payment_gateway: request.payment_gateway.clone(),
            ..Default::default()
        });
        let text = parse_text("text", &request.text, &mut faults);
        let filter = parse_filter(request.filter.as_ref(), &mut faults);
        let gateway = parse_text("payment_gateway", &request.payment_gateway, &mut faults);
        let size = parse_page_size(request.page_size, ORDERS_PAGE, &mut faults);
        let after = PageKey::parse(TokenKind::Search, question, &request.page_token, &mut faults);
        let not_before = parse_position("not_before", request.not_before, &mut faults);
        let (Some(text), Some(filter), Some(payment_gateway)) = (text, filter, gateway) else {
            return Err(Denial::Invalid(faults));
        };
        let (Some(size), Some(after), Some(not_before)) = (size, after, not_before) else {
            return Err(Denial::Invalid(faults));
        };
        if let Some(position) = not_before {
            self.indexed(position, context.deadline).await?;
        }
        let query = SearchQuery {
            text,
            states: filter.states,
            region: filter.region,
            customer_email: filter.customer_email,
            payment_gateway,
            placed_from: filter.placed_from,
            placed_until: filter.placed_until,
            fresh: not_before.is_some(),
        };
        let after = after.map(|PageKey { placed_at, order_id }| SearchKey { placed_at, order_id });
        let found = self.index.search(&query, after, size).await?;
        let next = found.next.map(|SearchKey { placed_at, order_id }| {
            PageKey { placed_at, order_id }.token(TokenKind::Search, question)
        });
        let total_of =
            |(state, orders)| v1::StateTotal { state: codec::state_to_proto(state).into(), orders };
        Ok(v1::SearchOrdersResponse {
            orders: found.hits.into_iter().map(summary).collect(),
            next_page_token: next.unwrap_or_default(),
            total: found.total,
            totals: found.by_state.into_iter().map(total_of).collect(),
        })
    }

    /// Waits until a record is folded, if the caller names one.
    async fn reach(&self, position: Option<Position>, deadline: Instant) -> Result<(), Denial> {
        let Some(position) = position else { return Ok(()) };
        self.must_have("not_before", position.partition).await?;
        self.snapshots.folded(position, deadline).await
    }

    /// Refuses a partition that the log does not have.
    async fn must_have(&self, field: &str, partition: Partition) -> Result<(), Denial> {
        let partitions = self.snapshots.partitions().await?;
        if partition.0 < partitions {
            return Ok(());
        }
        let mut faults = Violations::default();
        faults.add(format!("{field}.partition"), format_args!("must be below {partitions}"));
        Err(Denial::Invalid(faults))
    }

    /// Refuses a place that the log has not come to: what will be there is not known.
    async fn is_logged(&self, position: Position) -> Result<(), Denial> {
        let Position { partition, offset } = position;
        self.must_have("position", partition).await?;
        let end = self.snapshots.end(partition).await?;
        if offset < end {
            return Ok(());
        }
        Err(Denial::OutOfRange(format!("partition {partition} of the event log ends at {end}")))
    }

    /// Waits until the effect of a record can be found.
    async fn indexed(&self, position: Position, deadline: Instant) -> Result<(), Denial> {
        self.reach(Some(position), deadline).await?;
        // A dead letter, or an event of no order, has nothing to find.
        let Some(row) = self.store.record_at(position).await? else { return Ok(()) };
        loop {
            let versions = self.index.versions(&[row.order_id]).await?;
            let version = versions.get(&row.order_id).copied().unwrap_or_default();
            if version >= row.version {
                return Ok(());
            }
            if Instant::now() + INDEX_PAUSE > deadline {
                return Err(Denial::Unfolded(position));
            }
            tokio::time::sleep(INDEX_PAUSE).await;
        }
    }

    /// The order as it was; what is not there is looked for again once the projection caught up.
    async fn past(
        &self,
        order_id: OrderId,
        moment: Moment,
        deadline: Instant,
    ) -> Result<v1::Order, Denial> {
        let mut past = past::order_at(self.store.as_ref(), order_id, moment).await?;
        if matches!(past, Past::Unknown | Past::Later(_)) {
            self.snapshots.catch_up(order_id, deadline).await?;
            past = past::order_at(self.store.as_ref(), order_id, moment).await?;
        }
        match past {
            Past::Order(order) => Ok(codec::order_to_proto(&order)),
            Past::Unknown => Err(Denial::NotFound(order_id)),
            Past::Earlier => Err(Denial::NotYetPlaced(order_id)),
            Past::Later(version) => {
                Err(Denial::OutOfRange(format!("the order is at version {version}")))
            }
        }
    }
}

fn parse_moment(at: Option<At>, faults: &mut Violations) -> Option<Option<Moment>> {
    match at {
        None => Some(None),
        Some(At::Version(version)) => {
            let version = codec::decode_version(version).ok_or("must be 1 or more");
            faults.check("version", version).map(|version| Some(Moment::Version(version)))
        }
        Some(At::Time(time)) => {
            parse_instant("time", Some(&time), faults).map(|time| time.map(Moment::Instant))
        }
        Some(At::Position(position)) => {
            let position = parse_position("position", Some(position), faults);
            position.map(|position| position.map(Moment::Position))
        }
    }
}

fn history_token(order_id: OrderId, last: Offset) -> String {
    let mut bytes = order_id.as_uuid().as_bytes().to_vec();
    bytes.extend_from_slice(&last.0.to_be_bytes());
    token::seal(TokenKind::History, &bytes)
}

fn parse_history_token(
    order_id: OrderId,
    token: &str,
    faults: &mut Violations,
) -> Option<Option<Offset>> {
    if token.is_empty() {
        return Some(None);
    }
    let offset = token::open(TokenKind::History, token).and_then(|bytes| {
        let bytes = &mut bytes.as_slice();
        let same = token::take::<16>(bytes)? == *order_id.as_uuid().as_bytes();
        let offset = i64::from_be_bytes(token::take(bytes)?);
        (same && bytes.is_empty()).then_some(Offset(offset))
    });
    let problem = "must be the token of the page before, of the same order";
    faults.check("page_token", offset.ok_or(problem)).map(Some)
}

fn history_entry(row: &HistoryRow) -> Result<v1::HistoryEntry, Denial> {
    codec::history_to_proto(row).map_err(|error| damaged(row.order_id, &error))
}

fn summary(hit: OrderHit) -> v1::OrderSummary {
    v1::OrderSummary {
        order_id: hit.order_id.to_string(),
        version: hit.version,
        state: codec::state_to_proto(hit.state).into(),
        currency_code: hit.currency,
        total_minor: hit.total_minor,
        region: hit.region,
        customer_email: hit.customer_email,
        placed_at: Some(codec::encode_instant(hit.placed_at)),
        updated_at: Some(codec::encode_instant(hit.updated_at)),
    }
}
