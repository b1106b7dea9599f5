//! How failures are told: the exit code, the line for people, the document for programs.

use serde_json::json;

use crate::{
    by_hand::{Desk, ORDER, Said, path},
    process::binary,
};

async fn run(args: &[&str]) -> Said {
    binary().args(args).output().await.unwrap().into()
}

#[tokio::test]
async fn each_kind_of_failure_has_its_exit_code_and_says_why() {
    let desk = Desk::open("failures").await;
    let id = &desk.place().await;
    let fails = async |args: &[&str]| {
        let said = desk.order(&[args, &["--output", "json"]].concat()).await;
        (said.code, said.failure())
    };

    let unknown = "018f0000-0000-7000-8000-000000000000";
    let (code, failure) = fails(&["get", unknown]).await;
    assert_eq!((code, &failure["code"]), (3, &json!("NOT_FOUND")), "{failure}");

    let (code, failure) = fails(&["deliver", id]).await;
    assert_eq!((code, &failure["code"]), (4, &json!("FAILED_PRECONDITION")), "{failure}");
    assert_eq!(failure["reason"], "ILLEGAL_TRANSITION");
    assert_eq!(failure["metadata"]["state"], "Placed");
    let (code, failure) = fails(&["prepare", id, "--expected-version", "7"]).await;
    assert_eq!(code, 4, "{failure}");
    desk.json(&["decline", id, "--request-id", "a", "--reason", "no funds"]).await;
    let (code, failure) = fails(&["decline", id, "--request-id", "a", "--reason", "lost"]).await;
    assert_eq!((code, &failure["code"]), (4, &json!("ALREADY_EXISTS")), "{failure}");

    let (code, failure) = fails(&["get", "not-an-id"]).await;
    assert_eq!((code, &failure["code"]), (5, &json!("INVALID_ARGUMENT")), "{failure}");
    assert_eq!(failure["fields"][0]["field"], "order_id");
    let (code, failure) = fails(&["get", id, "--version", "99"]).await;
    assert_eq!((code, &failure["code"]), (5, &json!("OUT_OF_RANGE")), "{failure}");

    let said = desk.order(&["deliver", id]).await;
    assert_eq!((said.code, said.stdout.as_str()), (4, ""));
    assert!(said.stderr.starts_with("order-ledger: FAILED_PRECONDITION: "), "{}", said.stderr);
    assert!(said.stderr.contains("; possible now: PaymentCaptured"), "{}", said.stderr);
    desk.close().await;
}

#[tokio::test]
async fn an_order_that_is_none_names_the_field() {
    let desk = Desk::open("none").await;
    let order = ORDER.lines().next().unwrap().replace("\"quantity\": 1", "\"quantity\": \"one\"");
    let file = desk.file("order.json", &order);
    let said = desk.order(&["place", "--order", path(&file)]).await;
    assert_eq!(said.code, 5);
    assert!(
        said.stderr.contains("order.json: not an order: lines[0].quantity "),
        "{}",
        said.stderr
    );
    let said = desk.order(&["place", "--order", path(&file), "--output", "json"]).await;
    assert_eq!(said.failure()["fields"][0]["field"], "lines[0].quantity");
    let long = ORDER.lines().next().unwrap().replace("Ana Soto", &"ñ".repeat(4 << 20));
    let file = desk.file("long.json", &long);
    let said = desk.order(&["place", "--order", path(&file)]).await;
    assert!(
        said.code == 5 && said.stderr.contains("is longer than 8388608 bytes"),
        "{}",
        said.stderr
    );
    let said = desk.order(&["place", "--order", "nowhere.json"]).await;
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("can't read nowhere.json"), "{}", said.stderr);
    desk.close().await;
}

#[tokio::test]
async fn a_server_that_is_away_is_code_6() {
    let said = run(&["order", "get", "x", "--server", "http://127.0.0.1:1", "--output=json"]).await;
    assert_eq!((said.code, &said.failure()["code"]), (6, &json!("UNAVAILABLE")));
}

#[tokio::test]
async fn a_wrong_command_line_is_code_2_also_for_programs() {
    for wrong in [
        &["order", "pay"][..],
        &["order", "pay", "x", "--amount", "5"],
        &["order", "ship", "x", "--line", "1"],
        &["order", "place"],
        &["order", "place", "--order", "a", "--file", "b"],
        &["order", "get", "x", "--version", "1", "--time", "2026-05-01T12:00:00Z"],
        &["order", "list", "--state", "Lost"],
        &["order", "list", "--from", "yesterday"],
        &["order", "watch", "x", "--state", "Paid"],
        &["order", "get", "x", "--server", "not an address"],
        &["order", "get", "x", "--server", "127.0.0.1:50051"],
        &["order", "get", "x", "--server", "https://127.0.0.1:50051"],
        &["load", "--server", "kafka://127.0.0.1:50051"],
    ] {
        let said = run(wrong).await;
        assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{wrong:?}: {}", said.stderr);
        let said = run(&[wrong, &["--output", "json"]].concat()).await;
        assert_eq!((said.code, &said.failure()["code"]), (2, &json!("USAGE")), "{wrong:?}");
    }
}

#[tokio::test]
async fn an_address_without_its_scheme_is_told_which_it_takes() {
    let said = run(&["order", "get", "x", "--server", "127.0.0.1:50051"]).await;
    let allowed = "order-ledger: --server is \"127.0.0.1:50051\"; allowed: http://HOST:PORT\n";
    assert_eq!((said.code, said.stderr.as_str()), (2, allowed));
}

#[tokio::test]
async fn help_tells_the_exit_codes_and_every_shell_gets_its_completions() {
    for help in [&["order", "--help"][..], &["order", "ship", "--help"]] {
        let help = run(help).await.done();
        assert!(help.contains("4  refused"), "{help}");
    }
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&["completions", shell]).await.done();
        assert!(script.contains("request-return"), "{shell}");
    }
}
