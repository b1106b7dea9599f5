//! Out and in again: order by order the same bytes, whatever the number of partitions; and nothing that is damaged.

#![expect(clippy::unwrap_used, reason = "a test that fails panics: that is how it reports")]

use std::{collections::BTreeMap, fs, path::PathBuf};

use adapter_embedded::SqliteLog;
use archive::{ArchiveError, Archived, export, import};
use bytes::Bytes;
use ports::{EventLog as _, LogRecord, NewRecord, Topic, TopicSettings};
use tempfile::TempDir;
use testkit::{log, sample};

struct World {
    folder: TempDir,
}

impl World {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    async fn log(&self, name: &str, partitions: u32) -> SqliteLog {
        let log = SqliteLog::open(&self.folder.path().join(name)).await.unwrap();
        let settings = TopicSettings { partitions: Some(partitions), replication: None };
        log.prepare(settings).await.unwrap();
        log
    }

    fn archive(&self) -> PathBuf {
        self.folder.path().join("archive")
    }

    async fn export(&self, log: &SqliteLog) -> Result<Archived, ArchiveError> {
        export(log, &self.archive(), sample::at(0), |_| ()).await
    }

    async fn import(&self, log: &SqliteLog) -> Result<Archived, ArchiveError> {
        import(log, &self.archive(), false, |_| ()).await
    }
}

/// The lives of these orders, as one client after the other reports them.
fn lives(orders: u64) -> Vec<NewRecord> {
    let lives: Vec<_> = (0..orders).map(|n| sample::lifecycle(sample::order_id(n))).collect();
    let steps = lives.iter().map(Vec::len).max().unwrap_or(0);
    let mut records = Vec::new();
    for step in 0..steps {
        for life in &lives {
            records.extend(life.get(step).map(|event| codec::event_record(event, None)));
        }
    }
    records
}

/// What each order's records say, in order.
fn by_order(records: Vec<LogRecord>) -> BTreeMap<Option<Bytes>, Vec<NewRecord>> {
    let mut orders: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for LogRecord { key, value, headers, .. } in records {
        let record = NewRecord {
            key: key.clone().unwrap_or_default(),
            value: value.unwrap_or_default(),
            headers,
        };
        orders.entry(key).or_default().push(record);
    }
    orders
}

#[tokio::test]
async fn another_number_of_partitions_holds_the_same_orders() {
    let world = World::new();
    let source = world.log("source.db", 3).await;
    log::append(&source, Topic::Events, lives(40)).await;
    // What is no event belongs to its order all the same, and so does what is no text.
    let odd = NewRecord {
        key: Bytes::from(sample::order_id(1).to_string()),
        value: Bytes::from_static(b"\xff\x00"),
        headers: vec![
            ("odd".to_owned(), Bytes::from_static(b"\xff")),
            ("odd".to_owned(), Bytes::new()),
        ],
    };
    let binary_key = NewRecord { key: Bytes::from_static(b"\xfe"), ..odd.clone() };
    log::append(&source, Topic::Events, vec![odd, binary_key]).await;
    let all = Archived { records: 242, strays: 0 };
    assert_eq!(world.export(&source).await.unwrap(), all);

    for partitions in [1, 3, 5] {
        let target = world.log(&format!("target-{partitions}.db"), partitions).await;
        assert_eq!(world.import(&target).await.unwrap(), all);
        let [expected, found] = [&source, &target]
            .map(|log| async { by_order(log::read_all(log, Topic::Events).await) });
        assert_eq!(found.await, expected.await, "{partitions} partitions");
    }
}

#[tokio::test]
async fn an_empty_log_is_an_archive_too() {
    let world = World::new();
    world.export(&world.log("source.db", 2).await).await.unwrap();
    let target = world.log("target.db", 4).await;
    assert_eq!(world.import(&target).await.unwrap(), Archived::default());
}

#[tokio::test]
async fn nothing_is_written_over() {
    let world = World::new();
    let source = world.log("source.db", 2).await;
    log::append(&source, Topic::Events, lives(2)).await;
    world.export(&source).await.unwrap();
    assert!(matches!(world.export(&source).await, Err(ArchiveError::FolderInUse(_))));
    assert!(matches!(world.import(&source).await, Err(ArchiveError::TopicInUse(12))));
}

/// Anything that is not as it was written is found before a record is appended.
#[tokio::test]
async fn damage_is_found_first() {
    let world = World::new();
    let source = world.log("source.db", 2).await;
    log::append(&source, Topic::Events, lives(10)).await;
    world.export(&source).await.unwrap();
    let target = world.log("target.db", 2).await;
    let files: Vec<_> =
        fs::read_dir(world.archive()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let (manifests, data): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|path| path.ends_with("manifest.json"));
    assert_eq!((manifests.len(), data.len()), (1, 2));
    for path in data {
        let good = fs::read(&path).unwrap();
        let mut changed = good.clone();
        let middle = changed.len() / 2;
        changed[middle] ^= 1;
        for bad in [&changed[..], &good[..good.len() - 1], &[]] {
            fs::write(&path, bad).unwrap();
            let refused = world.import(&target).await;
            assert!(matches!(refused, Err(ArchiveError::Damaged { .. })), "{refused:?}");
        }
        fs::remove_file(&path).unwrap();
        assert!(matches!(world.import(&target).await, Err(ArchiveError::File { .. })));
        fs::write(&path, good).unwrap();
    }
    let manifest = fs::read_to_string(&manifests[0]).unwrap();
    for (good, bad) in [
        ("order-ledger.log", "something.else"),
        ("\"version\": 1", "\"version\": 2"),
        ("\"name\": \"0", "\"name\": \"../0"),
        ("{", ""),
    ] {
        fs::write(&manifests[0], manifest.replacen(good, bad, 1)).unwrap();
        let refused = world.import(&target).await;
        assert!(matches!(refused, Err(ArchiveError::Damaged { .. })), "{bad}: {refused:?}");
    }
    // Whatever else another version says.
    fs::write(&manifests[0], r#"{"format": "order-ledger.log", "version": 2}"#).unwrap();
    let refused = world.import(&target).await.unwrap_err().to_string();
    assert!(refused.ends_with("it is order-ledger.log version 2"), "{refused}");
    assert_eq!(log::read_all(&target, Topic::Events).await, []);
    fs::write(&manifests[0], manifest).unwrap();
    assert_eq!(world.import(&target).await.unwrap().records, 60);
}

/// A reader needs Zstandard and JSON, nothing of ours.
#[tokio::test]
async fn a_line_says_what_it_is() {
    let world = World::new();
    let source = world.log("source.db", 1).await;
    let event = sample::placed(sample::order_id(1));
    log::append(&source, Topic::Events, vec![codec::event_record(&event, None)]).await;
    world.export(&source).await.unwrap();
    let file =
        fs::File::open(world.archive().join("00000-00000000000000000000.jsonl.zst")).unwrap();
    let text = std::io::read_to_string(zstd::Decoder::new(file).unwrap()).unwrap();
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(line["offset"], 0);
    assert_eq!(line["key"], sample::order_id(1).to_string());
    assert_eq!(line["headers"][0][0], "ce_specversion");
    assert!(line["value"].is_string() && line["appended_at"].is_string());
}
