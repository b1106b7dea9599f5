//! Every verb of `order-ledger order`, as a person and as a script say them.

use serde_json::{Value, json};

use crate::by_hand::{Desk, ORDER, path};

#[tokio::test]
async fn a_script_takes_an_order_there_and_back() {
    let desk = Desk::open("verbs").await;
    let id = &desk.place().await;
    let applied =
        async |args: &[&str]| desk.json(&[args, &["--wait"]].concat()).await["order"].take();
    let state = |order: &Value| order["state"].as_str().unwrap().to_owned();

    let declined = applied(&["decline", id, "--reason", "no funds"]).await;
    assert_eq!(state(&declined), "ORDER_STATE_PAYMENT_FAILED");
    let paid = applied(&["pay", id, "--amount", "41980", "--currency", "CLP"]).await;
    assert_eq!(
        (state(&paid), &paid["captured_minor"]),
        ("ORDER_STATE_PAID".to_owned(), &json!(41980))
    );
    applied(&["prepare", id]).await;
    let parcel = ["--carrier", "Chilexpress", "--tracking-number", "CX-1"];
    let part = applied(&[&["ship", id, "--line", "2=1"], &parcel[..]].concat()).await;
    assert_eq!(part["progress"][1]["shipped"], 1, "{part}");
    assert_eq!(part["progress"][0]["shipped"], 0, "{part}");
    applied(&[&["ship", id], &parcel[..]].concat()).await;
    let failed = applied(&["fail-delivery", id, "--reason", "nobody home"]).await;
    assert_eq!(state(&failed), "ORDER_STATE_DELIVERY_FAILED");
    applied(&[&["ship", id], &parcel[..]].concat()).await;
    applied(&["deliver", id]).await;
    applied(&["request-return", id, "--reason", "chipped", "--line", "1=1"]).await;
    let back = applied(&["return", id, "--line", "1=1"]).await;
    assert_eq!(state(&back), "ORDER_STATE_RETURNED");
    let refund = ["--amount", "6990", "--currency", "CLP", "--line", "1=1", "--actor", "ana"];
    let refunded = applied(&[&["refund", id], &refund[..]].concat()).await;
    assert_eq!(refunded["refunded_minor"], 6990);

    let history = desk.json(&["history", id, "--all"]).await;
    let entries = history["entries"].as_array().unwrap();
    let versions: Vec<_> = entries.iter().map(|entry| entry["version"].as_u64().unwrap()).collect();
    assert_eq!(versions, (1..=12).collect::<Vec<_>>());
    assert_eq!(history["next_page_token"], "");
    assert_eq!(entries[11]["event"]["actor"], "ana");
    assert_eq!(entries[11]["outcome"], "EVENT_OUTCOME_APPLIED");
    let first = desk.json(&["history", id, "--limit", "2"]).await;
    let token = first["next_page_token"].as_str().unwrap();
    let second = desk.json(&["history", id, "--limit", "2", "--page-token", token]).await;
    assert_eq!(second["entries"][0]["version"], 3);

    let then = desk.json(&["get", id, "--version", "3"]).await;
    assert_eq!(state(&then["order"]), "ORDER_STATE_PAID");
    let at = entries[1]["event"]["occurred_at"].as_str().unwrap();
    let then = desk.json(&["get", id, "--time", at]).await;
    assert_eq!(state(&then["order"]), "ORDER_STATE_PAYMENT_FAILED");
    desk.close().await;
}

#[tokio::test]
async fn a_person_reads_tables() {
    let desk = Desk::open("tables").await;
    let id = &desk.place().await;
    let paid = desk.order(&["pay", id, "--wait"]).await.done();
    assert!(paid.ends_with("the order is Paid, version 2\n"), "{paid}");
    let shown = desk.order(&["get", id]).await.done();
    for part in [id.as_str(), "Paid", "Ana Soto", "line 2: BOOK-RUST"] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }
    let shown = desk.order(&["history", id]).await.done();
    assert!(shown.contains("PaymentCaptured") && shown.contains("Placed -> Paid"), "{shown}");
    let shown = desk.order(&["list", "--state", "paid"]).await.done();
    assert!(shown.contains(id.as_str()) && shown.contains("ana.soto@example.com"), "{shown}");
    let none = desk.order(&["list", "--region", "Nowhere"]).await.done();
    assert!(none.contains("order") && !none.contains(id.as_str()), "{none}");
    desk.close().await;
}

#[tokio::test]
async fn lists_and_searches_follow_pages_up_to_the_limit() {
    let desk = Desk::open("pages").await;
    let file = desk.file("orders.jsonl", ORDER);
    let placed = desk.json(&["place", "--file", path(&file)]).await;
    let results = placed["results"].as_array().unwrap();
    let orders = ORDER.lines().count();
    assert_eq!((placed["placed"].as_u64(), results.len()), (u64::try_from(orders).ok(), orders));
    let mut last = std::collections::BTreeMap::new();
    for position in results.iter().map(|result| &result["placed"]["position"]) {
        let offset = position["offset"].as_i64().unwrap();
        last.entry(position["partition"].as_u64().unwrap())
            .and_modify(|last: &mut i64| *last = offset.max(*last))
            .or_insert(offset);
    }
    // Every partition's last, so that all are folded and can be found.
    for (partition, offset) in &last {
        let position = format!("{partition}/{offset}");
        desk.json(&["list", "--limit", "1", "--not-before", &position]).await;
        desk.json(&["search", "--limit", "1", "--not-before", &position]).await;
    }

    let all = desk.json(&["list", "--all"]).await;
    assert_eq!(all["orders"].as_array().unwrap().len(), orders);
    let some = desk.json(&["list", "--limit", "5"]).await;
    assert_eq!(some["orders"].as_array().unwrap()[..], all["orders"].as_array().unwrap()[..5]);
    let token = some["next_page_token"].as_str().unwrap();
    let rest = desk.json(&["list", "--all", "--page-token", token]).await;
    assert_eq!(rest["orders"][0], all["orders"][5]);
    let of_ana = ["--customer", "ana.soto@example.com", "--region", "Metropolitana"];
    let hers = desk.json(&[&["list"], &of_ana[..]].concat()).await;
    let hers = hers["orders"].as_array().unwrap();
    assert!(!hers.is_empty() && hers.iter().all(|o| o["details"]["region"] == "Metropolitana"));
    let later = desk.json(&["list", "--from", "2999-01-01"]).await;
    assert_eq!(later["orders"], json!([]));

    let found = desk.json(&["search", "mug", "dan", "--payment-gateway", "Webpay"]).await;
    let orders = found["orders"].as_array().unwrap();
    assert!(orders.iter().all(|order| order["customer_email"] == "dan.miller@example.com"));
    assert_eq!(found["total"].as_u64().unwrap(), u64::try_from(orders.len()).unwrap());
    assert!(!orders.is_empty() && found["totals"].is_array(), "{found}");
    let shown = desk.order(&["search", "dan", "mug"]).await.done();
    assert!(shown.lines().last().unwrap().contains(" match"), "{shown}");
    let cut = desk.order(&["search", "--limit", "1"]).await;
    assert!(cut.stderr.contains("--all"), "{}", cut.stderr);
    desk.close().await;
}

#[tokio::test]
async fn a_repeat_has_no_effect_of_its_own() {
    let desk = Desk::open("repeats").await;
    let order = ORDER.lines().next().unwrap();
    let place = ["place", "--order", "-", "--request-id", "cart-1"];
    let first = desk.order_with_input(&place, order).await.done();
    assert_eq!(desk.order_with_input(&place, order).await.done(), first);
    let id = first.trim();
    let other = order.replace("Ana Soto", "Ana Rojas");
    let said = desk.order_with_input(&place, &other).await;
    let why = format!("the request id stands for another order: {id} was placed under it\n");
    assert!(said.code == 4 && said.stderr.ends_with(&why), "{}", said.stderr);
    let pay = ["pay", id, "--request-id", "pay-1", "--wait"];
    let first = desk.json(&pay).await;
    assert_eq!(desk.json(&pay).await["event_id"], first["event_id"]);
    assert_eq!(desk.json(&["get", id]).await["order"]["version"], 2);
    desk.close().await;
}
