//! kill -9 of each role in mid-flow, under load: every acknowledged order is there once, in the right state, mailed.

use std::{collections::BTreeSet, sync::Arc};

use events::OrderId;
use tokio::{sync::watch, task::JoinSet};

use crate::{
    client::{order, place},
    compare::{Mails, settle_and_compare},
    installation::{Installation, ROLES},
    process::Process,
};

const PLACERS: usize = 4;
const ORDERS_EACH: usize = 60;

#[tokio::test]
async fn a_killed_role_loses_nothing_and_repeats_nothing() {
    let installation = Arc::new(Installation::new("kill").await);
    let mut processes: Vec<Process> = ROLES.map(|role| installation.start(role)).into();
    for process in &mut processes {
        process.ready().await;
    }
    let (server_tx, server) = watch::channel(processes[0].grpc().await);
    let (count_tx, mut count) = watch::channel(0_usize);
    let mut placers = JoinSet::new();
    for placer in 0..PLACERS {
        let (installation, server) = (Arc::clone(&installation), server.clone());
        let count = count_tx.clone();
        placers.spawn(async move {
            let mut placed = Vec::new();
            for n in placer * ORDERS_EACH..(placer + 1) * ORDERS_EACH {
                placed.push(place(&server, order(&installation, n)).await);
                count.send_modify(|count| *count += 1);
            }
            placed
        });
    }
    // Each role dies once while orders come in, spread over the load.
    for (victim, role) in ROLES.iter().enumerate() {
        let share = PLACERS * ORDERS_EACH * (victim + 1) / (ROLES.len() + 2);
        count.wait_for(|count| *count >= share).await.unwrap();
        let replacement = installation.start(role);
        std::mem::replace(&mut processes[victim], replacement).kill().await;
        if *role == "api" {
            server_tx.send_replace(processes[victim].grpc().await);
        }
    }
    let placed: Vec<OrderId> = placers.join_all().await.into_iter().flatten().collect();
    let distinct: BTreeSet<_> = placed.iter().collect();
    assert_eq!(distinct.len(), PLACERS * ORDERS_EACH);

    let oracle = settle_and_compare(&installation, &placed, Mails::AtLeastOnce).await;
    assert_eq!(oracle.orders.len(), distinct.len(), "each acknowledged order once, and no other");

    for process in processes {
        process.stop().await;
    }
    Arc::into_inner(installation).expect("no one else has it").remove().await;
}
