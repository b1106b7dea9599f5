//! `order-ledger dead-letters`: an order waits for a decision on a record that can't be read, and goes on.

use std::time::Duration;

use bytes::Bytes;
use events::OrderId;
use proto::v1;
use rdkafka::{
    ClientConfig,
    producer::{FutureProducer, FutureRecord},
};
use serde_json::{Value, json};
use testkit::{sample, wait_for};

use crate::{
    by_hand::Said,
    client::{connect, order as new_order},
    compare::{Mails, caught_up, compare},
    folder::{Folder, order},
    installation::Installation,
    oracle::fold_topic,
    process::{PATIENCE, Process, binary},
};

/// Partitions of an embedded log.
const PARTITIONS: u32 = 4;

impl Folder {
    /// Puts a record at the end of the order's partition, while no process has the log.
    async fn append(&self, id: OrderId, value: &[u8]) {
        let partition = ports::partition_for_key(id.to_string().as_bytes(), PARTITIONS);
        let append = format!(
            r#"INSERT INTO records (topic, partition, "offset", appended_at_ms, key, value, headers)
               SELECT topic, partition, "offset" + 1, appended_at_ms, CAST('{id}' AS BLOB), x'{value}', headers
               FROM records WHERE topic = 'orders.events' AND partition = {partition}
               ORDER BY "offset" DESC LIMIT 1"#,
            value = hex(value),
        );
        assert_eq!(self.sql("log.db", &append).await, 1);
    }

    /// The dead letters, once there are so many.
    async fn letters(&self, count: usize) -> Vec<Value> {
        wait_for(&format!("{count} dead letters"), PATIENCE, async || {
            let listed = self.json(&["dead-letters", "list"]).await;
            let letters = listed["dead_letters"].as_array().unwrap();
            (letters.len() == count).then(|| letters.clone())
        })
        .await
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a server says of an order.
async fn state(server: &str, id: &str) -> String {
    let said = order(server, &["get", id, "--output", "json"]).await.done();
    let got: Value = serde_json::from_str(&said).unwrap();
    got["order"]["state"].as_str().unwrap().trim_start_matches("ORDER_STATE_").to_owned()
}

/// The outcomes of an order's events.
async fn outcomes(server: &str, id: &str) -> Vec<String> {
    let said = order(server, &["history", id, "--output", "json"]).await.done();
    let history: Value = serde_json::from_str(&said).unwrap();
    let outcome = |entry: &Value| {
        entry["outcome"].as_str().unwrap().trim_start_matches("EVENT_OUTCOME_").to_owned()
    };
    history["entries"].as_array().unwrap().iter().map(outcome).collect()
}

/// Pays an order whose verdict must wait.
async fn pay_parked(server: &str, id: &str) {
    let said = order(server, &["pay", id, "--wait", "--output", "json"]).await;
    assert_eq!(said.code, 4, "{}{}", said.stdout, said.stderr);
    assert_eq!(said.failure()["reason"], "ORDER_PARKED");
}

#[tokio::test]
async fn an_order_goes_on_without_the_record_that_is_discarded() {
    let folder = Folder::new();
    let mut serve = folder.serving("parks").await;
    let id = folder.place(&serve.grpc().await).await;
    serve.stop().await;
    folder.append(id, b"not an event").await;
    let mut serve = folder.serving("parked").await;
    let (server, order_id) = (serve.grpc().await, id.to_string());
    let letter = folder.letters(1).await.remove(0);
    pay_parked(&server, &order_id).await;
    assert_eq!(outcomes(&server, &order_id).await, ["APPLIED", "PARKED"]);
    assert_eq!(state(&server, &order_id).await, "PLACED");

    assert_eq!((&letter["status"], &letter["reason"]), (&json!("open"), &json!("Undecodable")));
    assert_eq!(letter["parks_order"], order_id.as_str());
    let letter_id = letter["id"].as_str().unwrap();
    let shown = folder.run(&["dead-letters", "show", letter_id]).await.done();
    for part in [
        "value: 12 bytes, a text: not an event",
        "6e 6f 74 20",
        "│ events that wait      ┆ 1 ",
        "ce_type",
    ] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }
    let shown = folder.json(&["dead-letters", "show", letter_id]).await;
    assert_eq!(
        (&shown["value_base64"], &shown["events_waiting"]),
        (&json!("bm90IGFuIGV2ZW50"), &json!(1))
    );
    let listed = folder.run(&["dead-letters", "list", "--order", &order_id]).await.done();
    assert!(listed.contains(letter_id) && listed.contains("Undecodable"), "{listed}");
    for none in [["--consumer", "mailer"], ["--status", "discarded"]] {
        let listed = folder.json(&[&["dead-letters", "list"], &none[..]].concat()).await;
        assert_eq!(listed["dead_letters"], json!([]));
    }

    let said = folder.run(&["dead-letters", "retry", letter_id]).await;
    assert_eq!(said.code, 1, "{}{}", said.stdout, said.stderr);
    assert!(said.stdout.contains("stays parked: Undecodable: "), "{}", said.stdout);
    let refusal = folder.refusal(&["dead-letters", "discard", letter_id]).await;
    assert!(refusal.contains("say --yes"), "{refusal}");
    let refusal = folder.refusal(&["dead-letters", "retry", "projector/0/999"]).await;
    assert!(refusal.contains("there is no dead letter projector/0/999"), "{refusal}");

    // No one is there to carry it out: whoever comes next does.
    serve.stop().await;
    let discard = ["dead-letters", "discard", letter_id, "--yes", "--wait", "300ms"];
    let said = folder.run(&discard).await.done();
    assert!(said.contains("the wish stands, and the next projector to run"), "{said}");
    let mut serve = folder.serving("goes-on").await;
    let server = serve.grpc().await;
    let said = folder.run(&["dead-letters", "discard", letter_id, "--yes"]).await.done();
    assert_eq!(said, format!("{letter_id}: discarded, order {order_id} goes on\n"));
    assert_eq!(outcomes(&server, &order_id).await, ["APPLIED", "APPLIED"]);
    assert_eq!(state(&server, &order_id).await, "PAID");
    let said = folder.run(&["dead-letters", "retry", letter_id]).await;
    let discarded = format!("{letter_id}: it is discarded for good; order {order_id} goes on\n");
    assert_eq!((said.code, said.stdout), (1, discarded));
    let said = folder.run(&["dead-letters", "discard", "--all", "--yes"]).await.done();
    assert_eq!(said, "no dead letter is open\n");
    folder.verified().await;

    // What was decided holds for every generation.
    folder.run(&["replay"]).await.done();
    assert_eq!(folder.letters(1).await.remove(0)["status"], "discarded");
    assert_eq!(state(&server, &order_id).await, "PAID");
    folder.verified().await;
    serve.stop().await;
}

#[tokio::test]
async fn an_order_goes_on_with_the_record_that_can_be_read_by_now() {
    let folder = Folder::new();
    let mut serve = folder.serving("too-old").await;
    let id = folder.place(&serve.grpc().await).await;
    serve.stop().await;
    folder.append(id, b"of a version to come").await;
    let mut serve = folder.serving("upgraded").await;
    let (server, order_id) = (serve.grpc().await, id.to_string());
    let letter = folder.letters(1).await.remove(0);
    pay_parked(&server, &order_id).await;
    // As if this program, but not the one before, understood what it says.
    let event = hex(&codec::encode_event(&sample::cancelled(id)));
    let understood = format!("UPDATE dead_letters SET value = x'{event}'");
    assert_eq!(folder.sql("state.db", &understood).await, 1);

    let decided = folder.json(&["dead-letters", "retry", "--all"]).await;
    let read = json!([{ "id": letter["id"], "parks_order": order_id, "order_waits": false, "result": "read", "why": null }]);
    assert_eq!(decided["decided"], read);
    assert_eq!(state(&server, &order_id).await, "CANCELLED");
    assert_eq!(outcomes(&server, &order_id).await, ["APPLIED", "APPLIED", "REJECTED"]);
    folder.letters(0).await;
    serve.stop().await;
}

#[tokio::test]
async fn an_order_goes_on_once_no_letter_parks_it() {
    let folder = Folder::new();
    let mut serve = folder.serving("parks-twice").await;
    let id = folder.place(&serve.grpc().await).await;
    serve.stop().await;
    folder.append(id, b"not an event").await;
    folder.append(id, b"nor is this").await;
    let serve = folder.serving("parked-twice").await;
    let letters = folder.letters(2).await;
    let [first, second] = [0, 1].map(|n: usize| letters[n]["id"].as_str().unwrap());
    let waits = format!(
        "order {id} still waits for another dead letter: see `order-ledger dead-letters list --order {id}`\n"
    );
    let said = folder.run(&["dead-letters", "discard", first, "--yes"]).await.done();
    assert_eq!(said, format!("{first}: discarded, {waits}"));
    let said = folder.run(&["dead-letters", "retry", first]).await;
    let discarded = format!("{first}: it is discarded for good; {waits}");
    assert_eq!((said.code, said.stdout), (1, discarded));
    let both = ["dead-letters", "discard", first, second, "--yes"];
    let said = folder.run(&both).await.done();
    let goes_on = |letter: &str| format!("{letter}: discarded, order {id} goes on\n");
    assert_eq!(said, goes_on(first) + &goes_on(second));
    folder.verified().await;
    serve.stop().await;
}

async fn run(verb: &[&str], installation: &Installation) -> Said {
    binary().args(verb).args(installation.args()).output().await.unwrap().into()
}

async fn verify(installation: &Installation) {
    let verified = run(&["verify", "--documents", "none"], installation).await.done();
    assert!(verified.contains("every record is accounted for"), "{verified}");
}

async fn append(installation: &Installation, id: &str, value: Bytes) {
    let topic = format!("{}orders.events", installation.topic_prefix());
    let producer: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", &installation.kafka).create().unwrap();
    let partition = ports::partition_for_key(id.as_bytes(), 6);
    let record = FutureRecord::to(&topic)
        .key(id)
        .payload(value.as_ref())
        .partition(i32::try_from(partition.0).unwrap());
    producer.send(record, Duration::from_secs(30)).await.unwrap();
}

#[tokio::test]
async fn on_real_servers_a_bad_record_parks_its_order_until_it_is_discarded() {
    let installation = Installation::new("parked").await;
    let mut process = Process::serve("parked", &installation.args());
    process.ready().await;
    let server = process.grpc().await;
    let mut client = connect(&server).await;
    let place = new_order(&installation, 1);
    let id = client.place_order(place).await.unwrap().into_inner().order_id;
    let placed = v1::GetOrderRequest { order_id: id.clone(), ..Default::default() };
    client.get_order(placed).await.unwrap();
    append(&installation, &id, Bytes::from_static(b"not an event")).await;
    pay_parked(&server, &id).await;
    let other = client.place_order(new_order(&installation, 2)).await.unwrap().into_inner();
    order(&server, &["pay", &other.order_id, "--wait"]).await.done();
    assert_eq!(state(&server, &id).await, "PLACED");
    assert_eq!(outcomes(&server, &id).await, ["APPLIED", "PARKED"]);
    verify(&installation).await;

    let list = ["dead-letters", "list", "--order", &id, "--output", "json"];
    let listed: Value = serde_json::from_str(&run(&list, &installation).await.done()).unwrap();
    let letter = listed["dead_letters"][0]["id"].as_str().unwrap();
    let shown = run(&["dead-letters", "show", letter], &installation).await.done();
    assert!(
        shown.contains("a text: not an event") && shown.contains("events that wait"),
        "{shown}"
    );
    let said = run(&["dead-letters", "discard", letter, "--yes"], &installation).await.done();
    assert_eq!(said, format!("{letter}: discarded, order {id} goes on\n"));

    assert_eq!(state(&server, &id).await, "PAID");
    let oracle = wait_for("both orders are paid and indexed", PATIENCE, async || {
        let oracle = fold_topic(&installation).await;
        caught_up(&installation, &oracle).await.then_some(oracle)
    });
    // The mail that waited is sent, once, and everything else is as if the record had never been.
    compare(&installation, &oracle.await, Mails::Once).await;
    verify(&installation).await;

    // What was decided holds for every generation, and the process that runs goes on with the new one.
    let live = run(&["replay"], &installation).await.done();
    assert!(live.contains("generation 2 is live, at 0="), "{live}");
    order(&server, &["prepare", &id, "--wait"]).await.done();
    verify(&installation).await;
    let removed = run(&["replay", "remove", "1"], &installation).await.done();
    assert_eq!(removed, "generation 1 is removed\n");
    process.stop().await;
    installation.remove().await;
}
