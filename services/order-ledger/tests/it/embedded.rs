//! The embedded parts under the same fate: kill -9 under load, and go on.

use std::{collections::BTreeSet, path::Path};

use events::OrderId;
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinSet};

use crate::{
    client::{order_of, place},
    process::{Process, binary},
};

const KILLS: usize = 3;
const ORDERS_BETWEEN: usize = 40;

fn start(data: &Path) -> Process {
    let mut args = vec!["--data".to_owned(), data.to_str().unwrap().to_owned()];
    args.extend(["--claim-lease", "5s", "--mail-timeout", "1s"].map(str::to_owned));
    Process::serve("embedded", &args)
}

#[tokio::test]
async fn a_killed_process_finds_every_acknowledged_order_again() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let mut process = start(&data);
    process.ready().await;
    let (server_tx, server) = watch::channel(process.grpc().await);
    let (count_tx, mut count) = watch::channel(0_usize);
    let mut placers = JoinSet::new();
    for placer in 0..4_usize {
        let (server, count) = (server.clone(), count_tx.clone());
        placers.spawn(async move {
            let mut placed: Vec<OrderId> = Vec::new();
            for n in (placer..(KILLS + 1) * ORDERS_BETWEEN).step_by(4) {
                placed.push(place(&server, order_of("embedded", n)).await);
                count.send_modify(|count| *count += 1);
            }
            placed
        });
    }
    for kill in 1..=KILLS {
        count.wait_for(|count| *count >= kill * ORDERS_BETWEEN).await.unwrap();
        process.kill().await;
        process = start(&data);
        server_tx.send_replace(process.grpc().await);
    }
    let placed: BTreeSet<_> = placers.join_all().await.into_iter().flatten().collect();
    assert_eq!(placed.len(), (KILLS + 1) * ORDERS_BETWEEN);

    // Once drained, the log folded again must be what is stored, and nothing may be left to fold.
    testkit::wait_for("every mail is written", crate::process::PATIENCE, async || {
        let mails = std::fs::read_dir(data.join("outbox")).ok()?.count();
        (mails >= placed.len()).then_some(())
    })
    .await;
    process.stop().await;
    let verified = binary()
        .args(["verify", "--documents", "none", "--transitions", "all", "--data"])
        .arg(&data)
        .output()
        .await
        .unwrap();
    let found = String::from_utf8(verified.stdout).unwrap();
    assert!(verified.status.success(), "{found}");
    let expected = format!("0 not folded yet), {} orders, 0 documents, ", placed.len());
    assert!(found.contains(&expected) && found.contains(": every record"), "{found}");
}
