use adapter_embedded::SqliteLog;
use bytes::Bytes;
use ports::{EventLog as _, NewRecord, Topic, TopicSettings};
fn rss() -> String { std::fs::read_to_string("/proc/self/status").unwrap().lines().find(|l| l.starts_with("VmRSS")).unwrap().to_owned() }
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn measure() {
    let folder = tempfile::tempdir_in("/work/main/target").unwrap();
    let log = SqliteLog::open(&folder.path().join("log.db")).await.unwrap();
    log.prepare(TopicSettings { partitions: Some(4), replication: None }).await.unwrap();
    println!("start {}", rss());
    let rec = |n: usize| NewRecord { key: Bytes::from(format!("key {n}")), value: Bytes::from(vec![7u8; 300]), headers: vec![("ce_id".into(), Bytes::from_static(b"0123456789")); 5] };
    for inflight in [1usize, 64, 4096] {
        let total = [300, 6000, 60_000][[1usize,64,4096].iter().position(|i| *i==inflight).unwrap()];
        let t = std::time::Instant::now();
        for chunk in 0..total / inflight {
            let acks: Vec<_> = (0..inflight).map(|n| log.append(Topic::Events, rec(chunk * inflight + n)).unwrap()).collect();
            for a in acks { a.await.unwrap(); }
        }
        println!("{inflight} in flight: {:.0}/s {}", total as f64 / t.elapsed().as_secs_f64(), rss());
    }
    // every size of batch once
    for size in (1000..4096).step_by(31) {
        let acks: Vec<_> = (0..size).map(|n| log.append(Topic::Events, rec(n)).unwrap()).collect();
        for a in acks { a.await.unwrap(); }
    }
    println!("100 sizes: {}", rss());
}
