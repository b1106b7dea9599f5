//! One batch: the newest document of every order in it, and the transition of every change, written by a few requests side
//! by side.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use consumer::{Changed, Error, Reaction, Refusal, newest};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use ports::{
    Clock, IndexOutcome, OrderDocument, Position, SearchError, SearchIndex, TransitionStream,
};

use crate::{
    Settings,
    traces::{self, Index},
};

pub(crate) struct Indexing {
    pub(crate) index: Arc<dyn SearchIndex>,
    pub(crate) transitions: Arc<dyn TransitionStream>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: Settings,
}

#[async_trait]
impl Reaction for Indexing {
    fn name(&self) -> &'static str {
        "index documents"
    }

    async fn react(&self, batch: &[Changed]) -> Result<Vec<Refusal>, Error> {
        // To the end, both: what one fails to write must not keep the other from what it can. The batch comes again if
        // either fails, and finds what is there.
        let (documents, transitions) =
            futures::join!(self.write_documents(batch), self.write_transitions(batch));
        let (mut refusals, others) = (documents?, transitions?);
        refusals.extend(others);
        Ok(one_each(refusals))
    }
}

impl Indexing {
    /// Requests may end in any order: each order is in one of them alone.
    async fn write_documents(&self, batch: &[Changed]) -> Result<Vec<Refusal>, SearchError> {
        let newest = newest(batch);
        let requests: Vec<_> = newest
            .chunks(self.settings.request_documents_max.max(1))
            .map(|changes| self.upsert(changes))
            .collect();
        self.side_by_side(requests).await
    }

    async fn write_transitions(&self, batch: &[Changed]) -> Result<Vec<Refusal>, SearchError> {
        let requests: Vec<_> = batch
            .chunks(self.settings.request_documents_max.max(1))
            .map(|changes| self.append(changes))
            .collect();
        self.side_by_side(requests).await
    }

    async fn side_by_side(
        &self,
        requests: Vec<impl Future<Output = Result<Vec<Refusal>, SearchError>>>,
    ) -> Result<Vec<Refusal>, SearchError> {
        let refusals: Vec<_> = stream::iter(requests)
            .buffer_unordered(self.settings.requests_in_flight_max.max(1))
            .try_collect()
            .await?;
        Ok(refusals.into_iter().flatten().collect())
    }

    async fn upsert(&self, changes: &[&Changed]) -> Result<Vec<Refusal>, SearchError> {
        let documents: Vec<_> =
            changes.iter().map(|changed| OrderDocument::from(&changed.change.order)).collect();
        let began = self.clock.now();
        let answer = self.index.upsert(&documents).await;
        let changes = changes.iter().copied();
        traces::written(Index::Orders, changes.clone(), &answer, began, self.clock.as_ref());
        let Told { refusals, counts } = told(changes.zip(answer?));
        for (outcome, count) in counts {
            metrics::counter!("order_ledger_search_documents_total", "outcome" => outcome)
                .increment(count);
        }
        Ok(refusals)
    }

    async fn append(&self, changes: &[Changed]) -> Result<Vec<Refusal>, SearchError> {
        let now = self.clock.now();
        let transitions: Vec<_> = changes
            .iter()
            .map(|changed| codec::transition(&changed.change, Some(&changed.record), now))
            .collect();
        let answer = self.transitions.append(&transitions).await;
        let changes = changes.iter();
        traces::written(Index::Transitions, changes.clone(), &answer, now, self.clock.as_ref());
        let Told { refusals, counts } = told(changes.zip(answer?));
        for (outcome, count) in counts {
            metrics::counter!("order_ledger_search_transitions_total", "outcome" => outcome)
                .increment(count);
        }
        Ok(refusals)
    }
}

/// What became of a request.
struct Told {
    /// What is given up.
    refusals: Vec<Refusal>,
    /// How many had which outcome.
    counts: [(&'static str, u64); 3],
}

fn told<'a>(outcomes: impl Iterator<Item = (&'a Changed, IndexOutcome)>) -> Told {
    let (mut indexed, mut stale) = (0, 0);
    let mut refusals = Vec::new();
    for (changed, outcome) in outcomes {
        match outcome {
            IndexOutcome::Indexed => indexed += 1,
            IndexOutcome::Stale => stale += 1,
            IndexOutcome::Refused(detail) => {
                refusals.push(Refusal { record: changed.record.clone(), detail });
            }
        }
    }
    let refused = u64::try_from(refusals.len()).unwrap_or(u64::MAX);
    let counts = [("indexed", indexed), ("stale", stale), ("refused", refused)];
    Told { refusals, counts }
}

/// A record becomes one dead letter, whoever refused what it tells.
fn one_each(refusals: Vec<Refusal>) -> Vec<Refusal> {
    let mut by_position: BTreeMap<Position, Refusal> = BTreeMap::new();
    for refusal in refusals {
        let Refusal { detail, .. } = &refusal;
        by_position
            .entry(refusal.record.position)
            .and_modify(|first| first.detail = format!("{}; {detail}", first.detail))
            .or_insert_with(|| refusal.clone());
    }
    by_position.into_values().collect()
}
