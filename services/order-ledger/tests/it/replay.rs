//! Replay on the real servers, beside everything that goes on: under load with two projectors, killed in each of its
//! phases, undone; and what becomes of a ledger that someone tampered with. Each ends with the test's own fold of the topic.

use std::{
    collections::BTreeMap,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use events::OrderId;
use proto::v1;
use rdkafka::{
    ClientConfig, Message as _,
    producer::{FutureProducer, FutureRecord},
};
use serde_json::Value;
use sqlx::AssertSqlSafe;
use testkit::wait_for;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    sync::watch,
    task::JoinSet,
};

use crate::{
    client::{connect, order, place},
    compare::{Mails, settle_and_compare},
    installation::{Installation, ROLES},
    oracle::{fold_topic, messages},
    process::{PATIENCE, Process, binary},
    stream,
};

/// Runs a verb to its end; what it printed, if it went well.
async fn run(installation: &Installation, verb: &[&str]) -> String {
    let output = binary().args(verb).args(installation.args()).output().await.unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{verb:?} ended with {}:\n{error}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// The number of the generation that is live.
async fn live(installation: &Installation) -> i32 {
    let select =
        format!("SELECT number FROM {}.generations WHERE stage = 'live'", installation.schema());
    sqlx::query_scalar(AssertSqlSafe(select)).fetch_one(&installation.pool().await).await.unwrap()
}

/// Every role as processes of its own, all of them ready.
async fn started(installation: &Installation) -> Vec<Process> {
    let mut processes: Vec<Process> = ROLES.map(|role| installation.start(role)).into();
    for process in &mut processes {
        process.ready().await;
    }
    processes
}

/// Between two orders of one customer: some customers' worth, not as many as the machine can take, for each order sends
/// six mails.
const BETWEEN_ORDERS: Duration = Duration::from_millis(500);

/// Customers who order until they are told to stop.
struct Load {
    placers: JoinSet<Vec<OrderId>>,
    stop: Arc<AtomicBool>,
    placed: watch::Receiver<usize>,
}

impl Load {
    fn start(installation: &Arc<Installation>, server: &watch::Receiver<String>) -> Self {
        const PLACERS: usize = 4;
        let (stop, (count, placed)) = (Arc::new(AtomicBool::new(false)), watch::channel(0_usize));
        let mut placers = JoinSet::new();
        for placer in 0..PLACERS {
            let (installation, server) = (Arc::clone(installation), server.clone());
            let (stop, count) = (Arc::clone(&stop), count.clone());
            placers.spawn(async move {
                let mut placed = Vec::new();
                for n in (placer..).step_by(PLACERS) {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    placed.push(place(&server, order(&installation, n)).await);
                    count.send_modify(|count| *count += 1);
                    tokio::time::sleep(BETWEEN_ORDERS).await;
                }
                placed
            });
        }
        Self { placers, stop, placed }
    }

    /// Waits until so many more were placed.
    async fn goes_on(&mut self, orders: usize) {
        let until = *self.placed.borrow() + orders;
        self.placed.wait_for(|placed| *placed >= until).await.unwrap();
    }

    async fn stop(self) -> Vec<OrderId> {
        self.stop.store(true, Ordering::Relaxed);
        self.placers.join_all().await.into_iter().flatten().collect()
    }
}

/// Looks at every order again and again, in the store and in the index: no call may fail, no version may go back.
async fn watch_versions(server: String, stop: Arc<AtomicBool>) -> usize {
    let mut client = connect(&server).await;
    let (mut stored, mut found) = (BTreeMap::new(), BTreeMap::new());
    let mut looks = 0;
    while !stop.load(Ordering::Relaxed) {
        let list = v1::ListOrdersRequest { page_size: 200, ..Default::default() };
        let listed = client.list_orders(list).await.unwrap().into_inner();
        for order in listed.orders {
            forward(&mut stored, &order.order_id, order.version, "stored");
        }
        let search = v1::SearchOrdersRequest { page_size: 200, ..Default::default() };
        let hits = client.search_orders(search).await.unwrap().into_inner();
        for hit in hits.orders {
            forward(&mut found, &hit.order_id, hit.version, "found");
        }
        looks += 1;
    }
    looks
}

fn forward(seen: &mut BTreeMap<String, u64>, order: &str, version: u64, where_: &str) {
    let before = seen.insert(order.to_owned(), version).unwrap_or_default();
    assert!(version >= before, "order {order} was {where_} at {before} and is at {version}");
}

#[tokio::test]
async fn a_replay_takes_its_place_under_load_and_is_undone() {
    let installation = Arc::new(Installation::new("replayed").await);
    let mut processes = started(&installation).await;
    let (_server, server) = watch::channel(processes[0].grpc().await);
    let mut load = Load::start(&installation, &server);
    load.goes_on(60).await;
    let stop = Arc::new(AtomicBool::new(false));
    let watching = tokio::spawn(watch_versions(server.borrow().clone(), Arc::clone(&stop)));

    run(&installation, &["replay"]).await;
    assert_eq!(live(&installation).await, 2);
    load.goes_on(10).await;
    run(&installation, &["replay", "--only", "search"]).await;
    load.goes_on(10).await;
    run(&installation, &["replay", "--only", "state"]).await;
    assert_eq!(live(&installation).await, 3);
    load.goes_on(10).await;
    run(&installation, &["replay", "rollback"]).await;
    assert_eq!(live(&installation).await, 2);
    load.goes_on(10).await;

    let placed = load.stop().await;
    // Every change was told and mailed once, however often the log was folded.
    let oracle = settle_and_compare(&installation, &placed, Mails::Once).await;
    assert_eq!(oracle.orders.len(), placed.len());
    stop.store(true, Ordering::Relaxed);
    assert!(watching.await.unwrap() > 10);
    run(&installation, &["verify", "--documents", "all", "--transitions", "all"]).await;
    for process in processes {
        process.stop().await;
    }
    Arc::into_inner(installation).expect("no one else has it").remove().await;
}

/// Starts a replay and kills it as soon as it says that it has come to a phase; whether it came there.
async fn killed_in(installation: &Installation, phase: &str) -> bool {
    let mut child = binary()
        .args(["replay", "--output", "json"])
        .args(installation.args())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        let said: Value = serde_json::from_str(&line).unwrap();
        if said["phase"] == phase {
            child.kill().await.unwrap();
            return true;
        }
    }
    child.wait().await.unwrap();
    false
}

#[tokio::test]
async fn a_replay_that_is_killed_in_any_phase_leaves_no_harm() {
    let installation = Arc::new(Installation::new("interrupted").await);
    let mut processes = started(&installation).await;
    let (_server, server) = watch::channel(processes[0].grpc().await);
    let mut load = Load::start(&installation, &server);
    load.goes_on(60).await;
    for phase in ["loading", "catching-up", "verifying", "indexing", "cutting"] {
        assert!(killed_in(&installation, phase).await, "no replay came to {phase}");
        load.goes_on(10).await;
    }
    run(&installation, &["replay"]).await;
    let placed = load.stop().await;
    settle_and_compare(&installation, &placed, Mails::Once).await;
    run(&installation, &["verify", "--documents", "all", "--transitions", "all"]).await;
    // What was interrupted is gone: the live one and the one before it are all there are.
    let status: Value =
        serde_json::from_str(&run(&installation, &["replay", "status", "--output", "json"]).await)
            .unwrap();
    let generations = status["generations"].as_array().unwrap();
    let stages: Vec<_> = generations.iter().map(|one| one["stage"].as_str().unwrap()).collect();
    assert!(stages.iter().all(|stage| ["live", "retired"].contains(stage)), "{stages:?}");
    for process in processes {
        process.stop().await;
    }
    Arc::into_inner(installation).expect("no one else has it").remove().await;
}

/// What `verify` finds, one JSON object a line; the counts come last.
async fn differences(installation: &Installation) -> Vec<Value> {
    let output = binary()
        .args(["verify", "--documents", "all", "--transitions", "all", "--output", "json"])
        .args(installation.args())
        .output()
        .await
        .unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let mut lines: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let counts = lines.pop().unwrap();
    let found = counts["verified"]["differences"].as_u64().unwrap();
    assert_eq!(usize::try_from(found).unwrap(), lines.len(), "{lines:?}");
    assert_eq!(output.status.success(), lines.is_empty());
    lines.into_iter().map(|mut line| line["difference"].take()).collect()
}

/// A ledger at rest.
async fn placed(installation: &Arc<Installation>, orders: usize) -> Vec<OrderId> {
    let mut processes = started(installation).await;
    let (_server, server) = watch::channel(processes[0].grpc().await);
    let mut placed = Vec::new();
    for n in 0..orders {
        placed.push(place(&server, order(installation, n)).await);
    }
    settle_and_compare(installation, &placed, Mails::Once).await;
    for process in processes {
        process.stop().await;
    }
    placed
}

#[tokio::test]
async fn a_row_that_was_tampered_with_is_named_and_a_replay_mends_it() {
    let installation = Arc::new(Installation::new("tampered").await);
    let orders = placed(&installation, 12).await;
    assert_eq!(differences(&installation).await, Vec::<Value>::new());
    let schema = installation.schema();
    let victim = orders[5];
    for tampered in [
        format!(
            "UPDATE {schema}.order_history SET to_state = 'Cancelled' WHERE order_id = '{victim}' AND version = 3"
        ),
        format!(
            "DELETE FROM {schema}.order_history WHERE order_id = '{}' AND version = 2",
            orders[6]
        ),
        format!(
            "UPDATE {schema}.orders SET snapshot = snapshot || '\\x00' WHERE order_id = '{}'",
            orders[7]
        ),
    ] {
        let pool = installation.pool().await;
        let done = sqlx::raw_sql(AssertSqlSafe(tampered)).execute(&pool).await.unwrap();
        assert_eq!(done.rows_affected(), 1);
    }
    let found = differences(&installation).await;
    let of = |order: OrderId| {
        let order = order.to_string();
        found.iter().filter(move |one| one["order_id"] == order).map(|one| one["field"].clone())
    };
    assert_eq!(of(victim).collect::<Vec<_>>(), ["row.outcome"]);
    assert_eq!(of(orders[7]).collect::<Vec<_>>(), ["snapshot"]);
    let lost = found.iter().find(|one| one["field"] == "row").unwrap();
    assert_eq!(lost["stored"], "nothing");
    assert_eq!(found.len(), 3, "{found:?}");

    stream::tamper(&installation, &orders).await;
    let told = |one: &Value, key: &str| one[key].as_str().map(str::to_owned);
    let found = differences(&installation).await;
    let found = found.iter().filter_map(|one| told(one, "order_id").zip(told(one, "field")));
    let mut found: Vec<_> = found.filter(|(_, field)| field.starts_with("transition")).collect();
    found.sort_unstable();
    let named = stream::named(&orders);
    assert_eq!(
        found.iter().map(|(id, field)| (id.clone(), field.as_str())).collect::<Vec<_>>(),
        named
    );
    stream::take_away(&installation, &orders).await;

    run(&installation, &["replay"]).await;
    assert_eq!(differences(&installation).await, Vec::<Value>::new());
    let oracle = fold_topic(&installation).await;
    assert_eq!(oracle.orders.len(), orders.len());
    Arc::into_inner(installation).expect("no one else has it").remove().await;
}

/// A record of a topic can't be changed in place: whoever wants to makes a new topic of the records, all but one as they
/// were, and puts it in the place of the old one.
#[tokio::test]
async fn a_record_that_was_tampered_with_is_named() {
    let original = Arc::new(Installation::new("original").await);
    let orders = placed(&original, 12).await;
    let forged = Installation::new("forged").await;
    run(&forged, &["migrate"]).await;
    let victim = orders[5];
    let position = forge(&original, &forged, victim).await;

    // The stores say what the original topic said.
    let mut args = original.args();
    let prefix = args.iter().position(|arg| *arg == original.topic_prefix()).unwrap();
    args[prefix] = forged.topic_prefix();
    let output = binary()
        .args(["verify", "--documents", "none", "--output", "json"])
        .args(&args)
        .output()
        .await
        .unwrap();
    assert!(!output.status.success());
    let lines = String::from_utf8(output.stdout).unwrap();
    let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    let first = &first["difference"];
    assert_eq!(first["order_id"], victim.to_string(), "{lines}");
    assert_eq!((first["partition"].as_i64(), first["offset"].as_i64()), position, "{lines}");
    Arc::into_inner(original).expect("no one else has it").remove().await;
    forged.remove().await;
}

/// Copies every record as it is, but for the first event of one order: that one has another actor. Where it stands.
async fn forge(
    original: &Installation,
    forged: &Installation,
    victim: OrderId,
) -> (Option<i64>, Option<i64>) {
    let producer: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", &forged.kafka).create().unwrap();
    let topic = format!("{}orders.events", forged.topic_prefix());
    let mut at = (None, None);
    for message in messages(original).await {
        let mut value = message.payload().unwrap().to_vec();
        let key = message.key().unwrap();
        if at.0.is_none() && key == victim.to_string().as_bytes() {
            at = (Some(message.partition().into()), Some(message.offset()));
            let event = codec::decode_event(&value).unwrap();
            let actor = Some(events::Text::new("someone else").unwrap());
            value = codec::encode_event(&events::Event { actor, ..event }).to_vec();
        }
        let record = FutureRecord::to(&topic)
            .partition(message.partition())
            .key(key)
            .payload(&value)
            .headers(message.headers().unwrap().clone());
        producer.send(record, PATIENCE).await.unwrap();
    }
    at
}

/// It is looked at beside the live one, which stays as it is.
#[tokio::test]
async fn a_ledger_is_seen_as_it_was() {
    let installation = Arc::new(Installation::new("past").await);
    let orders = placed(&installation, 8).await;
    let until = fold_topic(&installation).await.orders[&orders[0]].position;
    let vector = format!("{}={}", until.partition, until.offset.0);
    run(&installation, &["replay", "--until", &vector]).await;
    assert_eq!(live(&installation).await, 1);
    let shown =
        run(&installation, &["replay", "show", "2", &orders[0].to_string(), "--output", "json"])
            .await;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    // Its last event is the one that is left out.
    assert_eq!(shown["order"]["version"].as_u64(), Some(5), "{shown}");
    run(&installation, &["replay", "remove", "2"]).await;
    wait_for("it is removed", PATIENCE, async || {
        let status = run(&installation, &["replay", "status", "--output", "json"]).await;
        let status: Value = serde_json::from_str(&status).unwrap();
        (status["generations"].as_array().unwrap().len() == 1).then_some(())
    })
    .await;
    Arc::into_inner(installation).expect("no one else has it").remove().await;
}
