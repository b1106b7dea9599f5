//! State changes from Kafka into Elasticsearch.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use adapter_elasticsearch::ElasticsearchIndex;
use adapter_kafka::KafkaLog;
use adapter_postgres::PostgresStore;
use async_trait::async_trait;
use events::{OrderId, State};
use ports::{
    Documents, EventLog as _, Found, Health, IndexOutcome, OrderDocument, SearchError, SearchIndex,
    SearchKey, SearchQuery, Topic, TransitionDocument, TransitionStream,
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::{
    Failure, Row,
    limits::{self, Request},
    setup::{Installation, Projecting, caught_up, clock, rate},
};

/// Indexes the changes of that many orders, five each, beside `_bulk` requests with the same documents, made beforehand.
pub(crate) async fn indexed(orders: usize) -> Result<Row, Failure> {
    let bare = limits::bulk(run(orders, true).await?.requests).await?;
    // The server is as warm by now as it was for the bare requests.
    let again = run(orders, false).await?;
    Ok(Row {
        what: format!("{} documents of {} changes, indexed", again.documents, orders * 5),
        per_second: rate(again.documents, again.took),
        latency: None,
        limit: "the same documents, by _bulk alone".to_owned(),
        limit_per_second: bare,
    })
}

struct Indexed {
    requests: Vec<Request>,
    documents: usize,
    took: Duration,
}

/// `kept`: the requests are noted, which takes time.
async fn run(orders: usize, kept: bool) -> Result<Indexed, Failure> {
    let installation = Installation::new().await?;
    limits::fill(&installation, orders).await?;
    let projecting = Projecting::start(&installation);
    caught_up(&installation).await?;
    announced(&installation, orders * 5).await?;
    projecting.stop().await?;

    let index = Arc::new(Noting {
        index: installation.index()?,
        requests: kept.then(Mutex::default),
        documents: AtomicUsize::new(0),
        transitions: AtomicUsize::new(0),
    });
    index.index.prepare().await?;
    let parts = search::Parts {
        log: Arc::<KafkaLog>::clone(&installation.log),
        index: Arc::<Noting>::clone(&index),
        transitions: Arc::<Noting>::clone(&index),
        dead_letters: Arc::<PostgresStore>::clone(&installation.store),
        clock: clock(),
        health: Health::default().reporter("search"),
    };
    let stop = CancellationToken::new();
    let start = Instant::now();
    let running = tokio::spawn(search::run(parts, search::Settings::default(), stop.clone()));
    while index.transitions.load(Ordering::Relaxed) < orders * 5 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop.cancel();
    running.await??;
    let took = start.elapsed();
    installation.remove_search().await?;
    installation.remove().await?;
    let noted = Arc::into_inner(index).ok_or("the index is still in use")?;
    let documents = noted.documents.into_inner() + noted.transitions.into_inner();
    let requests = noted.requests.unwrap_or_default();
    let requests = requests.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Indexed { requests, documents, took })
}

/// Waits until so many state changes are in the log.
async fn announced(installation: &Installation, changes: usize) -> Result<(), Failure> {
    loop {
        let ends = installation.log.end_offsets(Topic::StateChanged).await?;
        if ends.iter().map(|end| end.offset.0).sum::<i64>() >= i64::try_from(changes)? {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The index, and what was written to it.
struct Noting {
    index: ElasticsearchIndex,
    requests: Option<Mutex<Vec<Request>>>,
    documents: AtomicUsize,
    transitions: AtomicUsize,
}

impl Noting {
    fn note(&self, request: impl FnOnce() -> Request) {
        if let Some(requests) = &self.requests {
            requests.lock().unwrap_or_else(PoisonError::into_inner).push(request());
        }
    }
}

#[async_trait]
impl SearchIndex for Noting {
    async fn prepare(&self) -> Result<(), SearchError> {
        self.index.prepare().await
    }

    async fn upsert(&self, documents: &[OrderDocument]) -> Result<Vec<IndexOutcome>, SearchError> {
        let outcomes = self.index.upsert(documents).await?;
        self.note(|| Request::Orders(documents.to_vec()));
        self.documents.fetch_add(documents.len(), Ordering::Relaxed);
        Ok(outcomes)
    }

    async fn search(
        &self,
        query: &SearchQuery,
        after: Option<SearchKey>,
        limit: usize,
    ) -> Result<Found, SearchError> {
        self.index.search(query, after, limit).await
    }

    async fn versions(&self, orders: &[OrderId]) -> Result<BTreeMap<OrderId, u64>, SearchError> {
        self.index.versions(orders).await
    }

    async fn documents(&self, orders: &[OrderId]) -> Result<Documents, SearchError> {
        self.index.documents(orders).await
    }

    async fn count_by_state(&self) -> Result<Vec<(State, u64)>, SearchError> {
        self.index.count_by_state().await
    }

    async fn ping(&self) -> Result<(), SearchError> {
        self.index.ping().await
    }
}

#[async_trait]
impl TransitionStream for Noting {
    async fn append(
        &self,
        transitions: &[TransitionDocument],
    ) -> Result<Vec<IndexOutcome>, SearchError> {
        let outcomes = self.index.append(transitions).await?;
        self.note(|| Request::Transitions(transitions.to_vec()));
        self.transitions.fetch_add(transitions.len(), Ordering::Relaxed);
        Ok(outcomes)
    }

    async fn append_missing(
        &self,
        transitions: &[TransitionDocument],
    ) -> Result<Vec<IndexOutcome>, SearchError> {
        self.index.append_missing(transitions).await
    }

    async fn transitions(&self, order: OrderId) -> Result<Vec<Value>, SearchError> {
        self.index.transitions(order).await
    }
}
