//! Locust's users, started as infra/load/README.md says: against a server with every role, and against none.

use std::{collections::BTreeMap, path::Path};

use serde_json::Value;
use tokio::process::Command;

use crate::{
    by_hand::{Desk, Said},
    process::PATIENCE,
};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../infra/load/locust");

/// Runs every class of users for a few seconds: Locust's statistics, by class and method, and how it ended.
async fn run(server: &str, label: &str) -> (BTreeMap<(String, String), (u64, u64)>, Said) {
    let mut locust = Command::new(SCRIPT);
    locust.args([
        "--headless",
        "--json",
        "--users",
        "12",
        "--spawn-rate",
        "12",
        "--run-time",
        "8s",
    ]);
    locust.args(["--host", server, "--load-test-type", label]).kill_on_drop(true);
    let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join("load");
    locust.env("ORDER_LEDGER_LOAD_DIR", made).env_remove("ORDER_LEDGER_SERVER");
    // Python's packages are installed the first time.
    let ended = tokio::time::timeout(3 * PATIENCE, locust.output()).await;
    let said = Said::from(ended.expect("it ends in time").unwrap());
    let told: Vec<Value> = serde_json::from_str(&said.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}{}", said.stdout, said.stderr));
    let requests = told.iter().map(|row| {
        let text = |name: &str| row[name].as_str().unwrap().to_owned();
        let count = |name: &str| row[name].as_u64().unwrap();
        ((text("method"), text("name")), (count("num_requests"), count("num_failures")))
    });
    (requests.collect(), said)
}

#[tokio::test]
async fn every_class_of_users_is_served_and_the_ledger_has_their_orders() {
    let desk = Desk::open("locust").await;
    let (requests, said) = run(desk.server(), "rush-hour").await;
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stderr.contains("load_test_type: rush-hour"), "{}", said.stderr);
    assert!(requests.values().all(|(_, failed)| *failed == 0), "{requests:?}");
    let made = |user: &str, method: &str| {
        requests.get(&(user.to_owned(), method.to_owned())).map_or(0, |(count, _)| *count)
    };
    for (user, method) in [
        ("Shopper", "PlaceOrder"),
        ("Tracker", "RecordDelivered"),
        ("Tracker", "WatchOrder, a change"),
        ("Tracker", "GetOrderHistory"),
        ("Desk", "ListOrders"),
        ("SeedShopper", "OrderService.PlaceOrder"),
    ] {
        assert!(made(user, method) > 0, "{user} {method}: {requests:?}");
    }

    let listed = desk.json(&["list", "--all"]).await;
    let orders = listed["orders"].as_array().unwrap();
    let count = |is: &dyn Fn(&Value) -> bool| {
        u64::try_from(orders.iter().filter(|order| is(order)).count()).unwrap()
    };
    let labelled = count(&|order| order["details"]["labels"]["load_test_type"] == "rush-hour");
    // A call that the end of the test cut off is not counted by Locust, but the ledger may have its order.
    let users = 12;
    let placed = made("Shopper", "PlaceOrder") + made("Tracker", "PlaceOrder");
    assert!((placed..=placed + users).contains(&labelled), "{labelled} orders, {placed} calls");
    let delivered = count(&|order| order["state"] == "ORDER_STATE_DELIVERED");
    let reported = made("Tracker", "RecordDelivered");
    assert!((reported..=reported + users).contains(&delivered), "{delivered} for {reported}");
    let older = count(&|order| {
        let email = order["details"]["customer"]["email"].as_str();
        email.is_some_and(|email| email.ends_with("@seed.example.com"))
    });
    let placed = made("SeedShopper", "OrderService.PlaceOrder");
    assert!((placed..=placed + users).contains(&older), "{older} orders, {placed} calls");
    desk.close().await;
}

#[tokio::test]
async fn without_a_server_every_request_is_a_failure_with_its_code() {
    let (requests, said) = run("http://127.0.0.1:1", "nobody-there").await;
    assert_eq!(said.code, 1, "{}", said.stderr);
    assert!(!requests.is_empty());
    assert!(requests.values().all(|(count, failed)| count == failed), "{requests:?}");
    assert!(said.stderr.contains("Refused('UNAVAILABLE')"), "{}", said.stderr);
}
