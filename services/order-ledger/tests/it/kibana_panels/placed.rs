//! Orders of several states, regions, gateways and currencies, through the whole pipeline: some long ago and one of
//! yesterday, which the log can say, some now, over gRPC.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use events::{Currency, Event, EventBody, EventId, Money, OrderDetails, OrderId, Parcel, Pieces};
use proto::v1;
use rdkafka::{
    ClientConfig,
    producer::{FutureProducer, FutureRecord},
};
use sqlx::AssertSqlSafe;
use testkit::sample;

use crate::{
    client::{connect, order},
    installation::Installation,
    process::Process,
};

/// Placed long ago.
const OLD: u32 = 52;

/// Placed now.
const NEW: usize = 4;

/// Steps of an old order, in the order in which they happened.
const LIVES: [&[Step]; 13] = [
    &[],
    &[Step::Decline],
    &[Step::Pay],
    &[Step::Pay, Step::Prepare],
    &[Step::Pay, Step::Prepare, Step::Ship],
    &[Step::Pay, Step::Prepare, Step::Ship, Step::FailDelivery],
    &[Step::Pay, Step::Prepare, Step::Ship, Step::Deliver],
    &[Step::Pay, Step::Prepare, Step::Ship, Step::Deliver, Step::Complete],
    &[Step::Pay, Step::Cancel],
    // As far as an order can go, with an event on the way that does not fit.
    &[
        Step::Decline,
        Step::Pay,
        Step::Prepare,
        Step::Ship,
        Step::FailDelivery,
        Step::Ship,
        Step::Pay,
        Step::Deliver,
        Step::AskReturn,
        Step::Return,
        Step::Refund,
    ],
    &[Step::Deliver, Step::Complete, Step::Deliver],
    // Paid late: an event that is applied, and leaves the order where it is.
    &[Step::Prepare, Step::Pay],
    &[Step::Cancel],
];

#[derive(Clone, Copy)]
enum Step {
    Pay,
    Decline,
    Prepare,
    Ship,
    FailDelivery,
    Deliver,
    Complete,
    Cancel,
    AskReturn,
    Return,
    Refund,
}

/// Runs every role in one process, and leaves when all orders are in the log.
pub(super) async fn through_the_pipeline(installation: &Installation) -> Process {
    let mut process = Process::serve("all", &installation.args());
    process.ready().await;
    append_old(installation).await;
    place_new(installation, &process.grpc().await).await;
    note_banks(installation).await;
    process
}

/// The order with the most events.
pub(super) fn longest(installation: &Installation) -> OrderId {
    id(installation, 9)
}

fn id(installation: &Installation, n: u32) -> OrderId {
    OrderId::for_request(&format!("{} {n}", installation.name))
}

fn bank(n: u32) -> (&'static str, Option<&'static str>) {
    let known = [
        ("Webpay", Some("Banco de Chile")),
        ("PayPal", Some("Santander")),
        ("Webpay", None),
        ("Khipu", Some("Banco de Chile")),
        ("Webpay", Some("BCI")),
    ];
    known[usize::try_from(n).unwrap() % known.len()]
}

fn details(installation: &Installation, n: u32) -> OrderDetails {
    sample::details_with(|draft| {
        let currencies = ["CLP", "USD", "EUR"].map(|code| Currency::from_code(code).unwrap());
        let regions = ["Metropolitana", "Biobío", "Valparaíso", "Los Lagos"];
        let turn = usize::try_from(n).unwrap();
        draft.currency = currencies[turn % currencies.len()];
        draft.region = sample::text(regions[turn / 2 % regions.len()]);
        draft.lines = vec![sample::line("MUG-1", 1 + n % 3, 1_000 + 10 * i64::from(n))];
        draft.customer.email = sample::email(&installation.address(turn));
        let (gateway, bank) = bank(n);
        draft.payment.gateway = sample::text(gateway);
        draft.payment.bank = bank.map(sample::text);
    })
}

/// The whole life of the n-th old order. No two events of any order happen at the same instant.
fn life(installation: &Installation, n: u32) -> Vec<Event> {
    let steps = LIVES[usize::try_from(n).unwrap() % LIVES.len()];
    life_from(installation, n, sample::at(i64::from(n) * 40_009), steps)
}

fn life_from(
    installation: &Installation,
    n: u32,
    from: DateTime<Utc>,
    steps: &[Step],
) -> Vec<Event> {
    let (id, details) = (id(installation, n), details(installation, n));
    let all = Money { amount: details.total(), currency: details.currency() };
    let first = EventBody::OrderPlaced(Box::new(details));
    let bodies = std::iter::once(first).chain(steps.iter().map(|step| body(*step, all)));
    let mut at = from;
    bodies
        .zip(0_i32..)
        .map(|(body, step)| {
            // Some stays of seconds, some of days, none like another.
            at += TimeDelta::milliseconds(
                i64::from(n % OLD + 1) * 1_500_007 * i64::from(1 + step % 4),
            );
            let event = EventId::derived(id, &format!("step {step}"));
            codec::new_event(event, id, at, Some(sample::text("test")), None, body)
        })
        .collect()
}

fn body(step: Step, all: Money) -> EventBody {
    let pieces = Pieces::default();
    match step {
        Step::Pay => EventBody::PaymentCaptured { amount: all, reference: None },
        Step::Decline => EventBody::PaymentDeclined { reason: None },
        Step::Prepare => EventBody::PreparationStarted,
        Step::Ship => {
            let (carrier, tracking_number) = (sample::text("Chilexpress"), sample::text("CX-1"));
            EventBody::OrderShipped { parcel: Parcel { carrier, tracking_number }, pieces }
        }
        Step::FailDelivery => EventBody::DeliveryFailed { reason: None },
        Step::Deliver => EventBody::OrderDelivered,
        Step::Complete => EventBody::OrderCompleted,
        Step::Cancel => EventBody::OrderCancelled { reason: None },
        Step::AskReturn => EventBody::ReturnRequested { reason: None, pieces },
        Step::Return => EventBody::OrderReturned { pieces },
        Step::Refund => EventBody::PaymentRefunded { amount: all, reference: None, pieces },
    }
}

/// As the api would have written them at the time.
async fn append_old(installation: &Installation) {
    let topic = format!("{}orders.events", installation.topic_prefix());
    let producer: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", &installation.kafka).create().unwrap();
    let old = (0..OLD).flat_map(|n| life(installation, n));
    // Not yet so long that it would count as stuck.
    let yesterday = "SELECT now() - interval '47 hours'";
    let pool = installation.pool().await;
    let yesterday = sqlx::query_scalar(yesterday).fetch_one(&pool).await.unwrap();
    let recent = life_from(installation, OLD, yesterday, &[]);
    for event in old.chain(recent) {
        let (key, value) = (event.order_id.to_string(), codec::encode_event(&event));
        let partition = ports::partition_for_key(key.as_bytes(), 6);
        let record = FutureRecord::to(&topic)
            .key(&key)
            .payload(&value[..])
            .partition(i32::try_from(partition.0).unwrap());
        producer.send(record, Duration::from_secs(30)).await.unwrap();
    }
}

/// These stand where a search for old ones must not find them.
async fn place_new(installation: &Installation, address: &str) {
    let mut client = connect(address).await;
    for n in 0..NEW {
        let placed = client.place_order(order(installation, 1000 + n)).await.unwrap().into_inner();
        if n % 2 == 0 {
            let order_id = placed.order_id;
            let pay = v1::RecordPaymentCapturedRequest { order_id, ..Default::default() };
            client.record_payment_captured(pay).await.unwrap();
        }
    }
}

/// Postgres has banks within snapshots only: what was placed says them.
async fn note_banks(installation: &Installation) {
    let pool = installation.pool().await;
    let schema = installation.schema();
    let create = format!("CREATE TABLE {schema}.banks (order_id uuid PRIMARY KEY, bank text)");
    sqlx::query(AssertSqlSafe(create)).execute(&pool).await.unwrap();
    for n in 0..=OLD {
        let insert = format!("INSERT INTO {schema}.banks VALUES ($1, $2)");
        let insert = sqlx::query(AssertSqlSafe(insert)).bind(id(installation, n).as_uuid());
        insert.bind(bank(n).1).execute(&pool).await.unwrap();
    }
}
