//! What the stream of transitions has, for whoever compares it with the log: found by id in every backing index, and
//! scanned at a point in time.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use elasticsearch::{
    Elasticsearch, OpenPointInTimeParts, SearchParts, indices::IndicesGetSettingsParts,
};
use ports::{KeptTransitions, SearchError, TransitionKey, TransitionScan};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    ElasticsearchIndex,
    answer::{answer, ask},
    stream,
};

/// As many as one search can find.
const FOUND_MAX: usize = 10_000;
/// How many ids are asked for at once: each may be there in several backing indices.
const IDS_MAX: usize = 1_000;
/// Ids of one page of a scan.
const PAGE: usize = 10_000;
/// How long a point in time is kept from one page to the next.
const KEEP_ALIVE: &str = "5m";
/// How far the clocks of those who write the log and of the server may be apart, and how long a request may be on its way.
const CLOCKS_APART: TimeDelta = TimeDelta::minutes(5);

#[derive(Deserialize)]
struct Told {
    settings: Settings,
}

/// As they are told flat.
#[derive(Deserialize)]
struct Settings {
    /// Milliseconds, as text.
    #[serde(rename = "index.creation_date")]
    creation_date: String,
}

#[async_trait]
impl KeptTransitions for ElasticsearchIndex {
    /// When the oldest backing index was made. Indices before it, which a retention deleted, took their documents along:
    /// then what was logged about that time may have been among them.
    async fn whole_since(&self) -> Result<DateTime<Utc>, SearchError> {
        let (streams, names) = ([self.stream.as_str()], ["index.creation_date"]);
        let settings = IndicesGetSettingsParts::IndexName(&streams, &names);
        let indices = self.client.indices();
        let get = indices.get_settings(settings).flat_settings(true);
        let told: BTreeMap<String, Told> = answer(get.send()).await?.read()?;
        let made = |(index, told): (&String, &Told)| {
            let made = told.settings.creation_date.parse().ok();
            made.and_then(DateTime::from_timestamp_millis).ok_or_else(|| {
                let date = &told.settings.creation_date;
                SearchError::Unfit(format!("index {index} was made at {date:?}"))
            })
        };
        let made = told.iter().map(made).collect::<Result<Vec<DateTime<Utc>>, SearchError>>()?;
        let oldest = made.into_iter().min().ok_or_else(|| {
            SearchError::Unfit(format!("the stream {} has no backing index", self.stream))
        })?;
        // The first one of a stream is named so; there was none before it.
        let is_first = |index: &String| index.ends_with("-000001");
        Ok(if told.keys().any(is_first) { oldest } else { oldest + CLOCKS_APART })
    }

    async fn refresh(&self) -> Result<(), SearchError> {
        stream::refresh(&self.client, &self.stream).await
    }

    async fn find(
        &self,
        transitions: &[TransitionKey],
    ) -> Result<Vec<(TransitionKey, Value)>, SearchError> {
        let mut found = Vec::with_capacity(transitions.len());
        let mut left: Vec<_> = transitions.chunks(IDS_MAX).collect();
        while let Some(keys) = left.pop() {
            let ids: HashMap<String, TransitionKey> =
                keys.iter().map(|key| (key.to_string(), *key)).collect();
            let hits = stream::find(
                &self.client,
                &self.stream,
                json!({
                    "size": FOUND_MAX,
                    "query": { "ids": { "values": ids.keys().collect::<Vec<_>>() } },
                }),
            );
            let hits = hits.await?;
            // Some may be left out.
            if hits.len() >= FOUND_MAX && keys.len() > 1 {
                let (one, other) = keys.split_at(keys.len() / 2);
                left.extend([one, other]);
                continue;
            }
            let hits = hits.into_iter();
            found.extend(hits.filter_map(|hit| Some((*ids.get(&hit.id)?, hit.source))));
        }
        Ok(found)
    }

    async fn scan(&self) -> Result<Box<dyn TransitionScan>, SearchError> {
        let stream = [self.stream.as_str()];
        let open = || {
            let open = self.client.open_point_in_time(OpenPointInTimeParts::Index(&stream));
            open.keep_alive(KEEP_ALIVE).send()
        };
        let Opened { id } = ask(open).await?.read()?;
        Ok(Box::new(Scan { client: self.client.clone(), point: Some(id), after: None }))
    }
}

#[derive(Deserialize)]
struct Opened {
    id: String,
}

/// In the order of the shards, which is the cheapest.
struct Scan {
    client: Elasticsearch,
    /// The point in time; `None` once it is through. One that is not closed is given up by the server.
    point: Option<String>,
    after: Option<Value>,
}

#[derive(Deserialize)]
struct Page {
    pit_id: String,
    hits: Scanned,
}

#[derive(Deserialize)]
struct Scanned {
    hits: Vec<ScannedHit>,
}

#[derive(Deserialize)]
struct ScannedHit {
    #[serde(rename = "_id")]
    id: String,
    sort: Value,
}

#[async_trait]
impl TransitionScan for Scan {
    async fn next(&mut self) -> Result<Vec<String>, SearchError> {
        let Some(point) = &self.point else { return Ok(Vec::new()) };
        let mut body = json!({
            "size": PAGE,
            "_source": false,
            "track_total_hits": false,
            "pit": { "id": point, "keep_alive": KEEP_ALIVE },
            "sort": "_shard_doc",
        });
        if let (Some(after), Some(fields)) = (&self.after, body.as_object_mut()) {
            fields.insert("search_after".to_owned(), after.clone());
        }
        let search = self.client.search(SearchParts::None).body(&body);
        let search = search.allow_partial_search_results(false);
        let page: Page = answer(search.send()).await?.read()?;
        let hits = page.hits.hits;
        if let Some(last) = hits.last() {
            self.after = Some(last.sort.clone());
            self.point = Some(page.pit_id);
        } else {
            self.point = None;
            let close = self.client.close_point_in_time().body(json!({ "id": page.pit_id }));
            if let Err(error) = answer(close.send()).await {
                tracing::debug!(%error, "a point in time is left to end by itself");
            }
        }
        Ok(hits.into_iter().map(|hit| hit.id).collect())
    }
}
