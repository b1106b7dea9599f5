//! Transitions made of the history, for a stream that lacks some: it began later than the orders did, or was lost. What is
//! there stays as it is.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, Utc};
use events::OrderId;
use ports::{
    HistoryRow, IndexOutcome, OrderStore, StoreError, TransitionDocument, TransitionStream,
};
use projection::refold;

use super::{
    ReplayError,
    reindex::{RefusedDocument, Reindexed, patiently},
};

/// Orders whose history is read at once.
pub(super) const ORDERS: usize = 100;
/// Rows of one of them that are read with the others'; longer histories are read one by one.
const ROWS: usize = 50;

/// Every transition of these orders, as if it were made now.
pub(super) async fn of_orders(
    store: &dyn OrderStore,
    orders: &[OrderId],
    now: DateTime<Utc>,
) -> Result<Vec<TransitionDocument>, StoreError> {
    let mut histories: BTreeMap<OrderId, Vec<HistoryRow>> = BTreeMap::new();
    for row in store.histories(orders, ROWS).await? {
        histories.entry(row.order_id).or_default().push(row);
    }
    let mut transitions = Vec::new();
    for (order, mut history) in histories {
        if history.len() >= ROWS {
            history = store.history(order).await?;
        }
        refold(&history, |refolding| {
            let change = refolding.change();
            transitions.extend(change.map(|change| codec::transition(&change, None, now)));
        })?;
    }
    Ok(transitions)
}

/// One request.
pub(super) async fn append(
    stream: Arc<dyn TransitionStream>,
    transitions: Vec<TransitionDocument>,
) -> Result<Reindexed, ReplayError> {
    let append = || stream.append_missing(&transitions);
    let outcomes = patiently("append transitions", append).await?;
    let mut written = Reindexed::default();
    for (transition, outcome) in transitions.iter().zip(outcomes) {
        match outcome {
            IndexOutcome::Indexed => written.transitions += 1,
            IndexOutcome::Stale => {}
            IndexOutcome::Refused(why) => {
                written.refused += 1;
                let order_id = transition.order_id.parse();
                let why = format!("its transition {}: {why}", transition.version);
                written.refusals.extend(order_id.map(|order_id| RefusedDocument { order_id, why }));
            }
        }
    }
    Ok(written)
}
