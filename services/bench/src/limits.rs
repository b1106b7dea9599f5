//! What the machine does without the product: the same servers, the same bytes, nothing else.

use std::time::{Duration, Instant};

use bytes::Bytes;
use events::OrderId;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use ports::{OrderDocument, SearchIndex as _, Topic, TransitionDocument};
use rdkafka::{
    ClientConfig, ClientContext,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer},
};
use serde_json::json;
use sqlx::{AssertSqlSafe, PgPool, postgres::PgPoolCopyExt as _};
use testkit::{sample, servers};
use tokio::task::JoinSet;
use tonic::transport::Channel;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use uuid::Uuid;

use crate::{
    Failure,
    setup::{Installation, pick, rate},
};

/// Unary calls per second that only ask whether the server serves.
pub(crate) async fn unary_calls(
    channels: &[Channel],
    callers: usize,
    duration: Duration,
) -> Result<f64, Failure> {
    let mut running = JoinSet::new();
    let start = Instant::now();
    for caller in 0..callers {
        let mut client = HealthClient::new(pick(channels, caller));
        running.spawn(async move {
            let mut calls = 0_usize;
            while start.elapsed() < duration {
                client.check(HealthCheckRequest { service: String::new() }).await?;
                calls += 1;
            }
            Ok::<_, tonic::Status>(calls)
        });
    }
    let mut calls = 0;
    while let Some(ended) = running.join_next().await {
        calls += ended??;
    }
    Ok(rate(calls, start.elapsed()))
}

/// Different orders among the bare records.
const DISTINCT: u64 = 20_000;

/// Dead simple: it only counts what failed.
struct Failures;

impl ClientContext for Failures {}

impl ProducerContext for Failures {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        assert!(result.is_ok(), "a bare record was not delivered");
    }
}

/// Order events per second that an idempotent producer alone gets acknowledged.
pub(crate) async fn produced(
    installation: &Installation,
    duration: Duration,
) -> Result<f64, Failure> {
    let topic = installation.topic(Topic::StateChanged);
    let produce = move || {
        let producer = producer()?;
        // Encoded beforehand, each of another order: equal values would compress to nothing.
        let records: Vec<_> = (0..DISTINCT)
            .map(sample::order_id)
            .map(|id| (id.to_string(), codec::encode_event(&sample::placed(id))))
            .collect();
        let mut records = records.iter().cycle();
        let start = Instant::now();
        let mut count = 0_usize;
        while start.elapsed() < duration {
            if let Some((key, value)) = records.next() {
                send(&producer, &topic, key, value)?;
                count += 1;
            }
        }
        producer.flush(Duration::from_secs(60))?;
        Ok::<_, KafkaError>(rate(count, start.elapsed()))
    };
    Ok(tokio::task::spawn_blocking(produce).await??)
}

/// Fills `orders.events` with the lives of that many orders, five events each.
pub(crate) async fn fill(installation: &Installation, orders: usize) -> Result<(), Failure> {
    let topic = installation.topic(Topic::Events);
    let fill = move || {
        let producer = producer()?;
        // Step by step through all orders, so that an order's events do not come one after the other.
        for step in 0..5 {
            for n in 0..orders {
                let id = sample::order_id(n as u64);
                let event = step_of(id, step);
                send(&producer, &topic, &id.to_string(), &codec::encode_event(&event))?;
            }
        }
        producer.flush(Duration::from_secs(120))
    };
    Ok(tokio::task::spawn_blocking(fill).await??)
}

/// Fills `orders.events` with orders as a shop has them: each goes from its placing to its end while a few thousand others
/// are on their way, and one in twenty is never completed.
pub(crate) async fn fill_with_lives(
    installation: &Installation,
    orders: usize,
) -> Result<(), Failure> {
    /// Orders between two steps of one.
    const APART: usize = 2_000;
    const STEPS: usize = 5;
    let topic = installation.topic(Topic::Events);
    let fill = move || {
        let producer = producer()?;
        for newest in 0..orders + APART * STEPS {
            for step in 0..STEPS {
                let Some(n) = newest.checked_sub(step * APART).filter(|n| *n < orders) else {
                    continue;
                };
                let id = sample::order_id(n as u64);
                let event = match (step, n % 20) {
                    (0, _) => sample::placed(id),
                    (1, 0) => sample::captured(id),
                    (1, _) | (2, 0) => sample::preparation_started(id),
                    (2, _) | (3, 0) => sample::shipped(id),
                    (3, _) | (_, 0) => sample::delivered(id),
                    (_, _) => sample::completed(id),
                };
                send(&producer, &topic, &id.to_string(), &codec::encode_event(&event))?;
            }
        }
        producer.flush(Duration::from_secs(600))
    };
    Ok(tokio::task::spawn_blocking(fill).await??)
}

/// Rows in memory at once, for each connection.
const COPIED_AT_ONCE: i64 = 200_000;

/// Events per second that Postgres takes by COPY alone: history rows and snapshots of a generation into tables like its
/// own, but without the indexes that the product makes afterwards; as many connections as the product loads with.
pub(crate) async fn copied(installation: &Installation, generation: u32) -> Result<f64, Failure> {
    let from = format!("{}_g{generation}", installation.name());
    let to = servers::unique("bare");
    let pool = PgPool::connect(&servers::postgres()).await?;
    let create = format!(
        "CREATE SCHEMA {to};
         CREATE TABLE {to}.orders (LIKE {from}.orders INCLUDING ALL EXCLUDING INDEXES, PRIMARY KEY (order_id));
         CREATE TABLE {to}.order_history (LIKE {from}.order_history INCLUDING ALL EXCLUDING INDEXES)"
    );
    sqlx::raw_sql(AssertSqlSafe(create)).execute(&pool).await?;
    let mut rows = Vec::new();
    for partition in 0..4 {
        let mut connection = pool.acquire().await?;
        let mut of = Vec::new();
        for (table, limit) in [("order_history", COPIED_AT_ONCE), ("orders", COPIED_AT_ONCE / 5)] {
            let out = format!(
                "COPY (SELECT * FROM {from}.{table} WHERE partition = {partition} LIMIT {limit})
                 TO STDOUT (FORMAT binary)"
            );
            let mut stream = connection.copy_out_raw(&out).await?;
            let mut bytes = Vec::new();
            while let Some(chunk) = stream.next().await {
                bytes.extend_from_slice(&chunk?);
            }
            of.push((table, bytes));
        }
        rows.push(of);
    }
    let start = Instant::now();
    let mut copying = JoinSet::new();
    for of in rows {
        let (pool, to) = (pool.clone(), to.clone());
        copying.spawn(async move {
            let mut events = 0;
            for (table, bytes) in of {
                let into = format!("COPY {to}.{table} FROM STDIN (FORMAT binary)");
                let mut copy = pool.copy_in_raw(&into).await?;
                copy.send(bytes).await?;
                let copied = copy.finish().await?;
                events += if table == "order_history" { copied } else { 0 };
            }
            Ok::<_, sqlx::Error>(events)
        });
    }
    let mut events = 0;
    while let Some(copied) = copying.join_next().await {
        events += copied??;
    }
    let elapsed = start.elapsed();
    sqlx::raw_sql(AssertSqlSafe(format!("DROP SCHEMA {to} CASCADE"))).execute(&pool).await?;
    Ok(rate(usize::try_from(events)?, elapsed))
}

/// One bulk request as the product makes it.
pub(crate) enum Request {
    Orders(Vec<OrderDocument>),
    Transitions(Vec<TransitionDocument>),
}

/// Requests under way, as many as the product has at most.
const BULKS: usize = 8;

/// Documents a second that Elasticsearch takes by `_bulk` alone, with external versions and the mappings of the product.
pub(crate) async fn bulk(requests: Vec<Request>) -> Result<f64, Failure> {
    let installation = Installation::new().await?;
    installation.index()?.prepare().await?;
    let (server, prefix) = (servers::elasticsearch(), installation.search_prefix());
    let (mut documents, mut bodies) = (0, Vec::new());
    for request in requests {
        let (target, lines) = match request {
            Request::Orders(orders) => ("orders-write", orders.iter().map(order_lines).collect()),
            Request::Transitions(transitions) => {
                ("order-transitions", transitions.iter().map(transition_lines).collect())
            }
        };
        let lines: Vec<String> = lines;
        documents += lines.len();
        let url =
            format!("{server}/{prefix}{target}/_bulk?filter_path=items.*.status,items.*.error");
        bodies.push((url, lines.concat()));
    }
    let client = reqwest::Client::new();
    let start = Instant::now();
    let sent = bodies.into_iter().map(|(url, body)| {
        let request = client.post(url).header("content-type", "application/x-ndjson").body(body);
        async { request.send().await?.error_for_status()?.bytes().await }
    });
    stream::iter(sent).buffer_unordered(BULKS).try_collect::<Vec<_>>().await?;
    let elapsed = start.elapsed();
    installation.remove_search().await?;
    installation.remove().await?;
    Ok(rate(documents, elapsed))
}

fn order_lines(order: &OrderDocument) -> String {
    let action = json!({ "index": {
        "_id": order.order_id, "version": order.version, "version_type": "external" } });
    format!("{action}\n{}\n", json!(order))
}

fn transition_lines(transition: &TransitionDocument) -> String {
    format!("{}\n{}\n", json!({ "create": { "_id": transition.id() } }), json!(transition))
}

fn step_of(id: OrderId, step: u8) -> events::Event {
    match step {
        0 => sample::placed(id),
        1 => sample::captured(id),
        2 => sample::preparation_started(id),
        3 => sample::shipped(id),
        _ => sample::delivered(id),
    }
}

fn producer() -> Result<ThreadedProducer<Failures>, KafkaError> {
    ClientConfig::new()
        .set("bootstrap.servers", servers::kafka())
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("compression.type", "lz4")
        .set("linger.ms", "5")
        .create_with_context(Failures)
}

fn send(
    producer: &ThreadedProducer<Failures>,
    topic: &str,
    key: &str,
    value: &[u8],
) -> Result<(), KafkaError> {
    let partition = ports::partition_for_key(key.as_bytes(), crate::setup::PARTITIONS);
    let partition = i32::try_from(partition.0).unwrap_or(0);
    let mut record = BaseRecord::to(topic).key(key).payload(value).partition(partition);
    while let Err((error, back)) = producer.send(record) {
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
            return Err(error);
        }
        std::thread::sleep(Duration::from_millis(1));
        record = back;
    }
    Ok(())
}

/// Events per second that Postgres takes through `UNNEST` on one connection: a history row each, a snapshot for every
/// order that a batch holds, of the sizes that the product writes; one commit a batch.
pub(crate) async fn upserted(orders: usize) -> Result<f64, Failure> {
    const BATCH: usize = 4_000;
    let pool = PgPool::connect(&servers::postgres()).await?;
    let mut connection = pool.acquire().await?;
    let schema = servers::unique("bare");
    let create = format!(
        "CREATE SCHEMA {schema}; SET search_path TO {schema};
         CREATE TABLE bare_orders (order_id uuid PRIMARY KEY, version bigint, state text, snapshot bytea);
         CREATE TABLE bare_history (partition int, \"offset\" bigint, order_id uuid, event bytea,
                                    PRIMARY KEY (partition, \"offset\"))"
    );
    sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut *connection).await?;
    let lifecycle = sample::lifecycle(sample::order_id(0));
    let snapshot = codec::encode_snapshot(&sample::folded(&lifecycle));
    let event: Bytes = codec::encode_event(&sample::captured(sample::order_id(0)));
    let ids: Vec<Uuid> = (0..orders).map(|n| sample::order_id(n as u64).as_uuid()).collect();
    let start = Instant::now();
    let mut offset = 0_i64;
    for version in 1..=5_i64 {
        for batch in ids.chunks(BATCH) {
            let offsets: Vec<i64> = (offset..).take(batch.len()).collect();
            offset += i64::try_from(batch.len())?;
            let mut transaction = sqlx::Connection::begin(&mut *connection).await?;
            sqlx::query(
                "INSERT INTO bare_orders SELECT id, $2, 'Placed', snapshot FROM unnest($1::uuid[], $3::bytea[]) \
                 AS rows(id, snapshot) ON CONFLICT (order_id) DO UPDATE \
                 SET version = excluded.version, state = excluded.state, snapshot = excluded.snapshot",
            )
            .bind(batch)
            .bind(version)
            .bind(vec![snapshot.as_ref(); batch.len()])
            .execute(&mut *transaction)
            .await?;
            sqlx::query(
                "INSERT INTO bare_history SELECT 0, o, id, event \
                 FROM unnest($1::bigint[], $2::uuid[], $3::bytea[]) AS rows(o, id, event)",
            )
            .bind(&offsets)
            .bind(batch)
            .bind(vec![event.as_ref(); batch.len()])
            .execute(&mut *transaction)
            .await?;
            transaction.commit().await?;
        }
    }
    let elapsed = start.elapsed();
    let drop_schema = format!("DROP SCHEMA {schema} CASCADE");
    sqlx::raw_sql(AssertSqlSafe(drop_schema)).execute(&mut *connection).await?;
    Ok(rate(orders * 5, elapsed))
}
