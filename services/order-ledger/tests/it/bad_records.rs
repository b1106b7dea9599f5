//! Records that no one should have written: kept with their reason, counted, and the line goes on.

use std::time::Duration;

use events::{EventBody, OrderId, Pieces};
use rdkafka::{
    ClientConfig,
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};
use sqlx::{AssertSqlSafe, Row as _};
use testkit::{sample, wait_for};

use crate::{
    client::{connect, order},
    compare::{Mails, caught_up, compare},
    installation::Installation,
    oracle::fold_topic,
    process::{PATIENCE, Process, binary},
};

/// A record that someone else wrote: topic, key, value, headers.
type Foreign<'a> = (&'a str, Option<&'a str>, Option<&'a [u8]>, Option<OwnedHeaders>);

#[tokio::test]
async fn foreign_records_are_kept_and_counted_and_the_line_goes_on() {
    let installation = Installation::new("foreign").await;
    let mut args = installation.args();
    args.extend(["--roles".to_owned(), "all".to_owned()]);
    let mut process = Process::serve("all", &args);
    process.ready().await;
    let mut client = connect(&process.grpc().await).await;
    let before = client.place_order(order(&installation, 1)).await.unwrap().into_inner().order_id;

    let events = format!("{}orders.events", installation.topic_prefix());
    let changes = format!("{}orders.state-changed", installation.topic_prefix());
    let producer: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", &installation.kafka).create().unwrap();
    let id: OrderId = before.parse().unwrap();
    let key = id.to_string();
    let ghost = OrderId::for_request(&installation.name);
    let of_ghost = codec::encode_event(&sample::delivered(ghost));
    let misfit = codec::encode_event(&sample::delivered(id));
    let foreign_key = codec::encode_event(&sample::cancelled(id));
    let refund = sample::event(
        id,
        7,
        EventBody::PaymentRefunded {
            amount: events::Money { amount: sample::minor(1), currency: events::Currency::CLP },
            reference: None,
            pieces: Pieces::default(),
        },
    );
    let refund = codec::encode_event(&refund);
    let odd = OwnedHeaders::new().insert(Header { key: "odd", value: Some(&[0xff_u8][..]) });
    let records: [Foreign<'_>; 9] = [
        (&events, Some(&key), Some(b"not an event"), None),
        (&events, Some(&key), None, None),
        (&events, None, Some(&misfit), None),
        (&events, Some("another key"), Some(&foreign_key), Some(odd.clone())),
        (&events, Some(&ghost.to_string()), Some(&of_ghost), None),
        (&events, Some(&key), Some(&misfit), None),
        (&events, Some(&key), Some(&misfit), Some(odd)),
        (&events, Some(&key), Some(&refund), None),
        (&changes, Some(&key), Some(b"\xff\xff\xff"), None),
    ];
    for (topic, key, value, headers) in records {
        let mut record: FutureRecord<'_, str, [u8]> = FutureRecord::to(topic);
        record.key = key;
        record.payload = value;
        record.headers = headers;
        // Where the api would put it, so that only the record itself is wrong.
        let partition = ports::partition_for_key(key.unwrap_or_default().as_bytes(), 6);
        record.partition = Some(i32::try_from(partition.0).unwrap());
        producer.send(record, Duration::from_secs(30)).await.unwrap();
    }
    let after = client.place_order(order(&installation, 2)).await.unwrap().into_inner().order_id;
    assert_eq!(
        dead_letters(&installation).await,
        6,
        "four events, and one change for each of two readers"
    );
    // Two of them park the order; without them it is as if they had never been.
    let discard = ["dead-letters", "discard", "--all", "--consumer", "projector", "--yes"];
    let discarded = binary().args(discard).args(installation.args()).output().await.unwrap();
    let told = String::from_utf8(discarded.stdout).unwrap();
    assert!(discarded.status.success(), "{told}");
    assert_eq!(told.matches(&format!(": discarded, order {id} goes on")).count(), 2, "{told}");
    assert_eq!(told.matches(": discarded, done").count(), 2, "{told}");

    let oracle = wait_for("what came after is projected", PATIENCE, async || {
        let oracle = fold_topic(&installation).await;
        caught_up(&installation, &oracle).await.then_some(oracle)
    });
    let oracle = oracle.await;
    assert!(oracle.orders.contains_key(&after.parse().unwrap()));
    compare(&installation, &oracle, Mails::Once).await;

    let outcomes: Vec<_> = oracle.orders[&id].history.iter().map(|row| row.3).collect();
    assert_eq!(outcomes, ["applied", "rejected", "duplicate", "rejected"]);
    assert_eq!(history_of_unknown(&installation, ghost).await, 1);
    assert_eq!(unaccounted(&installation).await, 0);
    assert!(process.metric("order_ledger_dead_letters_total").await >= 6.0);
    assert_eq!(process.readiness().await.0, 200);

    process.stop().await;
    installation.remove().await;
}

async fn dead_letters(installation: &Installation) -> i64 {
    let count = format!("SELECT count(*) FROM {}.dead_letters", installation.schema());
    let pool = installation.pool().await;
    wait_for("the last dead letter is kept", PATIENCE, async || {
        let row = sqlx::query(AssertSqlSafe(count.clone())).fetch_one(&pool).await.unwrap();
        Some(row.get::<i64, _>(0)).filter(|count| *count >= 6)
    })
    .await
}

/// What the audit misses, once it has caught up with the fold.
async fn unaccounted(installation: &Installation) -> i64 {
    let audit = format!(
        "SELECT sum(unaccounted)::bigint FROM {0}.audits RIGHT JOIN {0}.progress USING (partition)
         HAVING bool_and(next_offset = coalesce(audited_offset, 0))",
        installation.schema()
    );
    let pool = installation.pool().await;
    wait_for("everything is audited", PATIENCE, async || {
        let row = sqlx::query(AssertSqlSafe(audit.clone())).fetch_optional(&pool).await.unwrap();
        row.map(|row| row.get(0))
    })
    .await
}

async fn history_of_unknown(installation: &Installation, ghost: OrderId) -> i64 {
    let count = format!(
        "SELECT count(*) FROM {}.order_history WHERE order_id = $1 AND outcome = 'rejected'",
        installation.schema()
    );
    let pool = installation.pool().await;
    let query = sqlx::query(AssertSqlSafe(count)).bind(ghost.as_uuid());
    query.fetch_one(&pool).await.unwrap().get(0)
}
