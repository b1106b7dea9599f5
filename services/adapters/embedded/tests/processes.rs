//! More than one process, one after the other or at once: what a killed one had acknowledged is there, and two never
//! share a data folder. The other process is this test's own program, told what to be by its environment.

#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

use std::{
    collections::{BTreeMap, VecDeque},
    env,
    io::{BufRead as _, BufReader, Write as _, stdout},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use adapter_embedded::{DataDir, DataDirError, DataDirLock, SqliteLog, SqliteStore};
use bytes::Bytes;
use contract::order_store::batch;
use events::Digest;
use ports::{
    Ack, AppendError, Commit, EventLog as _, Generations as _, LogError, NewGeneration, NewRecord,
    Offset, OrderStore as _, Partition, PartitionCommit, Position, Stage, Topic, TopicSettings,
};
use tempfile::TempDir;
use testkit::sample::{at, order_id, placed};

/// Names the data folder to the other process; set only there.
const DATA: &str = "ORDER_LEDGER_TEST_OTHER_PROCESS_DATA";
/// What begins a line that the other process means for this one.
const MARK: &str = "other process:";
/// Records that the other process keeps in flight.
const IN_FLIGHT: usize = 300;

/// The other process; killed when dropped.
struct Other {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Other {
    fn start(data: &Path) -> Self {
        Self::start_as("the_other_process", data)
    }

    /// Starts one that does what a test of that name does.
    fn start_as(name: &str, data: &Path) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args([name, "--exact", "--nocapture"])
            .env(DATA, data)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// The next thing that it says; `None` once it is dead and everything it said was heard.
    fn says(&mut self) -> Option<String> {
        let mut line = String::new();
        while self.lines.read_line(&mut line).unwrap() > 0 {
            // The test runner speaks too. A line without an end was cut off by the kill.
            if let Some((_, said)) = line.split_once(MARK)
                && said.ends_with('\n')
            {
                return Some(said.trim().to_owned());
            }
            line.clear();
        }
        None
    }

    /// SIGKILL: nothing is finished, nothing is closed.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // It may be dead already.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

async fn open(data: &Path) -> SqliteLog {
    let log = SqliteLog::open(&data.join("log.db")).await.unwrap();
    log.prepare(TopicSettings { partitions: Some(3), replication: None }).await.unwrap();
    log
}

fn say(what: &str) {
    let mut out = stdout();
    writeln!(out, "{MARK} {what}").unwrap();
}

/// What the other process does: takes the folder and appends until it is killed, and says each acknowledgement.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_other_process() {
    let Some(data) = env::var_os(DATA).map(PathBuf::from) else {
        // Run as a test among others: nothing to do.
        return;
    };
    let _lock = DataDir::lock(&data).unwrap();
    let log = open(&data).await;
    say("has the folder");
    let mut in_flight: VecDeque<(String, Ack)> = VecDeque::new();
    for n in 0_usize.. {
        let value = format!("{} {n}", std::process::id());
        let record = NewRecord {
            key: Bytes::from(format!("key {}", n % 10)),
            value: Bytes::from(value.clone()),
            headers: vec![("ce_id".to_owned(), Bytes::from(value.clone()))],
        };
        in_flight.push_back((value, log.append(Topic::Events, record).unwrap()));
        if in_flight.len() == IN_FLIGHT {
            let (value, ack) = in_flight.pop_front().unwrap();
            let Position { partition, offset } = ack.await.unwrap();
            say(&format!("{partition} {offset} {value}"));
        }
    }
}

/// Every record of the log: its place, as the other process says it, by its value.
async fn stored(data: &Path) -> BTreeMap<String, String> {
    let log = open(data).await;
    let mut stored = BTreeMap::new();
    for Position { partition, offset } in log.end_offsets(Topic::Events).await.unwrap() {
        let mut expected = Offset::START;
        let mut reader = log.read(Topic::Events, partition, expected, offset).await.unwrap();
        loop {
            let records = reader.next().await.unwrap();
            if records.is_empty() {
                break;
            }
            for record in records {
                let at = record.position.offset;
                assert_eq!(at, expected, "partition {partition} has a gap");
                expected = expected.next();
                let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
                let twice = stored.insert(value.clone(), format!("{partition} {at}"));
                assert_eq!(twice, None, "{value} is there twice");
            }
        }
        assert_eq!(expected, offset);
    }
    stored
}

/// Promise 1, where the log is a file: three processes die in the middle of their work, one after the other.
#[tokio::test]
async fn a_killed_process_leaves_every_acknowledged_record_once() {
    let folder = TempDir::new().unwrap();
    let mut acked = Vec::new();
    for kill in 1..=3_usize {
        let mut other = Other::start(folder.path());
        assert_eq!(other.says().unwrap(), "has the folder");
        // Not always at the same point of its work.
        for _ in 0..kill * 777 {
            acked.push(other.says().unwrap());
        }
        other.kill();
        acked.extend(std::iter::from_fn(|| other.says()));
        let stored = stored(folder.path()).await;
        for said in &acked {
            let mut said = said.splitn(3, ' ');
            let (partition, offset, value) =
                (said.next().unwrap(), said.next().unwrap(), said.next().unwrap());
            assert_eq!(stored.get(value), Some(&format!("{partition} {offset}")), "{value}");
        }
        assert!(stored.len() <= acked.len() + kill * IN_FLIGHT, "{} records", stored.len());
    }
}

/// And the other is named, so that a person knows what to stop; a dead one is in nobody's way.
#[tokio::test]
async fn a_folder_in_use_is_refused_until_its_process_ends() {
    let folder = TempDir::new().unwrap();
    let mut other = Other::start(folder.path());
    assert_eq!(other.says().unwrap(), "has the folder");
    let refused = DataDir::lock(folder.path()).unwrap_err();
    assert!(matches!(refused, DataDirError::InUse { .. }), "{refused:?}");
    let expected = format!(
        "process {} uses {}; stop it, or choose another folder",
        other.child.id(),
        folder.path().display()
    );
    assert_eq!(refused.to_string(), expected);
    other.kill();
    let _lock: DataDirLock = DataDir::lock(folder.path()).unwrap();
}

/// A tool that looks on sees what the other process has acknowledged by then, and writes nothing between its records.
#[tokio::test]
async fn a_log_can_be_read_beside_the_process_that_writes_it() {
    let folder = TempDir::new().unwrap();
    let mut other = Other::start(folder.path());
    assert_eq!(other.says().unwrap(), "has the folder");
    let log = SqliteLog::open_beside(&folder.path().join("log.db")).await.unwrap();
    log.prepare(TopicSettings { partitions: None, replication: None }).await.unwrap();
    assert_eq!(log.partitions(Topic::Events).await.unwrap(), 3);
    for _ in 0..3 {
        let said = (0..500).map(|_| other.says().unwrap()).last().unwrap();
        let (partition, rest) = said.split_once(' ').unwrap();
        let (offset, value) = rest.split_once(' ').unwrap();
        let partition = Partition(partition.parse().unwrap());
        let offset = Offset(offset.parse().unwrap());
        let end = log.end_offset(Topic::Events, partition).await.unwrap();
        assert!(end > offset, "{end} is not after {offset}");
        let mut reader = log.read(Topic::Events, partition, offset, end).await.unwrap();
        let first = reader.next().await.unwrap().remove(0);
        assert_eq!(first.value.unwrap(), value);
    }
    let record = NewRecord { key: "key".into(), value: "value".into(), headers: Vec::new() };
    let refused = log.append(Topic::Events, record).unwrap().await;
    assert!(matches!(refused, Err(AppendError::Unacknowledged(_))), "{refused:?}");
    let refused = log.follow(Topic::Events, &[]).await.map(drop);
    assert!(matches!(refused, Err(LogError::Unfit(_))), "{refused:?}");
    other.kill();
}

async fn open_store(data: &Path) -> SqliteStore {
    let store = SqliteStore::open(&data.join("state.db")).await.unwrap();
    store.bind_partitions(1).await.unwrap();
    store
}

/// The generation in this stage, which is the only one.
async fn in_stage(store: &SqliteStore, stage: Stage) -> u32 {
    let all = store.generations().await.unwrap();
    let mut all = all.iter().filter(|generation| generation.stage == stage);
    let number = all.next().unwrap().number;
    assert_eq!(all.next(), None);
    number
}

/// What another does: puts the retired generation in the place of the live one, again and again, until it is killed.
#[tokio::test]
async fn the_other_process_that_cuts() {
    let Some(data) = env::var_os(DATA).map(PathBuf::from) else {
        // Run as a test among others: nothing to do.
        return;
    };
    let store = open_store(&data).await;
    for n in 0.. {
        let retired = in_stage(&store, Stage::Retired).await;
        store.begin_cut(retired).await.unwrap().finish(at(n), false).await.unwrap();
        say("cut");
    }
}

/// Its rows and its projectors, at whatever instant, in either direction.
#[tokio::test]
async fn a_killed_process_leaves_one_generation_live() {
    let folder = TempDir::new().unwrap();
    let step = |expected| {
        let (partition, next, announced) = (Partition(0), Offset(3), Offset::START);
        let digest = Digest::of(b"three");
        vec![PartitionCommit { partition, expected, next, announced, digest }]
    };
    let orders = [1, 2, 3].map(order_id).map(placed);
    let store = open_store(folder.path()).await;
    store.commit(&batch(0, 0, &orders)).await.unwrap();
    let new = NewGeneration { partitions: 1, kept: false, created_at: at(0) };
    let second = store.create(new).await.unwrap();
    let beside = store.open(second).await.unwrap();
    let rows = Commit { partitions: Vec::new(), ..batch(0, 0, &orders[..2]) };
    beside.load_rows(&rows).await.unwrap();
    let begun = beside.progress(&[]).await.unwrap()[0].place();
    beside.commit(&Commit { partitions: step(begun), ..Commit::default() }).await.unwrap();
    drop(beside);
    store.begin_cut(second).await.unwrap().finish(at(1), false).await.unwrap();
    for kill in 1..=6_usize {
        let mut other = Other::start_as("the_other_process_that_cuts", folder.path());
        for _ in 0..kill * 3 {
            assert_eq!(other.says().unwrap(), "cut");
        }
        other.kill();
        let fresh = open_store(folder.path()).await;
        let live = in_stage(&fresh, Stage::Live).await;
        assert_ne!(in_stage(&fresh, Stage::Retired).await, live);
        let expected = if live == second { 2 } else { 3 };
        for store in [&fresh, &store] {
            assert_eq!(store.scan(None, 9).await.unwrap().len(), expected);
            let stands = store.progress(&[]).await.unwrap()[0].place();
            assert_eq!(stands.next, Offset(3));
            let standing = Commit { partitions: step(stands), ..Commit::default() };
            store.commit(&standing).await.unwrap();
        }
    }
}
