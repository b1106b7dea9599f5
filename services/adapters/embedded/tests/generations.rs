//! Generations in files, for whoever has the folder open: other processes, which a second store stands for here, for it shares
//! nothing with the first but the files.

#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use adapter_embedded::SqliteStore;
use bytes::Bytes;
use contract::{
    dead_letters::letter,
    order_store::{batch, in_epoch},
};
use events::{Digest, Event, Version};
use ports::{
    Commit, CommitError, Consumer, DeadLetters as _, DeliveryKey, DeliveryStore as _, Epoch,
    GenerationStore, Generations as _, LetterFilter, NewDelivery, NewGeneration, Offset,
    OrderStore, Partition, PartitionCommit, Place, Pooled as _, Stage,
};
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;
use testkit::sample::{at, order_id, placed};

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    async fn open(&self) -> SqliteStore {
        let store = SqliteStore::open(&self.path("state.db")).await.unwrap();
        store.prepare().await.unwrap();
        store.bind_partitions(1).await.unwrap();
        store
    }

    async fn connection(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.path("state.db"));
        SqliteConnection::connect_with(&options).await.unwrap()
    }

    /// The rows in the store's own file.
    async fn own(&self, table: &str) -> i64 {
        let count = format!("SELECT count(*) FROM {table}");
        let mut connection = self.connection().await;
        sqlx::query_scalar(AssertSqlSafe(count)).fetch_one(&mut connection).await.unwrap()
    }

    /// What is in the folder, but for the files that SQLite puts beside a database.
    fn databases(&self) -> Vec<String> {
        let names = fs::read_dir(self.0.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> =
            names.filter(|name| Path::new(name).extension().unwrap() == "db").collect();
        names.sort_unstable();
        names
    }

    fn bytes(&self) -> u64 {
        let entries = fs::read_dir(self.0.path()).unwrap();
        entries.map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
    }
}

fn orders(numbers: std::ops::RangeInclusive<u64>) -> Vec<Event> {
    numbers.map(|n| placed(order_id(n))).collect()
}

/// Builds a generation of these orders beside the live one, up to an offset.
async fn build(store: &SqliteStore, events: &[Event], next: i64) -> u32 {
    let new = NewGeneration { partitions: 1, kept: false, created_at: at(1) };
    let number = store.create(new).await.unwrap();
    let beside = store.open(number).await.unwrap();
    let rows = Commit { partitions: Vec::new(), ..batch(0, 0, events) };
    beside.load_rows(&rows).await.unwrap();
    beside.finish_loading().await.unwrap();
    advance(beside.as_ref(), Offset::START, Offset(next)).await;
    store.loaded(number).await.unwrap();
    number
}

async fn advance(beside: &dyn GenerationStore, expected: Offset, next: Offset) {
    let (partition, announced, digest) = (Partition(0), Offset::START, Digest::ZERO);
    let expected = Place { next: expected, epoch: Epoch(0) };
    let step = PartitionCommit { partition, expected, next, announced, digest };
    beside.commit(&Commit { partitions: vec![step], ..Commit::default() }).await.unwrap();
}

/// Commits as whoever has just read where the store is.
async fn go_on(store: &dyn OrderStore, commit: Commit) {
    let stands = store.progress(&[Partition(0)]).await.unwrap();
    let epoch = stands.first().unwrap().epoch.0;
    store.commit(&in_epoch(epoch, commit)).await.unwrap();
}

async fn cut(store: &SqliteStore, number: u32) {
    cut_at(store, number, 9).await;
}

async fn cut_at(store: &SqliteStore, number: u32, seconds: i64) {
    store.begin_cut(number).await.unwrap().finish(at(seconds), false).await.unwrap();
}

async fn count(store: &SqliteStore) -> usize {
    store.scan(None, 10_000).await.unwrap().len()
}

async fn live(store: &SqliteStore) -> u32 {
    let all = store.generations().await.unwrap();
    all.iter().find(|generation| generation.stage == Stage::Live).unwrap().number
}

/// Each of its connections has read before: whatever it has prepared or knows by heart must not hold it back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_process_reads_and_writes_across_cuts() {
    let folder = Folder::new();
    let (serving, tool) = (folder.open().await, folder.open().await);
    serving.commit(&batch(0, 0, &orders(1..=3))).await.unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..6)
        .map(|_| {
            let (store, is_over) = (serving.clone(), Arc::clone(&is_over));
            tokio::spawn(async move {
                let mut seen = Vec::new();
                while !is_over.load(Ordering::Relaxed) {
                    let count = count(&store).await;
                    if seen.last() != Some(&count) {
                        seen.push(count);
                    }
                }
                seen
            })
        })
        .collect();
    // One order more with each step, so that no reader can take one for another; now and then back to the first file.
    let mut next = 3;
    let mut built = Vec::new();
    for step in 0_u64..6 {
        let number = if step % 3 == 2 {
            let retired = tool.open(1).await.unwrap();
            let stands = retired.progress(&[]).await.unwrap()[0].next;
            go_on(retired.as_ref(), catch_up(stands, next)).await;
            1
        } else {
            let all = orders(1..=u64::try_from(next).unwrap());
            build(&tool, &all, next).await
        };
        cut_at(&tool, number, 10 + next).await;
        built.push(number);
        assert_eq!(live(&serving).await, number);
        let epoch = serving.progress(&[]).await.unwrap()[0].epoch.0;
        let late = in_epoch(epoch, batch(0, next - 1, &orders(90..=90)));
        let late = serving.commit(&late).await;
        assert!(matches!(late, Err(CommitError::Fenced { .. })), "{late:?}");
        let order = u64::try_from(next).unwrap() + 1;
        go_on(&serving, batch(0, next, &orders(order..=order))).await;
        next += 1;
        assert_eq!(count(&tool).await, usize::try_from(next).unwrap());
        if number == 1 {
            for number in built.drain(..).filter(|number| *number != 1) {
                tool.remove(number).await.unwrap();
            }
        }
    }
    is_over.store(true, Ordering::Relaxed);
    for reader in readers {
        let seen = reader.await.unwrap();
        assert!(
            seen.is_sorted() && seen.first() >= Some(&3) && seen.last() <= Some(&9),
            "{seen:?}"
        );
    }
    assert_eq!(folder.databases(), ["state.db"]);
}

/// What a retired generation lacks: one order a record.
fn catch_up(stands: Offset, next: i64) -> Commit {
    let numbers = u64::try_from(stands.0).unwrap() + 1..=u64::try_from(next).unwrap();
    batch(0, stands.0, &orders(numbers))
}

/// However much the two hold.
#[tokio::test]
async fn a_cut_moves_no_rows() {
    const ORDERS: u64 = 2_000;
    let folder = Folder::new();
    let store = folder.open().await;
    let (all, next) = (orders(1..=ORDERS), i64::try_from(ORDERS).unwrap());
    store.commit(&batch(0, 0, &all)).await.unwrap();
    let number = build(&store, &all, next).await;
    let before = folder.bytes();
    assert!(before > 2_000_000, "{before} bytes");
    cut(&store, number).await;
    let grown = folder.bytes().saturating_sub(before);
    assert!(grown < 200_000, "{grown} bytes more");
    assert_eq!(count(&store).await, 2_000);
}

/// The first one is in the store's own file, beside what belongs to no generation: its rows go, that stays.
#[tokio::test]
async fn the_first_one_is_removed_in_place() {
    let folder = Folder::new();
    let store = folder.open().await;
    let all = orders(1..=5_000);
    store.commit(&batch(0, 0, &all)).await.unwrap();
    let key = DeliveryKey {
        order_id: order_id(1),
        version: Version::new(1),
        template: "order-placed".to_owned(),
    };
    let state_change = Bytes::from_static(b"change");
    let delivery = NewDelivery { key, state_change, due_at: at(2), traceparent: None };
    store.add(&[delivery]).await.unwrap();
    let of_search = letter(Consumer::Search, 4);
    store.keep(&[of_search.clone(), letter(Consumer::Projector, 4)]).await.unwrap();
    let number = build(&store, &all[..10], 5_000).await;
    cut(&store, number).await;
    assert_eq!(count(&store).await, 10);
    assert_eq!(store.connections().max, 10, "of the store's own file, and of the live one's");
    assert_eq!(folder.own("orders").await, 5_000);
    store.remove(1).await.unwrap();
    for table in ["orders", "order_history", "progress", "checkpoints", "audits"] {
        assert_eq!(folder.own(table).await, 0, "{table}");
    }
    assert_eq!((count(&store).await, folder.own("deliveries").await), (10, 1));
    let filter = LetterFilter::default();
    assert_eq!(store.letters(&filter, None, 9).await.unwrap(), [of_search]);
    // It goes on as any other.
    go_on(&store, batch(0, 5_000, &orders(5_001..=5_001))).await;
    let next = build(&store, &all[..20], 5_001).await;
    cut(&store, next).await;
    assert_eq!(count(&store).await, 20);
}

/// Whoever dies in between leaves files or rows that belong to no one, and nothing that counts.
#[tokio::test]
async fn what_is_left_over_goes_with_the_next_one() {
    let folder = Folder::new();
    let store = folder.open().await;
    store.commit(&batch(0, 0, &orders(1..=3))).await.unwrap();
    let number = build(&store, &orders(1..=3), 3).await;
    // Before it was said to be live.
    drop(store.begin_cut(number).await.unwrap());
    assert_eq!(live(&store).await, 1);
    cut(&store, number).await;
    // A row that went before its file, one that went before its tables were empty, and a copy that came to no end.
    fs::write(folder.path("state-g7.db"), "").unwrap();
    fs::write(folder.path("state-g1.copy"), "").unwrap();
    fs::write(folder.path("state-general.db"), "").unwrap();
    let removed = "DELETE FROM generations WHERE number = 1";
    sqlx::query(removed).execute(&mut folder.connection().await).await.unwrap();
    assert_eq!(folder.own("orders").await, 3);
    let last = build(&store, &orders(1..=2), 3).await;
    assert_eq!(folder.own("orders").await, 0);
    assert!(!folder.path("state-g1.copy").exists());
    assert_eq!(folder.databases(), ["state-g2.db", "state-g3.db", "state-general.db", "state.db"]);
    // A number comes again, a file does not: someone may still have it open.
    store.remove(last).await.unwrap();
    assert_eq!(build(&store, &orders(1..=2), 3).await, last);
    assert_eq!(folder.databases(), ["state-g2.db", "state-g4.db", "state-general.db", "state.db"]);
    assert_eq!(count(&store).await, 3);
}

/// That can't be repaired by waiting, and an empty one in its place would be a lie.
#[tokio::test]
async fn a_live_file_that_is_missing_is_not_made_anew() {
    let folder = Folder::new();
    let store = folder.open().await;
    let number = build(&store, &orders(1..=3), 3).await;
    cut(&store, number).await;
    drop(store);
    fs::remove_file(folder.path("state-g2.db")).unwrap();
    let store = SqliteStore::open(&folder.path("state.db")).await.unwrap();
    let failure = store.prepare().await.unwrap_err().to_string();
    assert!(failure.contains("has no file") && failure.contains("state-g2.db"), "{failure}");
    assert!(store.load(&[order_id(1)]).await.is_err());
    assert!(store.commit(&batch(0, 3, &orders(4..=4))).await.is_err());
    assert_eq!(folder.databases(), ["state.db"]);
}
