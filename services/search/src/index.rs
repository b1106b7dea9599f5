//! One batch: the newest document of every order in it, written by a few requests side by side.

use std::sync::Arc;

use async_trait::async_trait;
use consumer::{Changed, Error, Reaction, Refusal, newest};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use ports::{IndexOutcome, OrderDocument, SearchError, SearchIndex};

use crate::Settings;

pub(crate) struct Indexing {
    pub(crate) index: Arc<dyn SearchIndex>,
    pub(crate) settings: Settings,
}

#[async_trait]
impl Reaction for Indexing {
    fn name(&self) -> &'static str {
        "index documents"
    }

    async fn react(&self, batch: &[Changed]) -> Result<Vec<Refusal>, Error> {
        // Requests may end in any order: each order is in one of them alone.
        let newest = newest(batch);
        let requests: Vec<_> = newest
            .chunks(self.settings.request_documents_max.max(1))
            .map(|changes| self.upsert(changes))
            .collect();
        let refusals: Vec<_> = stream::iter(requests)
            .buffer_unordered(self.settings.requests_in_flight_max.max(1))
            .try_collect()
            .await?;
        Ok(refusals.into_iter().flatten().collect())
    }
}

impl Indexing {
    async fn upsert(&self, changes: &[&Changed]) -> Result<Vec<Refusal>, SearchError> {
        let documents: Vec<_> =
            changes.iter().map(|changed| OrderDocument::from(&changed.change.order)).collect();
        let outcomes = self.index.upsert(&documents).await?;
        let (mut indexed, mut stale) = (0, 0);
        let mut refusals = Vec::new();
        for (changed, outcome) in changes.iter().zip(outcomes) {
            match outcome {
                IndexOutcome::Indexed => indexed += 1,
                IndexOutcome::Stale => stale += 1,
                IndexOutcome::Refused(detail) => {
                    refusals.push(Refusal { record: changed.record.clone(), detail });
                }
            }
        }
        let refused = u64::try_from(refusals.len()).unwrap_or(u64::MAX);
        for (outcome, count) in [("indexed", indexed), ("stale", stale), ("refused", refused)] {
            metrics::counter!("order_ledger_search_documents_total", "outcome" => outcome)
                .increment(count);
        }
        Ok(refusals)
    }
}
