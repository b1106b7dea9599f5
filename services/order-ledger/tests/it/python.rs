//! A client in another language, generated from the .proto files: docs/clients.md, as a user would follow it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::process::Process;

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python");
const PROTO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../proto");
const INSTALL: &str = "this test needs Python 3.10 or later with venv and pip, and a package index: \
                       on Debian, `apt install python3 python3-venv python3-pip`";

async fn run(command: &mut Command) -> String {
    let output = command.output().await;
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}\n{INSTALL}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{stderr}\n{INSTALL}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// A Python with the required packages; made once for these requirements and this version of Python.
async fn python() -> PathBuf {
    let requirements = Path::new(HERE).join("requirements.txt");
    let version = run(Command::new("python3").arg("--version")).await;
    let wanted = format!("{version}{}", fs::read_to_string(&requirements).unwrap());
    let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let made = base.join("python");
    if fs::read_to_string(made.join("made-for")).is_ok_and(|found| found == wanted) {
        return made.join("bin/python");
    }
    // Made aside and moved into place when complete: one that was interrupted is never used.
    let aside = TempDir::with_prefix_in("python-", base).unwrap();
    run(Command::new("python3").args(["-m", "venv"]).arg(aside.path())).await;
    let mut install = Command::new(aside.path().join("bin/python"));
    install.args(["-m", "pip", "install", "--disable-pip-version-check", "--requirement"]);
    run(install.arg(requirements)).await;
    fs::write(aside.path().join("made-for"), wanted).unwrap();
    if made.exists() {
        fs::remove_dir_all(&made).unwrap();
    }
    fs::rename(aside.keep(), &made).unwrap();
    made.join("bin/python")
}

#[tokio::test]
async fn a_generated_client_places_watches_and_reads() {
    let python = python().await;
    let folder = TempDir::new().unwrap();
    let generated = folder.path().join("generated");
    fs::create_dir(&generated).unwrap();
    let mut generate = Command::new(&python);
    generate.args(["-m", "grpc_tools.protoc", "--proto_path", PROTO]);
    for out in ["--python_out", "--grpc_python_out"] {
        generate.arg(out).arg(&generated);
    }
    for file in ["order", "event", "order_ledger"] {
        generate.arg(format!("orderledger/v1/{file}.proto"));
    }
    run(generate.arg("seed/order_service.proto")).await;

    let data = folder.path().join("data").to_str().unwrap().to_owned();
    let mut server = Process::serve("python", &["--data".to_owned(), data]);
    server.ready().await;
    let address = server.grpc().await;
    let mut client = Command::new(&python);
    client.arg(Path::new(HERE).join("client.py")).arg(address.trim_start_matches("http://"));
    client.env("PYTHONPATH", &generated).env("PYTHONDONTWRITEBYTECODE", "1").kill_on_drop(true);
    let said: Value = serde_json::from_str(&run(&mut client).await).unwrap();

    let order_id = &said["order_id"];
    assert_eq!(said["repeated"], json!({ "order_id": order_id, "same_position": true }));
    let seen = [
        json!([1, "ORDER_STATE_PLACED", ""]),
        json!([2, "ORDER_STATE_PAID", "PaymentCaptured"]),
        json!([3, "ORDER_STATE_PREPARING", "PreparationStarted"]),
        json!([4, "ORDER_STATE_PREPARING", "OrderShipped"]),
        json!([5, "ORDER_STATE_SHIPPED", "OrderShipped"]),
        json!([6, "ORDER_STATE_DELIVERED", "OrderDelivered"]),
    ];
    assert_eq!(said["watched"], json!(seen));
    assert_eq!(said["too_early"]["code"], "FAILED_PRECONDITION");
    assert_eq!(said["too_early"]["metadata"]["state"], "Placed");
    assert_eq!(
        said["after_each_shipment"],
        json!(["ORDER_STATE_PREPARING", "ORDER_STATE_SHIPPED"])
    );
    let delivered = json!({ "version": 6, "state": "ORDER_STATE_DELIVERED", "total_minor": 2999 });
    assert_eq!(said["order"], delivered);
    assert_eq!(said["as_it_was"], "ORDER_STATE_PAID");
    let events = ["order_placed", "payment_captured", "preparation_started", "order_shipped"]
        .into_iter()
        .chain(["order_shipped", "order_delivered"])
        .map(|event| json!([event, "EVENT_OUTCOME_APPLIED"]));
    assert_eq!(said["history"], json!(events.collect::<Vec<_>>()));
    assert_eq!(said["older_contract"]["status"], "Procesando");
    assert!(said["older_contract"]["order_id"].as_str().unwrap().parse::<uuid::Uuid>().is_ok());
    server.stop().await;
}
