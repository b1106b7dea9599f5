//! The stream of transitions, a data stream: appended to by id, found by order.

use std::collections::BTreeSet;

use async_trait::async_trait;
use events::OrderId;
use ports::{IndexOutcome, SearchError, TransitionDocument, TransitionStream};
use serde_json::{Value, json};

use crate::{
    ElasticsearchIndex,
    bulk::{self, Target},
    stream,
};

/// More than an order has: the fold records at most a thousand events of one, and each can be there once in every backing
/// index.
const TRANSITIONS_MAX: usize = 10_000;
/// How many ids are asked for at once.
const IDS_MAX: usize = 1_000;

#[async_trait]
impl TransitionStream for ElasticsearchIndex {
    async fn append(
        &self,
        transitions: &[TransitionDocument],
    ) -> Result<Vec<IndexOutcome>, SearchError> {
        let target = Target::Stream(&self.stream);
        bulk::write(&self.client, target, transitions, self.options.bulk_bytes_max).await
    }

    async fn append_missing(
        &self,
        transitions: &[TransitionDocument],
    ) -> Result<Vec<IndexOutcome>, SearchError> {
        let there = self.there(transitions).await?;
        let is_there = |transition: &TransitionDocument| there.contains(&transition.id());
        let missing: Vec<_> =
            transitions.iter().filter(|transition| !is_there(transition)).cloned().collect();
        let mut appended = self.append(&missing).await?.into_iter();
        let outcomes = transitions.iter().filter_map(|transition| match is_there(transition) {
            true => Some(IndexOutcome::Stale),
            false => appended.next(),
        });
        Ok(outcomes.collect())
    }

    async fn transitions(&self, order: OrderId) -> Result<Vec<Value>, SearchError> {
        stream::refresh(&self.client, &self.stream).await?;
        let found = stream::find(
            &self.client,
            &self.stream,
            json!({
                "size": TRANSITIONS_MAX,
                "query": { "bool": { "filter": { "term": { "order_id": order.to_string() } } } },
                "sort": "version",
            }),
        );
        Ok(found.await?.into_iter().map(|hit| hit.source).collect())
    }
}

impl ElasticsearchIndex {
    /// The ids of those that the stream has, in whichever of its backing indices.
    async fn there(
        &self,
        transitions: &[TransitionDocument],
    ) -> Result<BTreeSet<String>, SearchError> {
        stream::refresh(&self.client, &self.stream).await?;
        let mut there = BTreeSet::new();
        for transitions in transitions.chunks(IDS_MAX) {
            let ids: Vec<_> = transitions.iter().map(TransitionDocument::id).collect();
            let found = stream::find(
                &self.client,
                &self.stream,
                json!({
                    // One that is there twice takes up another's room.
                    "size": TRANSITIONS_MAX,
                    "_source": false,
                    "query": { "ids": { "values": ids } },
                }),
            );
            there.extend(found.await?.into_iter().map(|hit| hit.id));
        }
        Ok(there)
    }
}
