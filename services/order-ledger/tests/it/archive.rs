//! A ledger moves to another cluster with another number of partitions: exported, imported, folded again.

use std::{process::Output, time::Duration};

use proto::v1;
use rdkafka::{
    ClientConfig,
    producer::{FutureProducer, FutureRecord},
};
use serde_json::Value;
use tempfile::TempDir;
use testkit::wait_for;

use crate::{
    client::{connect, order},
    installation::Installation,
    oracle::fold_topic,
    process::{PATIENCE, binary},
};

const ORDERS: usize = 30;

async fn run(verb: &[&str], installation: &Installation) -> Output {
    binary().args(verb).args(installation.args()).output().await.unwrap()
}

fn text(output: &Output) -> &str {
    assert!(output.status.success(), "{output:?}");
    str::from_utf8(&output.stdout).unwrap().trim()
}

/// Records that belong to no order, as someone else may have written them.
async fn append_strays(installation: &Installation, order_id: &str) {
    let topic = format!("{}orders.events", installation.topic_prefix());
    let producer: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", &installation.kafka).create().unwrap();
    for (key, value) in [(None, Some("no key")), (Some(order_id), None)] {
        let mut record: FutureRecord<'_, str, str> = FutureRecord::to(&topic).partition(0);
        record.key = key;
        record.payload = value;
        producer.send(record, Duration::from_secs(30)).await.unwrap();
    }
}

/// Something else for an order that there is, where its key belongs.
async fn one_more(installation: &Installation, order_id: &str) {
    let topic = format!("{}orders.events", installation.topic_prefix());
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &installation.kafka).set("partitioner", "murmur2");
    let producer: FutureProducer = config.create().unwrap();
    let record = FutureRecord::to(&topic).key(order_id).payload("one more");
    producer.send(record, Duration::from_secs(30)).await.unwrap();
}

/// What `verify --against` says of an installation's log and a copy, and how it ends.
async fn against(installation: &Installation, copy: &[&str]) -> (Value, Option<i32>) {
    let verify = [&["verify", "--output", "json", "--against"][..], copy].concat();
    let output = run(&verify, installation).await;
    let lines = str::from_utf8(&output.stdout).unwrap();
    let last = lines.lines().last().unwrap_or_else(|| panic!("{output:?}"));
    (serde_json::from_str(last).unwrap(), output.status.code())
}

/// Log, archive and moved log are copies of each other, until one has a record more.
async fn compare_copies(old: &Installation, new: &Installation, archive: &str) {
    let same = |strays, copy_strays, strays_compared| {
        serde_json::json!({ "compared": {
            "orders": ORDERS, "records": 40, "copy_records": 40, "strays": strays, "copy_strays": copy_strays,
            "strays_compared": strays_compared, "newer": 0, "differences": 0,
        }})
    };
    assert_eq!(against(old, &[archive]).await, (same(2, 2, true), Some(0)));
    assert_eq!(against(new, &[archive]).await, (same(0, 2, false), Some(0)));
    let (kafka, prefix) = (format!("kafka://{}", new.kafka), new.topic_prefix());
    let moved = [&kafka[..], "--against-topic-prefix", &prefix];
    assert_eq!(against(old, &moved).await, (same(2, 0, false), Some(0)));
    // Without the other prefix it is the log itself.
    assert_eq!(against(old, &[&kafka]).await, (same(2, 2, true), Some(0)));
    let nothing = run(&["verify", "--against", "nowhere"], old).await;
    let error = String::from_utf8_lossy(&nothing.stderr);
    assert!(!nothing.status.success() && error.contains("nowhere is no archive"), "{error}");
}

#[tokio::test]
async fn an_archive_moves_a_ledger_to_other_partitions() {
    let old = Installation::new("archived").await;
    let (mut api, mut projector) = (old.start("api"), old.start("projector"));
    api.ready().await;
    projector.ready().await;
    let mut client = connect(&api.grpc().await).await;
    let mut order_id = String::new();
    for n in 0..ORDERS {
        order_id = client.place_order(order(&old, n)).await.unwrap().into_inner().order_id;
        if n.is_multiple_of(3) {
            let order_id = order_id.clone();
            let request = v1::CancelOrderRequest { order_id, ..Default::default() };
            client.cancel_order(request).await.unwrap();
        }
    }
    api.stop().await;
    projector.stop().await;
    append_strays(&old, &order_id).await;

    let folder = TempDir::new().unwrap();
    let archive = folder.path().join("archive");
    let archive = archive.to_str().unwrap();
    let exported = run(&["log", "export", archive], &old).await;
    assert_eq!(
        text(&exported),
        format!("40 records of orders and 2 of none exported to {archive}")
    );

    let new = Installation::new("moved").await;
    let partitions = ["--log-partitions", "4"];
    let import = [&["log", "import", archive][..], &partitions].concat();
    let refused = run(&import, &new).await;
    let error = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && error.contains("--leave-out-strays"), "{error}");
    let imported = run(&[&import[..], &["--leave-out-strays"]].concat(), &new).await;
    assert_eq!(text(&imported), "40 records imported, 2 left out");
    let again = run(&[&import[..], &["--leave-out-strays"]].concat(), &new).await;
    let error = String::from_utf8_lossy(&again.stderr);
    assert!(!again.status.success() && error.contains("the topic has 40 records"), "{error}");

    compare_copies(&old, &new, archive).await;

    let (before, after) = (fold_topic(&old).await, fold_topic(&new).await);
    assert_eq!((before.foreign, after.foreign), (2, 0));
    assert_eq!((before.orders.len(), after.orders.len()), (ORDERS, ORDERS));
    for (id, moved) in &after.orders {
        let order = &before.orders[id];
        assert_eq!((&moved.order, &moved.history), (&order.order, &order.history));
    }

    let mut projector = new.start("projector");
    projector.ready().await;
    let verified = wait_for("the moved ledger is folded", PATIENCE, async || {
        let output = run(&["verify", "--documents", "none", "--output", "json"], &new).await;
        let verified: Value = serde_json::from_str(text(&output)).unwrap();
        (verified["verified"]["behind"] == 0).then_some(verified)
    })
    .await;
    assert_eq!(verified["verified"]["orders"], ORDERS);
    assert_eq!(verified["verified"]["applied"], 40);
    projector.stop().await;
    one_more(&new, &order_id).await;
    let (compared, code) = against(&new, &[archive]).await;
    assert_eq!((&compared["compared"]["differences"], code), (&1.into(), Some(1)));
    old.remove().await;
    new.remove().await;
}
