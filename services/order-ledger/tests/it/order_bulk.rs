//! A file of orders through one stream: good lines go on, bad ones are named, and the file can be placed again.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::by_hand::{Desk, ORDER, path};

/// So many lines of the first sample order.
fn orders(count: usize) -> String {
    let order = ORDER.lines().next().unwrap();
    (0..count).fold(String::new(), |mut file, _| {
        writeln!(file, "{order}").unwrap();
        file
    })
}

#[tokio::test]
async fn a_bad_line_is_named_and_the_others_are_placed() {
    let desk = Desk::open("bad-lines").await;
    let good = ORDER.lines().next().unwrap();
    let unknown = good.replace("\"region\"", "\"planet\"");
    let unpriced = good.replace("34990", "-5");
    let file = format!("{good}\n\n{{\n{unknown}\n{unpriced}\n{good}");
    desk.file("orders.jsonl", &file);

    let said = desk.order(&["place", "--file", "orders.jsonl"]).await;
    assert_eq!(said.code, 5, "all are invalid: {}", said.stderr);
    assert_eq!(said.stdout.lines().count(), 2);
    let errors: Vec<_> = said.stderr.lines().collect();
    for (error, parts) in errors.iter().zip([
        ["orders.jsonl:3: INVALID_ARGUMENT: ", "column"],
        ["orders.jsonl:4: INVALID_ARGUMENT: ", "planet"],
        ["orders.jsonl:5: INVALID_ARGUMENT: ", "details.lines[1].unit_price_minor"],
        ["order-ledger: 3 of 5 orders were not placed", ""],
    ]) {
        assert!(parts.iter().all(|part| error.contains(part)), "{parts:?} is not in {error}");
    }
    assert_eq!(errors.len(), 4, "{errors:?}");

    let said = desk.order(&["place", "--file", "orders.jsonl", "--output", "json"]).await;
    assert_eq!((said.code, said.stderr.as_str()), (5, ""));
    let told: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!((&told["placed"], &told["failed"]), (&json!(2), &json!(3)));
    let lines: Vec<_> = told["results"].as_array().unwrap().iter().map(|r| &r["line"]).collect();
    assert_eq!(lines, [1, 3, 4, 5, 6]);
    assert_eq!(
        told["results"][3]["refused"]["fields"][0]["field"],
        "details.lines[1].unit_price_minor"
    );
    desk.close().await;
}

#[tokio::test]
async fn thousands_of_lines_are_placed_once_however_often_the_file_is() {
    const ORDERS: usize = 3_000;
    let desk = Desk::open("thousands").await;
    let file = desk.file("orders.jsonl", &orders(ORDERS));
    let place = ["place", "--file", path(&file), "--request-id", "import-7"];
    let first = desk.order(&place).await.done();
    assert_eq!(first.lines().count(), ORDERS);
    assert_eq!(first.lines().collect::<std::collections::BTreeSet<_>>().len(), ORDERS);
    assert_eq!(desk.order(&place).await.done(), first, "the same ids in the same order");
    desk.close().await;
}

#[tokio::test]
async fn a_pipe_is_answered_line_by_line_and_the_end_of_the_server_is_told() {
    let desk = Desk::open("pipe").await;
    let mut place = desk.start(&["place", "--file", "-"]);
    let order = orders(1);
    for _ in 0..3 {
        place.write(&order).await;
        assert_eq!(place.line().await.len(), 36, "an id");
    }
    desk.kill_server().await;
    place.write(&order).await;
    // The pipe stays open: it must not wait for its end.
    let said = place.end().await;
    assert_eq!(said.code, 6, "{}", said.stderr);
    assert!(
        said.stderr.contains("nothing is known of standard input:4 and after"),
        "{}",
        said.stderr
    );
}
