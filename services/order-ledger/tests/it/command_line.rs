//! The command line without servers: configuration, order by hand, verification.

use std::process::Output;

use tempfile::TempDir;
use tokio::process::Command;

use crate::{
    by_hand::path,
    folder::Folder,
    process::{Process, binary},
};

async fn run(args: &[&str]) -> Output {
    let folder = TempDir::new().unwrap();
    binary().args(args).current_dir(folder.path()).output().await.unwrap()
}

#[tokio::test]
async fn config_shows_what_is_in_effect_and_masks_secrets() {
    let folder = TempDir::new().unwrap();
    std::fs::write(
        folder.path().join("order-ledger.toml"),
        "state = \"postgres://ledger:hunter2@db/ledger\"\ndata = \"from-file\"\n[kafka]\ntopic_prefix = \"a.\"\n",
    )
    .unwrap();
    let output = binary()
        .args(["config", "--log", "kafka://one:9092,two:9092"])
        .env("ORDER_LEDGER_DATA", "from-environment")
        .env("ORDER_LEDGER_LOG", "sqlite:not-this.db")
        .env("ORDER_LEDGER_ELASTICSEARCH_API_KEY", "hunter2")
        .current_dir(folder.path())
        .output()
        .await
        .unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    for line in [
        "log = \"kafka://one:9092,two:9092\"  # --log",
        "data = \"from-environment\"  # ORDER_LEDGER_DATA",
        "state = \"postgres://ledger:***@db/ledger\"  # state in order-ledger.toml",
        "topic_prefix = \"a.\"  # kafka.topic_prefix in order-ledger.toml",
        "api_key = \"***\"  # ORDER_LEDGER_ELASTICSEARCH_API_KEY",
        "search = \"sqlite:from-environment/search.db\"  # search (default)",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line} is not in\n{shown}");
    }
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[tokio::test]
async fn a_wrong_value_says_which_key_what_was_given_and_what_is_allowed() {
    let output = run(&["serve", "--roles", "api,baker"]).await;
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        error,
        "order-ledger: --roles is \"api,baker\"; allowed: all, or some of \
         api,projector,search,mailer,fulfilment\n"
    );
    assert_eq!(output.status.code(), Some(2));
}

#[tokio::test]
async fn flags_that_do_not_go_together_are_a_wrong_command_line() {
    let folder = Folder::new();
    folder.run(&["migrate"]).await.done();
    for wrong in [
        &["verify", "--log", "foo"][..],
        &["demo", "--roles", "api"],
        &["replay", "--until", "0=5", "--only", "search"],
    ] {
        let said = folder.run(wrong).await;
        assert_eq!((said.code, said.stderr.lines().count()), (2, 1), "{wrong:?}: {}", said.stderr);
    }
}

#[tokio::test]
async fn a_file_that_is_no_toml_is_told_in_one_line_with_its_place() {
    let folder = TempDir::new().unwrap();
    let file = "data = \"data\"\n\nstate = postgres://ledger:hunter2@db/ledger\n";
    std::fs::write(folder.path().join("order-ledger.toml"), file).unwrap();
    let output = binary().arg("config").current_dir(folder.path()).output().await.unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    let place = "order-ledger: order-ledger.toml, line 3: not valid TOML: ";
    assert!(error.starts_with(place) && error.lines().count() == 1, "{error}");
    assert!(!error.contains("hunter2"), "{error}");
    assert_eq!(output.status.code(), Some(2));
}

#[tokio::test]
async fn what_is_no_archive_makes_no_folder_and_is_called_so() {
    let folder = Folder::new();
    let refusal = folder.refusal(&["log", "import", "nowhere"]).await;
    let none = "nowhere is no archive that this version reads: it has no manifest.json";
    assert!(refusal.contains(none), "{refusal}");
    assert!(!folder.data().exists(), "it was made for nothing");
    folder.run(&["migrate"]).await.done();
    let refusal = folder.refusal(&["verify", "--against", "nowhere"]).await;
    assert!(refusal.contains(none), "{refusal}");
}

/// Runs a verb whose output has no reader.
async fn unread(mut command: Command) -> (Option<i32>, String) {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command.stdout(writer).output().await.unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test]
async fn a_reader_that_went_away_is_no_failure() {
    for verb in [&["config"][..], &["completions", "bash"]] {
        let mut command = binary();
        command.args(verb);
        assert_eq!(unread(command).await, (Some(0), String::new()), "{verb:?}");
    }
    let folder = Folder::new();
    let mut serve = folder.serving("unread").await;
    folder.place(&serve.grpc().await).await;
    serve.stop().await;
    let archive = folder.data().join("archive");
    let verify = ["verify", "--documents", "none", "--log-filter", "warn"];
    for verb in [&verify[..], &["log", "export", path(&archive)]] {
        let (code, error) = unread(folder.command(verb)).await;
        assert_eq!((code, error.contains("roken pipe")), (Some(0), false), "{verb:?}: {error}");
    }
    // What it found can't be told, but that it found something can.
    folder.sql("state.db", "DELETE FROM order_history").await;
    let (code, error) = unread(folder.command(&verify)).await;
    assert_eq!((code, error.as_str()), (Some(1), ""));
}

#[tokio::test]
async fn a_person_takes_an_order_through_by_hand_and_verifies() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data").to_str().unwrap().to_owned();
    let mut serve = Process::serve("by-hand", &["--data".to_owned(), data.clone()]);
    serve.ready().await;
    let server = serve.grpc().await;
    let order = async |args: &[&str]| {
        let args = [&["order", "--server", &server], args].concat();
        run(&args).await
    };
    let file = folder.path().join("orders.jsonl");
    let line = include_str!("../../sample/orders.jsonl").lines().next().unwrap();
    std::fs::write(&file, line).unwrap();

    let placed = order(&["place", "--file", file.to_str().unwrap()]).await;
    let id = String::from_utf8(placed.stdout).unwrap().trim().to_owned();
    for step in [&["pay", &id][..], &["prepare", &id]] {
        let output = order(step).await;
        assert!(output.status.success(), "{output:?}");
    }
    let early = order(&["deliver", &id]).await;
    let error = String::from_utf8(early.stderr).unwrap();
    assert!(!early.status.success() && error.contains("FAILED_PRECONDITION"), "{error}");
    assert!(error.contains("OrderShipped"), "it names what is possible: {error}");
    let shipped = ["ship", &id, "--carrier", "Chilexpress", "--tracking-number", "CX-1"];
    for step in [&shipped[..], &["deliver", &id], &["complete", &id]] {
        let output = order(step).await;
        assert!(output.status.success(), "{output:?}");
    }
    testkit::wait_for("the order is completed", crate::process::PATIENCE, async || {
        let shown = String::from_utf8(order(&["get", &id]).await.stdout).unwrap();
        shown.contains("Completed").then_some(())
    })
    .await;

    serve.stop().await;
    let verified = run(&["verify", "--documents", "none", "--data", &data]).await;
    let found = String::from_utf8(verified.stdout).unwrap();
    assert!(verified.status.success(), "{found}");
    assert!(found.contains("1 orders, 0 documents: every record is accounted for"), "{found}");
    verify_otherwise(&data).await;
}

/// A generation, and two copies of the log.
async fn verify_otherwise(data: &str) {
    let verify = async |args: &[&str]| {
        let output = run(&[&["verify", "--data", data][..], args].concat()).await;
        let [said, error] =
            [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        (said, error, output.status.code())
    };
    let (live, _, code) = verify(&["--generation", "1"]).await;
    assert!(live.contains("1 orders, 0 documents") && code == Some(0), "{live}");
    let (_, error, code) = verify(&["--generation", "9"]).await;
    assert!(error.contains("there is no generation 9") && code == Some(1), "{error}");

    let log = format!("{data}/log.db");
    let copy = format!("{data}/copy.db");
    std::fs::copy(&log, &copy).unwrap();
    // Whoever had it open last need not have had the time to move everything out of it.
    if std::fs::exists(format!("{log}-wal")).unwrap() {
        std::fs::copy(format!("{log}-wal"), format!("{copy}-wal")).unwrap();
    }
    let copy = format!("sqlite:{copy}");
    let (same, error, code) = verify(&["--against", &copy]).await;
    assert!(same.contains("each order has the same records") && code == Some(0), "{same}{error}");
    let (_, error, code) = verify(&["--against", "sqlite:nowhere.db"]).await;
    assert!(error.contains("there is no nowhere.db") && code == Some(1), "{error}");
    let (_, error, code) = verify(&["--against", "https://nowhere"]).await;
    assert!(error.contains("--against is \"https://nowhere\"; allowed:"), "{error}");
    assert_eq!(code, Some(2));
    let (_, _, code) = verify(&["--against", &copy, "--generation", "1"]).await;
    assert_eq!(code, Some(2), "one or the other");
}

#[tokio::test]
async fn a_data_folder_belongs_to_one_process() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data").to_str().unwrap().to_owned();
    let mut first = Process::serve("first", &["--data".to_owned(), data.clone()]);
    first.ready().await;
    let second = run(&[
        "serve",
        "--data",
        &data,
        "--grpc-addr",
        "127.0.0.1:0",
        "--http-addr",
        "127.0.0.1:0",
    ])
    .await;
    let error = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(1), "{error}");
    assert!(error.contains("data folder"), "{error}");
    first.stop().await;
}
