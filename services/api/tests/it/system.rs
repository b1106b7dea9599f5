//! An api, a projector and their embedded parts, alive for one test.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use adapter_embedded::{SqliteLog, SqliteSearch, SqliteStore};
use events::OrderId;
use ports::{EventLog, Health, Measures, OrderStore, SearchIndex as _, TopicSettings};
use proto::{
    seed::order_service_client::OrderServiceClient,
    v1::{self, order_ledger_client::OrderLedgerClient},
};
use tempfile::TempDir;
use testkit::{TestClock, TestIds, sample, wait_for};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tonic::{Status, transport::Channel};
use tonic_types::StatusExt as _;

use crate::faulty::{FaultyLog, FaultyStore};

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct System {
    pub(crate) log: Arc<FaultyLog>,
    /// As the api sees it.
    pub(crate) store: Arc<FaultyStore>,
    pub(crate) index: Arc<SqliteSearch>,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) health: Health,
    /// What the api measures.
    pub(crate) measures: Measures,
    pub(crate) address: SocketAddr,
    pub(crate) channel: Channel,
    pub(crate) stop_api: CancellationToken,
    stop_projector: CancellationToken,
    api: JoinSet<Result<(), api::Error>>,
    projector: JoinSet<Result<(), projector::Error>>,
    _data: TempDir,
}

impl System {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    /// Starts with other bounds, and waits until both roles serve.
    pub(crate) async fn start_with(change: impl FnOnce(&mut api::Settings)) -> Self {
        let data = tempfile::tempdir().unwrap();
        let inner: Arc<dyn EventLog> =
            Arc::new(SqliteLog::open(&data.path().join("log.db")).await.unwrap());
        let topics = TopicSettings { partitions: Some(3), replication: None };
        inner.prepare(topics).await.unwrap();
        let state = Arc::new(SqliteStore::open(&data.path().join("state.db")).await.unwrap());
        state.prepare().await.unwrap();
        state.bind_partitions(3).await.unwrap();
        let index = Arc::new(SqliteSearch::open(&data.path().join("search.db")).await.unwrap());
        index.prepare().await.unwrap();
        let log = Arc::new(FaultyLog::new(Arc::clone(&inner)));
        let store = Arc::new(FaultyStore::new(Arc::<SqliteStore>::clone(&state)));
        let (clock, health) = (Arc::new(TestClock::default()), Health::default());

        let stop_projector = CancellationToken::new();
        let mut projector = JoinSet::new();
        let projector_parts = projector::Parts {
            log: inner,
            store: Arc::<SqliteStore>::clone(&state),
            dead_letters: state,
            clock: clock.clone(),
            health: health.reporter("projector"),
            measures: Measures::default(),
        };
        let settings = projector::Settings { workers: 1 };
        projector.spawn(projector::run(projector_parts, settings, stop_projector.clone()));

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop_api = CancellationToken::new();
        let measures = Measures::on();
        let mut settings =
            api::Settings { check_every: Duration::from_millis(20), ..api::Settings::default() };
        change(&mut settings);
        let parts = api::Parts {
            log: log.clone(),
            store: store.clone(),
            index: index.clone(),
            clock: clock.clone(),
            ids: Arc::new(TestIds::seeded(1)),
            health: health.reporter("api"),
            measures: measures.clone(),
        };
        let mut api = JoinSet::new();
        api.spawn(api::run(parts, settings, listener, stop_api.clone()));

        let channel = connect(address).await;
        wait_for("both roles serve", PATIENCE, async || {
            health.roles().iter().all(|(_, why)| why.is_none()).then_some(())
        })
        .await;
        Self {
            log,
            store,
            index,
            clock,
            health,
            measures,
            address,
            channel,
            stop_api,
            stop_projector,
            api,
            projector,
            _data: data,
        }
    }

    pub(crate) fn ledger(&self) -> OrderLedgerClient<Channel> {
        OrderLedgerClient::new(self.channel.clone())
    }

    /// A client of a second api on the same parts, as another process would be.
    pub(crate) async fn another_api(&mut self) -> OrderLedgerClient<Channel> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let parts = api::Parts {
            log: self.log.clone(),
            store: self.store.clone(),
            index: self.index.clone(),
            clock: self.clock.clone(),
            ids: Arc::new(TestIds::seeded(2)),
            health: self.health.reporter("another api"),
            measures: Measures::default(),
        };
        self.api.spawn(api::run(parts, api::Settings::default(), listener, self.stop_api.clone()));
        OrderLedgerClient::new(connect(address).await)
    }

    /// A client with a connection of its own that takes little in before it is read.
    pub(crate) async fn client_of_little_room(&self) -> OrderLedgerClient<Channel> {
        let endpoint = Channel::from_shared(format!("http://{}", self.address)).unwrap();
        let endpoint = endpoint.initial_stream_window_size(64 * 1024);
        OrderLedgerClient::new(endpoint.connect().await.unwrap())
    }

    pub(crate) fn seed(&self) -> OrderServiceClient<Channel> {
        OrderServiceClient::new(self.channel.clone())
    }

    /// Places a sample order.
    pub(crate) async fn placed(&self) -> String {
        self.ledger().place_order(order("")).await.unwrap().into_inner().order_id
    }

    /// The order once everything acknowledged is folded.
    pub(crate) async fn folded(&self, order_id: &str) -> v1::Order {
        self.caught_up().await;
        let request = v1::GetOrderRequest { order_id: order_id.to_owned(), ..Default::default() };
        self.ledger().get_order(request).await.unwrap().into_inner().order.unwrap()
    }

    /// What became of each of the order's events, once everything acknowledged is folded.
    pub(crate) async fn outcomes(&self, order_id: &str) -> Vec<String> {
        self.caught_up().await;
        let order_id: OrderId = order_id.parse().unwrap();
        let history = self.store.history(order_id).await.unwrap();
        history.iter().map(|row| format!("{} {}", row.kind, row.outcome.name())).collect()
    }

    /// How many events the log has.
    pub(crate) async fn logged(&self) -> i64 {
        let ends = self.log.end_offsets(ports::Topic::Events).await.unwrap();
        ends.iter().map(|end| end.offset.0).sum()
    }

    async fn caught_up(&self) {
        let ends = self.log.end_offsets(ports::Topic::Events).await.unwrap();
        wait_for("everything is folded", PATIENCE, async || {
            let progress = self.store.progress(&[]).await.unwrap();
            let next: BTreeMap<_, _> = progress.iter().map(|p| (p.partition, p.next)).collect();
            ends.iter().all(|end| next[&end.partition] >= end.offset).then_some(())
        })
        .await;
    }

    /// Waits until the api ended by itself after `stop_api`.
    pub(crate) async fn api_ended(&mut self) {
        let ended = tokio::time::timeout(PATIENCE, self.api.join_next()).await;
        ended.unwrap().unwrap().unwrap().unwrap();
    }

    /// Stops the projector alone, so that snapshots fall behind.
    pub(crate) async fn stop_projector(&mut self) {
        self.stop_projector.cancel();
        self.projector.join_next().await.unwrap().unwrap().unwrap();
    }

    /// Stops everything; nothing may have failed.
    pub(crate) async fn stop(mut self) {
        self.stop_api.cancel();
        self.stop_projector.cancel();
        drop(self.channel);
        while let Some(ended) = self.api.join_next().await {
            ended.unwrap().unwrap();
        }
        while let Some(ended) = self.projector.join_next().await {
            ended.unwrap().unwrap();
        }
    }
}

/// A sample order; the empty request id is none.
pub(crate) fn order(request_id: &str) -> v1::PlaceOrderRequest {
    v1::PlaceOrderRequest {
        request_id: request_id.to_owned(),
        details: Some(codec::encode_details(&sample::details())),
        ..Default::default()
    }
}

/// The fields that `google.rpc.BadRequest` names, sorted.
pub(crate) fn bad_fields(status: &Status) -> Vec<String> {
    assert_eq!(status.code(), tonic::Code::InvalidArgument, "{status}");
    let bad = status.get_details_bad_request().unwrap();
    let mut fields: Vec<_> = bad.field_violations.into_iter().map(|fault| fault.field).collect();
    fields.sort();
    fields
}

/// Asserts that the status has this code and says when to try again.
pub(crate) fn assert_retryable(status: &Status, code: tonic::Code) {
    assert_eq!(status.code(), code, "{status}");
    let retry = status.get_details_retry_info().unwrap();
    assert!(retry.retry_delay.unwrap() > Duration::ZERO);
}

async fn connect(address: SocketAddr) -> Channel {
    let endpoint = Channel::from_shared(format!("http://{address}")).unwrap();
    endpoint.connect().await.unwrap()
}
