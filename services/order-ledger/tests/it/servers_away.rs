//! Kafka, Postgres, Elasticsearch and the mail server away, at start and later: the processes wait, say so, and recover
//! without a restart; nothing is lost.

use std::{path::PathBuf, process::Stdio};

use testkit::wait_for;
use tokio::process::Command;
use tokio::sync::watch;

use crate::{
    client::{order, place},
    compare::{Mails, settle_and_compare},
    installation::{Installation, ROLES},
    process::{PATIENCE, Process},
};

/// Tells `infra/local` to do something to one of the test servers.
async fn server(name: &str, verb: &str) {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = std::env::var("ORDER_LEDGER_TEST_SERVERS")
        .map_or_else(|_| root.join(".local/test"), PathBuf::from);
    let done = Command::new(root.join("infra/local/server"))
        .arg(folder)
        .args([name, verb])
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    assert!(done.status.success(), "infra/local/server {name} {verb}: {done:?}");
}

#[tokio::test]
async fn servers_that_go_away_are_waited_for() {
    const SERVERS: [(&str, &str); 4] = [
        ("kafka", "api"),
        ("postgres", "projector"),
        ("elasticsearch", "search"),
        ("mailpit", "mailer"),
    ];
    let installation = Installation::alone("away").await;
    for (name, _) in SERVERS {
        server(name, "stop").await;
    }
    let mut processes: Vec<Process> = ROLES.map(|role| installation.start(role)).into();
    for process in &mut processes {
        process.http().await;
        let (status, said) = process.readiness().await;
        assert_eq!(status, 503, "{said}");
    }
    for (name, _) in SERVERS {
        server(name, "start").await;
    }
    for process in &mut processes {
        process.ready().await;
    }
    let (address_tx, address) = watch::channel(processes[0].grpc().await);
    let mut placed = Vec::new();
    for (round, (name, role)) in SERVERS.into_iter().enumerate() {
        server(name, "kill").await;
        let witness = ROLES.iter().position(|r| *r == role).unwrap();
        // Orders that come in meanwhile wait or go through, as far as they don't need the server.
        let orders: Vec<_> =
            (round * 10..round * 10 + 10).map(|n| order(&installation, n)).collect();
        let waiting_address = address.clone();
        let placing = tokio::spawn(async move {
            let mut ids = Vec::new();
            for order in orders {
                ids.push(place(&waiting_address, order).await);
            }
            ids
        });
        wait_for(&format!("the {role} says that {name} is away"), PATIENCE, async || {
            let (status, _) = processes[witness].readiness().await;
            (status == 503).then_some(())
        })
        .await;
        server(name, "start").await;
        processes[witness].ready().await;
        placed.extend(placing.await.unwrap());
    }
    drop(address_tx);
    let oracle = settle_and_compare(&installation, &placed, Mails::AtLeastOnce).await;
    assert_eq!(oracle.orders.len(), placed.len());
    for process in processes {
        process.stop().await;
    }
    installation.remove().await;
}
