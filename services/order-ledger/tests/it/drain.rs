//! SIGTERM drains, a second signal ends at once.

use std::sync::Arc;

use tokio::task::JoinSet;
use tonic::Code;

use crate::{
    client::{connect, order},
    installation::Installation,
    oracle::fold_topic,
    process::Process,
};

#[tokio::test]
async fn sigterm_under_load_answers_what_it_took_and_loses_nothing() {
    let installation = Arc::new(Installation::new("drain").await);
    let mut api = installation.start("api");
    api.ready().await;
    let address = api.grpc().await;
    let (first_tx, mut first) = tokio::sync::mpsc::channel(1);
    let mut placers = JoinSet::new();
    for placer in 0..8_usize {
        let (installation, address) = (Arc::clone(&installation), address.clone());
        let first_tx = first_tx.clone();
        placers.spawn(async move {
            let mut client = connect(&address).await;
            let mut placed = Vec::new();
            for n in (placer..).step_by(8) {
                match client.place_order(order(&installation, n)).await {
                    Ok(answer) => placed.push(answer.into_inner().order_id),
                    Err(status) => {
                        let away = [Code::Unavailable, Code::Unknown, Code::Cancelled];
                        assert!(away.contains(&status.code()), "{status}");
                        return placed;
                    }
                }
                _ = first_tx.try_send(());
            }
            placed
        });
    }
    first.recv().await.unwrap();
    api.stop().await;
    let placed: Vec<String> = placers.join_all().await.into_iter().flatten().collect();
    assert!(!placed.is_empty());
    let oracle = fold_topic(&installation).await;
    for id in placed {
        assert!(oracle.orders.contains_key(&id.parse().unwrap()), "{id} was acknowledged and lost");
    }
    Arc::into_inner(installation).expect("no one else has it").remove().await;
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    // A server that answers nothing keeps the process waiting; it ends all the same.
    let installation = Installation::new("second-signal").await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut args = installation.args();
    let postgres = format!("postgres://nobody@{}/nothing", silent.local_addr().unwrap());
    args.extend(["--roles".to_owned(), "projector".to_owned()]);
    let state = args.iter().position(|arg| *arg == installation.postgres).unwrap();
    args[state] = postgres;
    let mut process = Process::serve("second-signal", &args);
    process.http().await;
    process.terminate();
    process.says("draining; the same again ends at once").await;
    process.terminate();
    let (status, log) = process.end().await;
    assert_eq!(status.code(), Some(128 + 15), "{log}");
}
