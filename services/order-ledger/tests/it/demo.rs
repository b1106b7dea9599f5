//! `order-ledger demo`, as a newcomer runs it.

use std::{
    path::Path,
    process::{Output, Stdio},
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
};

use crate::{
    by_hand::{ORDER, path},
    process::binary,
};

fn command(data: &Path, args: &[&str]) -> Command {
    // A free port each, so that demos run side by side with whatever else listens here.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = binary();
    command.arg("demo").args(args).arg("--data").arg(data);
    command.args(["--grpc-addr", &free.to_string(), "--http-addr", "127.0.0.1:0"]);
    for step in ["pay", "prepare", "ship", "deliver", "complete"] {
        command.args([&format!("--fulfilment-{step}-after"), "50ms"]);
    }
    command.current_dir(data);
    command
}

async fn demo(data: &Path, args: &[&str]) -> Output {
    command(data, args).output().await.unwrap()
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:#?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[tokio::test]
async fn goes_on_where_it_stopped_and_starts_anew_if_told() {
    let folder = TempDir::new().unwrap();
    let first = text(&demo(folder.path(), &[]).await);
    assert!(first.contains("24 of 24 acknowledged orders are stored"), "{first}");
    assert!(
        first.contains(
            "24 orders, 24 documents: every record is accounted for, every stored snapshot equals"
        ),
        "{first}"
    );
    // Plain lines, for stdout is no terminal here.
    assert!(first.contains("Completed 22  Cancelled 2"), "{first}");
    assert!(!first.contains('\x1b'), "{first}");

    let second = text(&demo(folder.path(), &[]).await);
    assert!(
        second.contains(
            "48 orders, 48 documents: every record is accounted for, every stored snapshot"
        ),
        "{second}"
    );

    let fresh = text(&demo(folder.path(), &["--fresh"]).await);
    assert!(
        fresh.contains(
            "24 orders, 24 documents: every record is accounted for, every stored snapshot"
        ),
        "{fresh}"
    );
}

#[tokio::test]
async fn stopped_while_it_places_it_says_so_and_goes_on_the_next_time() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("orders.jsonl");
    std::fs::write(&file, ORDER.repeat(50)).unwrap();
    let mut command = command(folder.path(), &["--orders", path(&file)]);
    let mut running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(running.stdout.take().unwrap()).lines();
    // A line of this kind comes only once an order is placed.
    while !lines.next_line().await.unwrap().expect("it goes on").contains("Placed") {}
    let pid = running.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    while lines.next_line().await.unwrap().is_some() {}
    let ended = running.wait_with_output().await.unwrap();
    let error = String::from_utf8(ended.stderr).unwrap();
    assert_eq!((ended.status.code(), error.lines().count()), (Some(1), 1), "{error}");
    assert!(error.contains("stopped before the orders were through"), "{error}");
    let next = text(&demo(folder.path(), &[]).await);
    assert!(next.contains("every record is accounted for"), "{next}");
}

#[tokio::test]
async fn says_which_line_of_a_file_is_no_order() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("orders.jsonl");
    std::fs::write(&file, "\n{\"currency_code\": 1}\n").unwrap();
    let output = demo(folder.path(), &["--orders", file.to_str().unwrap()]).await;
    assert!(!output.status.success());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("orders.jsonl, line 2: not an order"), "{error}");
}
