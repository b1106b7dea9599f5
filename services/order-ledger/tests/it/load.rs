//! `order-ledger load` against a server with every role: what it says it did is what the ledger has.

use std::{process::Stdio, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
};

use crate::{
    by_hand::{Desk, Said},
    process::{PATIENCE, binary},
};

fn load(server: &str, args: &[&str]) -> Command {
    let mut command = binary();
    command.args(["load", "--server", server]).args(args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

async fn run(desk: &Desk, args: &[&str]) -> Said {
    let ended = tokio::time::timeout(PATIENCE, load(desk.server(), args).output()).await;
    ended.expect("it ends in time").unwrap().into()
}

/// The document of a run that succeeded.
async fn report(desk: &Desk, args: &[&str]) -> Value {
    let said = run(desk, &[args, &["--output", "json"]].concat()).await;
    serde_json::from_str(&said.done()).unwrap()
}

/// The orders of that load test type that are placed, once there are as many.
async fn orders(desk: &Desk, label: &str, expected: u64) -> Vec<Value> {
    let what = format!("{expected} orders of {label} are found");
    testkit::wait_for(&what, PATIENCE, async || {
        let listed = desk.json(&["list", "--all"]).await;
        let orders = listed["orders"].as_array().unwrap().iter();
        let of_label = orders.filter(|o| o["details"]["labels"]["load_test_type"] == label);
        let found: Vec<_> = of_label.cloned().collect();
        (u64::try_from(found.len()).unwrap() == expected).then_some(found)
    })
    .await
}

fn count(report: &Value, name: &str) -> u64 {
    report[name].as_u64().unwrap()
}

fn call<'a>(report: &'a Value, name: &str) -> &'a Value {
    let calls = report["calls"].as_array().unwrap();
    calls.iter().find(|call| call["call"] == name).unwrap_or_else(|| panic!("{name}: {report}"))
}

#[tokio::test]
async fn an_open_loop_keeps_its_rate_and_the_ledger_has_every_order() {
    let desk = Desk::open("load-open").await;
    let args = ["--rate", "50", "--duration", "3s", "--warm-up", "1s", "--load-test-type", "peak"];
    let args = [&args[..], &["--run-id", "run-1", "--seed", "7", "--customers", "5"]].concat();
    let told = report(&desk, &args).await;
    assert_eq!((count(&told, "answered"), count(&told, "failed")), (150, 0));
    assert_eq!(told["warm_up"], json!({ "answered": 50, "failed": 0 }));
    assert_eq!((count(&told, "orders_placed"), count(&told, "not_started")), (200, 0));
    assert_eq!(told["load_test_type"], "peak");
    assert_eq!((&told["run_id"], &told["settings"]["rate"]), (&json!("run-1"), &json!(50)));
    assert_eq!(told["settings"]["mix"], json!({ "place": 100 }));
    let place = call(&told, "place");
    for times in ["corrected_us", "uncorrected_us"] {
        assert_eq!(place[times]["count"], 150);
        let at = |name: &str| place[times][name].as_u64().unwrap();
        assert!(0 < at("p50") && at("p50") <= at("p90") && at("p90") <= at("p99"), "{place}");
        assert!(at("p99") <= at("p99.9") && at("p99.9") <= at("max"), "{place}");
    }
    let placed = orders(&desk, "peak", 200).await;
    assert!(placed.iter().all(|order| order["details"]["labels"]["load_run"] == "run-1"));

    let again = report(&desk, &args).await;
    assert_eq!(count(&again, "orders_placed"), 200, "a repeat is answered as the first was");
    orders(&desk, "peak", 200).await;
    desk.close().await;
}

#[tokio::test]
async fn a_closed_loop_takes_orders_through_their_life_and_reads_them() {
    let desk = Desk::open("load-closed").await;
    let mix =
        "place=40,get=10,history=5,pay=15,prepare=10,ship=8,deliver=5,cancel=3,list=2,search=2";
    let args = ["--callers", "4", "--duration", "4s", "--wait", "applied", "--mix", mix];
    let told = report(&desk, &args).await;
    assert!(told["run_id"].as_str().unwrap().len() >= 32, "a run id of its own");
    for name in ["place", "get", "history", "pay", "prepare", "ship", "deliver", "cancel", "list"] {
        assert!(count(call(&told, name), "answered") > 0, "{name}");
        assert_eq!(call(&told, name)["corrected_us"], Value::Null, "nothing is due in it");
    }
    assert_eq!(told["failures"], json!([]));
    let placed = orders(&desk, "load", count(&told, "orders_placed")).await;
    let in_state = |state: &str| {
        let of_state = placed.iter().filter(|order| order["state"] == state).count();
        u64::try_from(of_state).unwrap()
    };
    let delivered = count(call(&told, "deliver"), "answered");
    assert_eq!(in_state("ORDER_STATE_DELIVERED"), delivered);
    let shipped = count(call(&told, "ship"), "answered");
    assert_eq!(in_state("ORDER_STATE_SHIPPED"), shipped - delivered);
    let cancelled = count(call(&told, "cancel"), "answered");
    assert_eq!(in_state("ORDER_STATE_CANCELLED"), cancelled);
    desk.close().await;
}

#[tokio::test]
async fn streams_place_in_both_loops() {
    let desk = Desk::open("load-stream").await;
    let closed = ["--stream", "2", "--duration", "2s", "--load-test-type", "closed"];
    let told = report(&desk, &closed).await;
    assert_eq!(
        (&told["settings"]["streams"], &told["settings"]["callers"]),
        (&json!(2), &json!(256))
    );
    let placed = count(&told, "orders_placed");
    assert!(placed >= 256, "each caller placed at least one: {placed}");
    orders(&desk, "closed", placed).await;

    let open = ["--stream", "3", "--rate", "100", "--duration", "2s", "--load-test-type", "open"];
    let told = report(&desk, &open).await;
    assert_eq!((count(&told, "answered"), count(&told, "failed")), (200, 0));
    orders(&desk, "open", 200).await;
    desk.close().await;
}

#[tokio::test]
async fn a_server_that_goes_away_is_reported_and_not_waited_for() {
    tokio::join!(
        server_goes_away(&["--rate", "50"]),
        server_goes_away(&["--callers", "4"]),
        server_goes_away(&["--stream", "2", "--rate", "50"]),
    );
}

async fn server_goes_away(how: &[&str]) {
    let desk = Desk::open("load-away").await;
    // Long enough that the server goes half-way even where everything is slow.
    let args = [how, &["--duration", "20s", "--timeout", "3", "--output", "json"]].concat();
    let running = load(desk.server(), &args).spawn().unwrap();
    testkit::wait_for("some orders are placed", PATIENCE, async || {
        let listed = desk.json(&["list", "--limit", "5"]).await;
        (listed["orders"].as_array().unwrap().len() == 5).then_some(())
    })
    .await;
    desk.kill_server().await;
    let ended = tokio::time::timeout(PATIENCE, running.wait_with_output()).await;
    let said = Said::from(ended.expect("it ends in time").unwrap());
    assert_eq!(said.code, 1, "{how:?}: {}", said.stderr);
    let told: Value = serde_json::from_str(&said.stdout).unwrap();
    let failed = count(&told, "failed");
    assert!(failed > 0 && failed < count(&told, "answered"), "{how:?}: {told}");
    let failures = told["failures"].as_array().unwrap();
    assert_eq!(failures.iter().map(|f| count(f, "count")).sum::<u64>(), failed);
    assert!(failures.iter().any(|f| f["code"] == "UNAVAILABLE"), "{how:?}: {told}");
}

#[tokio::test]
async fn without_a_server_it_says_so_and_failures_can_be_allowed() {
    let said: Said =
        load("http://127.0.0.1:1", &["--duration", "1s"]).output().await.unwrap().into();
    assert_eq!((said.code, said.stdout.as_str()), (6, ""));
    assert!(said.stderr.contains("can't reach http://127.0.0.1:1"), "{}", said.stderr);

    // Longer than a label of an order may be: the server refuses every one.
    let (desk, label) = (Desk::open("load-refused").await, "x".repeat(5_000));
    let refused = ["--rate", "20", "--duration", "1s", "--load-test-type", &label];
    let said = run(&desk, &refused).await;
    assert_eq!(said.code, 1, "{}", said.stdout);
    assert!(said.stdout.contains("INVALID_ARGUMENT"), "{}", said.stdout);
    run(&desk, &[&refused[..], &["--allow-failures"]].concat()).await.done();
    desk.close().await;
}

#[tokio::test]
async fn sigint_ends_it_early_with_the_report() {
    let desk = Desk::open("load-signal").await;
    let args = ["--rate", "20", "--duration", "10m", "--output", "json", "--load-test-type", "cut"];
    let mut running = load(desk.server(), &args).spawn().unwrap();
    let mut lines = BufReader::new(running.stderr.take().unwrap()).lines();
    let told = tokio::time::timeout(PATIENCE, async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.starts_with("load cut: ") {
                return line;
            }
        }
        panic!("it says how far it is");
    });
    let line = told.await.expect("it says so in time");
    assert!(line.contains(" of 600 s: ") && line.contains(" calls answered, "), "{line}");
    let pid = running.id().expect("it runs").to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().await.unwrap().success());
    let ended = tokio::time::timeout(Duration::from_secs(60), running.wait_with_output()).await;
    let told: Value = serde_json::from_str(&Said::from(ended.unwrap().unwrap()).done()).unwrap();
    assert_eq!(told["ended_early"], true);
    orders(&desk, "cut", count(&told, "orders_placed")).await;
    desk.close().await;
}
