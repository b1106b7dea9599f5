//! Two copies of a log: equal ones are found equal, whatever their partitions, and the first difference of an order is named.

use std::path::Path;

use adapter_embedded::SqliteLog;
use archive::Archive;
use async_trait::async_trait;
use bytes::Bytes;
use codec::event_record;
use events::OrderId;
use ports::{
    EventLog as _, LogError, NewRecord, Offset, Partition, Position, Reader, Topic, TopicSettings,
};
use replay::{
    CompareSettings, Comparison, LogChange, LogCopy, LogDifference, WholeLog, compare_logs,
};
use tempfile::TempDir;
use testkit::{log, sample};

/// So little that many passes are needed.
const LITTLE: CompareSettings<'static> =
    CompareSettings { orders_max: 7, records_max: 20, progress: None };

/// An archive, as the command line has it.
struct Archived(Archive);

#[async_trait]
impl LogCopy for Archived {
    async fn end_offsets(&self) -> Result<Vec<Position>, LogError> {
        Ok(self.0.end_offsets())
    }

    async fn read(
        &self,
        partition: Partition,
        _until: Offset,
    ) -> Result<Box<dyn Reader>, LogError> {
        Ok(Box::new(self.0.read(partition)))
    }

    fn was_taken_off(&self) -> bool {
        true
    }
}

/// A log of these records.
async fn log_of(folder: &TempDir, name: &str, partitions: u32, records: &[NewRecord]) -> SqliteLog {
    let log = SqliteLog::open(&folder.path().join(name)).await.unwrap();
    let settings = TopicSettings { partitions: Some(partitions), replication: None };
    log.prepare(settings).await.unwrap();
    log::append(&log, Topic::Events, records.to_vec()).await;
    log
}

/// The lives of 30 orders, step by step.
fn records() -> Vec<NewRecord> {
    let lives: Vec<_> = (0..30).map(|n| sample::lifecycle(sample::order_id(n))).collect();
    (0..6).flat_map(|step| lives.iter().map(move |life| event_record(&life[step], None))).collect()
}

/// Where an order's n-th record stands among all of them.
const fn at(order: usize, step: usize) -> usize {
    step * 30 + order
}

async fn compared(
    log: &dyn LogCopy,
    copy: &dyn LogCopy,
    settings: CompareSettings<'_>,
) -> (Comparison, Vec<LogDifference>) {
    let mut differences = Vec::new();
    let mut tell = |difference| differences.push(difference);
    let found = compare_logs(log, copy, settings, &mut tell).await.unwrap();
    assert_eq!(found.differences, differences.len() as u64);
    (found, differences)
}

fn key(n: u64) -> Option<String> {
    Some(sample::order_id(n).to_string())
}

/// The positions of an order's records.
async fn positions(log: &SqliteLog, order: OrderId) -> Vec<Position> {
    let all = log::read_all(log, Topic::Events).await;
    let key = Bytes::from(order.to_string());
    all.into_iter()
        .filter(|record| record.key.as_ref() == Some(&key))
        .map(|record| record.position)
        .collect()
}

#[tokio::test]
async fn equal_ones_are_equal_whatever_the_partitions() {
    let folder = tempfile::tempdir().unwrap();
    let log = log_of(&folder, "log.db", 3, &records()).await;
    for partitions in [1, 3, 5] {
        let copy = log_of(&folder, &format!("{partitions}.db"), partitions, &records()).await;
        let equal = Comparison {
            orders: 30,
            records: 180,
            copy_records: 180,
            strays_compared: partitions == 3,
            ..Comparison::default()
        };
        for settings in [CompareSettings::default(), LITTLE] {
            let found = compared(&WholeLog(&log), &WholeLog(&copy), settings).await;
            assert_eq!(found, (equal.clone(), Vec::new()), "{partitions} partitions");
        }
    }
}

/// One order of each kind, in one comparison.
#[tokio::test]
async fn the_first_difference_of_each_order_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let log = log_of(&folder, "log.db", 3, &records()).await;
    let mut changed = records();
    // Only a header, and then more that is not named.
    changed[at(1, 2)].headers.clear();
    changed[at(1, 3)].value = Bytes::from_static(b"\xff");
    // The order of two.
    changed.swap(at(2, 1), at(2, 4));
    let added = event_record(&sample::cancelled(sample::order_id(3)), None);
    changed.insert(at(3, 1), added);
    changed.remove(at(4, 5) + 1);
    changed.remove(at(5, 2) + 1);
    changed.push(event_record(&sample::placed(sample::order_id(100)), None));
    changed.retain(|record| Some(record.key.clone()) != key(6).map(Bytes::from));

    for partitions in [3, 2] {
        let copy = log_of(&folder, &format!("{partitions}.db"), partitions, &changed).await;
        let mut expected = Vec::new();
        for (n, change, in_log, in_copy) in [
            (1, LogChange::Changed, Some(2), Some(2)),
            (2, LogChange::Moved, Some(1), Some(4)),
            (3, LogChange::Added, None, Some(1)),
            (4, LogChange::Missing, Some(5), None),
            (5, LogChange::Missing, Some(2), None),
            (6, LogChange::Missing, Some(0), None),
            (100, LogChange::Added, None, Some(0)),
        ] {
            let id = sample::order_id(n);
            let (log, copy) = (positions(&log, id).await, positions(&copy, id).await);
            let (log, copy) = (in_log.map(|n: usize| log[n]), in_copy.map(|n: usize| copy[n]));
            expected.push(LogDifference { order: key(n), change, log, copy });
        }
        expected.sort_by(|one, other| one.order.cmp(&other.order));
        for settings in [CompareSettings::default(), LITTLE] {
            let (found, mut differences) =
                compared(&WholeLog(&log), &WholeLog(&copy), settings).await;
            differences.sort_by(|one, other| one.order.cmp(&other.order));
            assert_eq!(differences, expected, "{partitions} partitions");
            assert_eq!((found.orders, found.records, found.copy_records), (31, 180, 174));
        }
    }
}

#[tokio::test]
async fn what_is_told_can_be_read() {
    let at = |offset| Position { partition: Partition(1), offset: Offset(offset) };
    let moved = LogDifference {
        order: Some("x".to_owned()),
        change: LogChange::Moved,
        log: Some(at(1)),
        copy: Some(at(7)),
    };
    assert_eq!(moved.to_string(), "order x: moved, in the log at 1/1, in the copy at 1/7");
    let missing = LogDifference { order: None, change: LogChange::Missing, copy: None, ..moved };
    assert_eq!(
        missing.to_string(),
        "records of no order: missing, in the log at 1/1, in the copy nowhere"
    );
}

/// Records away from their home: compared by partition if there are as many, and else only counted.
#[tokio::test]
async fn strays_are_compared_by_partition() {
    let folder = tempfile::tempdir().unwrap();
    let log = log_of(&folder, "log.db", 3, &records()).await;
    move_away(&folder.path().join("log.db"), 0).await;
    let same = log_of(&folder, "same.db", 3, &records()).await;
    move_away(&folder.path().join("same.db"), 0).await;
    let (found, differences) =
        compared(&WholeLog(&log), &WholeLog(&same), CompareSettings::default()).await;
    assert_eq!(differences, []);
    assert_eq!((found.strays, found.copy_strays, found.strays_compared), (1, 1, true));

    let without: Vec<_> = records().split_off(1);
    let fewer = log_of(&folder, "fewer.db", 3, &without).await;
    let (_, differences) = compared(&WholeLog(&log), &WholeLog(&fewer), LITTLE).await;
    let stray = differences.iter().find(|difference| difference.order.is_none()).unwrap();
    assert_eq!((stray.change, stray.copy), (LogChange::Missing, None));

    let other = log_of(&folder, "other.db", 4, &without).await;
    let (found, differences) =
        compared(&WholeLog(&log), &WholeLog(&other), CompareSettings::default()).await;
    assert_eq!(differences.iter().filter(|difference| difference.order.is_none()).count(), 0);
    assert_eq!((found.strays, found.copy_strays, found.strays_compared), (1, 0, false));
}

/// Files the first record of a log under the key of an order that lives elsewhere.
async fn move_away(file: &Path, n: u64) {
    use sqlx::Connection as _;
    let home = sample::order_id(n).to_string();
    let partition = ports::partition_for_key(home.as_bytes(), 3);
    let elsewhere = (1..)
        .map(|n| sample::order_id(n).to_string())
        .find(|key| ports::partition_for_key(key.as_bytes(), 3) != partition);
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
    let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    let statement = format!(
        "UPDATE records SET key = CAST('{}' AS BLOB) WHERE topic = 'orders.events'
         AND partition = {partition} AND \"offset\" = 0",
        elsewhere.unwrap()
    );
    sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
}

/// An archive is older than the log: what came since is no difference. One that lacks something is different.
#[tokio::test]
async fn an_archive_is_a_copy_too() {
    let folder = tempfile::tempdir().unwrap();
    let log = log_of(&folder, "log.db", 3, &records()).await;
    let path = folder.path().join("archive");
    archive::export(&log, &path, sample::at(0), |_| ()).await.unwrap();
    log::append(
        &log,
        Topic::Events,
        vec![event_record(&sample::placed(sample::order_id(50)), None)],
    )
    .await;
    let copy = Archived(Archive::open(&path).unwrap());
    copy.0.check().unwrap();
    for settings in [CompareSettings::default(), LITTLE] {
        let (found, differences) = compared(&WholeLog(&log), &copy, settings).await;
        assert_eq!(differences, []);
        assert_eq!((found.orders, found.records, found.newer), (30, 180, 1));
    }

    let moved = log_of(&folder, "moved.db", 5, &records()).await;
    let (found, differences) = compared(&WholeLog(&moved), &copy, CompareSettings::default()).await;
    assert_eq!((found.orders, differences), (30, Vec::new()));

    let mut fewer = records();
    fewer.remove(at(7, 5));
    let fewer = log_of(&folder, "fewer.db", 3, &fewer).await;
    let (_, differences) = compared(&WholeLog(&fewer), &copy, CompareSettings::default()).await;
    let [difference] = differences.try_into().unwrap();
    assert_eq!((difference.order, difference.change), (key(7), LogChange::Added));
}

/// What a damaged file says is not taken for a difference.
#[tokio::test]
async fn a_damaged_archive_is_no_copy() {
    let folder = tempfile::tempdir().unwrap();
    let log = log_of(&folder, "log.db", 1, &records()).await;
    let path = folder.path().join("archive");
    archive::export(&log, &path, sample::at(0), |_| ()).await.unwrap();
    let file = path.join("00000-00000000000000000000.jsonl.zst");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    let copy = Archived(Archive::open(&path).unwrap());
    copy.0.check().unwrap_err();
    let compared =
        compare_logs(&WholeLog(&log), &copy, CompareSettings::default(), &mut |_| ()).await;
    assert!(matches!(compared, Err(LogError::Unfit(_))), "{compared:?}");
}
