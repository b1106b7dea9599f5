//! A log, what was made of it, and ways to spoil that.

use std::{ops::Range, sync::Arc, time::Duration};

use adapter_embedded::{SqliteLog, SqliteSearch, SqliteStore};
use bytes::Bytes;
use codec::event_record;
use events::{Event, Order, OrderId};
use ports::{
    Commit, EventLog as _, Health, LogRecord, Measures, NewRecord, OrderDocument, OrderStore as _,
    Position, SearchIndex as _, SnapshotRow, Topic, TopicSettings,
};
use replay::{Difference, Ledger, Share, Verification, VerifySettings, verify_with};
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;
use testkit::{TestClock, log, sample, wait_for};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const PARTITIONS: u32 = 3;
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct World {
    pub(crate) log: Arc<SqliteLog>,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) index: Arc<SqliteSearch>,
    folder: TempDir,
}

/// Orders from their beginning to their end.
pub(crate) fn lives(orders: Range<u64>) -> Vec<Event> {
    orders.flat_map(|n| sample::lifecycle(sample::order_id(n))).collect()
}

/// What is wrong with the n-th sample order.
pub(crate) fn of_order(n: u64, field: &'static str) -> (Option<OrderId>, &'static str) {
    (Some(sample::order_id(n)), field)
}

/// Bytes as SQL writes them.
pub(crate) fn blob(bytes: &[u8]) -> String {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("x'{hex}'")
}

/// One record, as SQL says it.
pub(crate) fn place(Position { partition, offset }: Position) -> String {
    format!("WHERE partition = {partition} AND \"offset\" = {offset}")
}

impl World {
    /// A log, and a store that has seen nothing of it.
    pub(crate) async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = SqliteLog::open(&folder.path().join("log.db")).await.unwrap();
        let settings = TopicSettings { partitions: Some(PARTITIONS), replication: None };
        log.prepare(settings).await.unwrap();
        let store = SqliteStore::open(&folder.path().join("state.db")).await.unwrap();
        store.prepare().await.unwrap();
        let index = SqliteSearch::open(&folder.path().join("search.db")).await.unwrap();
        let (log, store, index) = (Arc::new(log), Arc::new(store), Arc::new(index));
        Self { log, store, index, folder }
    }

    /// These events, folded.
    pub(crate) async fn folded(events: &[Event]) -> Self {
        let world = Self::open().await;
        world.append(events).await;
        world.fold().await;
        world
    }

    pub(crate) async fn append(&self, events: &[Event]) {
        self.append_records(events.iter().map(|event| event_record(event, None)).collect()).await;
    }

    pub(crate) async fn append_records(&self, records: Vec<NewRecord>) {
        // The log's queue is bounded.
        for records in records.chunks(1_000) {
            log::append(self.log.as_ref(), Topic::Events, records.to_vec()).await;
        }
    }

    /// A record that no one can read: its order waits from there on.
    pub(crate) async fn park(&self, order: OrderId) {
        let value = Bytes::from_static(b"\xff");
        let garbage = NewRecord { value, ..event_record(&sample::placed(order), None) };
        self.append_records(vec![garbage]).await;
    }

    /// Lets a projector fold all there is, and indexes it.
    pub(crate) async fn fold(&self) {
        self.fold_without_index().await;
        self.index().await;
    }

    pub(crate) async fn fold_without_index(&self) {
        self.store.bind_partitions(PARTITIONS).await.unwrap();
        let projector = self.projector();
        self.all_is_folded().await;
        projector.stop().await;
    }

    /// A projector that works until it is stopped.
    pub(crate) fn projector(&self) -> Running<projector::Error> {
        let parts = projector::Parts {
            log: self.log.clone(),
            store: self.store.clone(),
            dead_letters: self.store.clone(),
            clock: Arc::new(TestClock::default()),
            health: Health::default().reporter("projector"),
            measures: Measures::default(),
        };
        let stop = CancellationToken::new();
        let running =
            tokio::spawn(projector::run(parts, projector::Settings::default(), stop.clone()));
        Running { stop, running }
    }

    /// A search projector that works until it is stopped.
    pub(crate) fn searcher(&self) -> Running<search::Error> {
        let parts = search::Parts {
            log: self.log.clone(),
            index: self.index.clone(),
            transitions: self.index.clone(),
            dead_letters: self.store.clone(),
            clock: Arc::new(TestClock::default()),
            health: Health::default().reporter("search"),
        };
        let stop = CancellationToken::new();
        let running = tokio::spawn(search::run(parts, search::Settings::default(), stop.clone()));
        Running { stop, running }
    }

    pub(crate) async fn all_is_folded(&self) {
        let ends = self.log.end_offsets(Topic::Events).await.unwrap();
        wait_for("everything is folded", PATIENCE, async || {
            let progress = self.store.progress(&[]).await.unwrap();
            let folded = |end: &Position| {
                progress.iter().any(|p| p.partition == end.partition && p.next >= end.offset)
            };
            ends.iter().all(folded).then_some(())
        })
        .await;
    }

    /// Waits until a projector that works has announced all that is folded, and written that down.
    pub(crate) async fn all_is_announced(&self) {
        wait_for("everything is announced", PATIENCE, async || {
            let progress = self.store.progress(&[]).await.unwrap();
            progress.iter().all(|p| p.announced == p.next).then_some(())
        })
        .await;
    }

    /// Puts something else into the store, behind the projector's back.
    pub(crate) async fn tamper(&self, order: Order, bytes: Bytes, position: Position) {
        let row = SnapshotRow { order, bytes, position };
        let commit = Commit { snapshots: vec![row], ..Commit::default() };
        self.store.commit(&commit).await.unwrap();
    }

    /// As if another fold had made another order of the same records.
    pub(crate) async fn store_as(&self, order: &Order) {
        let hex: String =
            codec::encode_snapshot(order).iter().map(|byte| format!("{byte:02x}")).collect();
        let id = order.id;
        self.sql(&format!("UPDATE orders SET snapshot = x'{hex}' WHERE order_id = '{id}'")).await;
    }

    pub(crate) async fn verify(&self) -> (Verification, Vec<Difference>) {
        self.verify_with(VerifySettings::default()).await
    }

    pub(crate) async fn verify_with(
        &self,
        settings: VerifySettings<'_>,
    ) -> (Verification, Vec<Difference>) {
        self.verify_ledger(self.ledger(), settings).await
    }

    /// All that there is, but for the transitions.
    pub(crate) fn ledger(&self) -> Ledger<'_> {
        Ledger {
            log: self.log.as_ref(),
            store: self.store.as_ref(),
            dead_letters: self.store.as_ref(),
            search: Some((self.index.as_ref(), Share::All)),
            transitions: None,
        }
    }

    pub(crate) async fn verify_ledger(
        &self,
        ledger: Ledger<'_>,
        settings: VerifySettings<'_>,
    ) -> (Verification, Vec<Difference>) {
        let mut differences = Vec::new();
        let mut tell = |difference| differences.push(difference);
        let found = verify_with(ledger, settings, &mut tell).await.unwrap();
        assert_eq!(found.differences, differences.len() as u64);
        // Two partitions at a time: which one has its say first is a matter of chance.
        differences.sort_by_key(|one: &Difference| {
            one.position.map_or(u32::MAX, |position| position.partition.0)
        });
        (found, differences)
    }

    /// What was counted of a store that is good.
    pub(crate) async fn good(&self) -> Verification {
        let (found, differences) = self.verify().await;
        assert_eq!(differences, []);
        found
    }

    /// What is wrong, as `order field` or `offset field`.
    pub(crate) async fn wrong(&self) -> Vec<(Option<OrderId>, &'static str)> {
        let (_, differences) = self.verify().await;
        differences.into_iter().map(|difference| (difference.order_id, difference.field)).collect()
    }

    /// A statement behind everyone's back.
    pub(crate) async fn sql(&self, statement: &str) {
        self.sql_in("state.db", statement).await;
    }

    /// One in any of the files.
    pub(crate) async fn sql_in(&self, file: &str, statement: &str) {
        let options = SqliteConnectOptions::new().filename(self.folder.path().join(file));
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        let done = sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await;
        done.unwrap();
    }

    /// How many orders are stored.
    pub(crate) async fn orders(&self) -> u64 {
        self.store.count_by_state().await.unwrap().iter().map(|(_, count)| count).sum()
    }

    /// Takes documents away, makes some wrong and others newer than they can be, and adds some of no order.
    pub(crate) async fn break_index(&self) {
        let orders: Vec<_> = (1..4).chain(9_000..9_005).map(sample::order_id).collect();
        let documents = orders.iter().map(|order| {
            let order = OrderDocument::from(&sample::folded(&[sample::placed(*order)]));
            OrderDocument { version: 99, ..order }
        });
        self.index.upsert(&documents.collect::<Vec<_>>()).await.unwrap();
        self.sql_in("search.db", "DELETE FROM documents WHERE id % 4 = 0").await;
        let wrong = "UPDATE documents SET document = json_set(document, '$.region', 'nowhere') WHERE id % 4 = 1";
        self.sql_in("search.db", wrong).await;
    }

    /// Tables of search indices that are not read.
    pub(crate) async fn indices_beside(&self) -> Vec<String> {
        let options = SqliteConnectOptions::new().filename(self.folder.path().join("search.db"));
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        let beside =
            "SELECT name FROM sqlite_schema WHERE name GLOB 'documents_g*' AND type = 'table'";
        sqlx::query_scalar(beside).fetch_all(&mut connection).await.unwrap()
    }

    /// Brings the search index up to what is stored.
    pub(crate) async fn index(&self) {
        let mut after = None;
        loop {
            let page = self.store.scan(after, 1_000).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.order_id);
            let orders = page.iter().map(|s| codec::decode_snapshot(&s.bytes).unwrap());
            let documents: Vec<_> = orders.map(|order| OrderDocument::from(&order)).collect();
            self.index.upsert(&documents).await.unwrap();
        }
    }

    /// The record that stands there.
    pub(crate) async fn record(&self, at: Position) -> LogRecord {
        let (from, until) = (at.offset, at.offset.next());
        let mut reader = self.log.read(Topic::Events, at.partition, from, until).await.unwrap();
        reader.next().await.unwrap().remove(0)
    }

    pub(crate) async fn position_of(&self, order: OrderId) -> Position {
        self.store.load(&[order]).await.unwrap()[0].position
    }
}

/// One that runs.
pub(crate) struct Running<E> {
    stop: CancellationToken,
    running: JoinHandle<Result<(), E>>,
}

impl<E: std::fmt::Debug> Running<E> {
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.running.await.unwrap().unwrap();
    }
}
