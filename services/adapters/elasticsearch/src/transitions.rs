//! The stream of transitions, a data stream: appended to by id, found by order.

use std::collections::BTreeSet;

use async_trait::async_trait;
use elasticsearch::{
    Elasticsearch, SearchParts,
    indices::{IndicesCreateDataStreamParts, IndicesGetDataStreamParts, IndicesRefreshParts},
};
use events::OrderId;
use ports::{IndexOutcome, SearchError, TransitionDocument, TransitionStream};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    ElasticsearchIndex,
    answer::{answer, ask},
    bulk::{self, Target},
    prepare,
    schema::Schema,
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
        self.refresh_stream().await?;
        let found = self.find(json!({
            "size": TRANSITIONS_MAX,
            "query": { "bool": { "filter": { "term": { "order_id": order.to_string() } } } },
            "sort": "version",
        }));
        Ok(found.await?.into_iter().map(|hit| hit.source).collect())
    }
}

impl ElasticsearchIndex {
    /// The ids of those that the stream has, in whichever of its backing indices.
    async fn there(
        &self,
        transitions: &[TransitionDocument],
    ) -> Result<BTreeSet<String>, SearchError> {
        self.refresh_stream().await?;
        let mut there = BTreeSet::new();
        for transitions in transitions.chunks(IDS_MAX) {
            let ids: Vec<_> = transitions.iter().map(TransitionDocument::id).collect();
            let found = self.find(json!({
                // One that is there twice takes up another's room.
                "size": TRANSITIONS_MAX,
                "_source": false,
                "query": { "ids": { "values": ids } },
            }));
            there.extend(found.await?.into_iter().map(|hit| hit.id));
        }
        Ok(there)
    }

    async fn refresh_stream(&self) -> Result<(), SearchError> {
        let stream = [self.stream.as_str()];
        let refresh = IndicesRefreshParts::Index(&stream);
        answer(self.client.indices().refresh(refresh).send()).await?.success()?;
        Ok(())
    }

    async fn find(&self, body: Value) -> Result<Vec<Hit>, SearchError> {
        let stream = [self.stream.as_str()];
        let search = || {
            let search = self.client.search(SearchParts::Index(&stream)).body(&body);
            search.allow_partial_search_results(false).send()
        };
        let answered: Answered = ask(search).await?.read()?;
        Ok(answered.hits.hits)
    }
}

#[derive(Deserialize)]
struct Answered {
    hits: Hits,
}

#[derive(Deserialize)]
struct Hits {
    hits: Vec<Hit>,
}

#[derive(Deserialize)]
struct Hit {
    #[serde(rename = "_id")]
    id: String,
    /// Only if it was asked for.
    #[serde(rename = "_source", default)]
    source: Value,
}

/// Makes the stream and its templates if they are missing, and adds the fields that its indices lack. Several programs may
/// do so at the same time.
pub(crate) async fn prepare_stream(
    client: &Elasticsearch,
    stream: &str,
) -> Result<(), SearchError> {
    let schema = Schema::transitions()?;
    prepare::put_templates(client, stream, &schema).await?;
    if !is_there(client, stream).await? {
        let name = IndicesCreateDataStreamParts::Name(stream);
        let created = answer(client.indices().create_data_stream(name).send()).await?;
        // Another process may have been faster.
        if is_there(client, stream).await? {
            tracing::info!(stream, "created the stream of transitions");
        } else {
            created.success()?;
        }
    }
    prepare::check(client, stream, &schema).await
}

async fn is_there(client: &Elasticsearch, stream: &str) -> Result<bool, SearchError> {
    let names = [stream];
    let get = IndicesGetDataStreamParts::Name(&names);
    let found = answer(client.indices().get_data_stream(get).send()).await?;
    if found.is_missing() {
        return Ok(false);
    }
    found.success()?;
    Ok(true)
}
