//! An order as it was: its history folded again up to a moment, with the same fold.

use chrono::{DateTime, Utc};
use events::{Order, OrderId, Version, fold};
use ports::{HistoryOutcome, HistoryRow, OrderStore, Position};

use crate::{denial::Denial, freshness::damaged};

/// Rows read at a time.
const PAGE: usize = 500;

/// Up to when.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Moment {
    /// When it had this version.
    Version(Version),
    /// Before the first event, in the order of the log, that happened later than this.
    Instant(DateTime<Utc>),
    /// After this record of the order's partition.
    Position(Position),
}

impl Moment {
    /// Whether a record comes after it.
    fn is_before(self, row: &HistoryRow) -> bool {
        match self {
            Self::Version(_) => false,
            Self::Instant(at) => row.occurred_at > at,
            // In another partition than that of the order there is nothing that could have moved it.
            Self::Position(at) => {
                row.position.partition != at.partition || row.position.offset > at.offset
            }
        }
    }
}

/// What there was.
pub(crate) enum Past {
    /// The order as it was then.
    Order(Box<Order>),
    /// No order is known by that id.
    Unknown,
    /// It was not placed yet.
    Earlier,
    /// It has not come so far; where it is.
    Later(Version),
}

/// Folds the order's history up to `moment`. Memory is bounded by a page of it.
pub(crate) async fn order_at(
    store: &dyn OrderStore,
    order_id: OrderId,
    moment: Moment,
) -> Result<Past, Denial> {
    let mut order: Option<Order> = None;
    let mut after = None;
    loop {
        let rows = store.history_page(order_id, after, PAGE).await?;
        for row in &rows {
            if moment.is_before(row) {
                return Ok(order.map_or(Past::Earlier, |order| Past::Order(Box::new(order))));
            }
            // It waits, and so do all after it.
            if matches!(row.outcome, HistoryOutcome::Parked { .. }) {
                continue;
            }
            let event =
                codec::decode_event(&row.event).map_err(|error| damaged(order_id, &error))?;
            order = fold(order, &event).order;
            if let (Moment::Version(version), Some(reached)) = (moment, &order)
                && reached.version >= version
            {
                return Ok(order.map_or(Past::Earlier, |order| Past::Order(Box::new(order))));
            }
        }
        match rows.last() {
            Some(last) if rows.len() == PAGE => after = Some(last.position.offset),
            _ => break,
        }
    }
    Ok(match (order, moment) {
        (None, _) => Past::Unknown,
        (Some(order), Moment::Instant(_) | Moment::Position(_)) => Past::Order(Box::new(order)),
        (Some(order), Moment::Version(_)) => Past::Later(order.version),
    })
}
