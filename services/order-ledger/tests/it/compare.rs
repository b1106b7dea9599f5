//! What is stored, indexed and mailed, against what the oracle says it must be.

use std::collections::BTreeMap;

use events::{OrderId, State};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Row as _};
use testkit::wait_while_it_moves;
use uuid::Uuid;

use crate::{
    found,
    installation::Installation,
    oracle::{Oracle, fold_topic},
    process::PATIENCE,
};

/// How exactly mails are counted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mails {
    /// Every one once.
    Once,
    /// Every one at least once: a sender was killed between the mail server's yes and its own note of it. What comes
    /// twice has the same Message-ID.
    AtLeastOnce,
}

/// Waits until every one of these orders is Completed or Cancelled and all that follows from the log is there; then
/// compares every row, document and mail with the test's own fold.
pub(crate) async fn settle_and_compare(
    installation: &Installation,
    orders: &[OrderId],
    mails: Mails,
) -> Oracle {
    const WHAT: &str = "every order is through, stored and indexed";
    let settled = wait_while_it_moves(WHAT, PATIENCE, async || {
        let oracle = fold_topic(installation).await;
        let through = |id| {
            oracle.orders.get(id).is_some_and(|expected| {
                matches!(expected.order.state, State::Completed | State::Cancelled)
            })
        };
        let through = orders.iter().filter(|id| through(id)).count();
        if through == orders.len() && caught_up(installation, &oracle).await {
            Ok(oracle)
        } else {
            Err((through, found::appended(installation).await.len()))
        }
    });
    let oracle = settled.await;
    compare(installation, &oracle, mails).await;
    oracle
}

/// Waits for the mails, then compares everything.
pub(crate) async fn compare(installation: &Installation, oracle: &Oracle, mails: Mails) {
    snapshots(installation, oracle).await;
    history(installation, oracle).await;
    found::documents(installation, oracle).await;
    found::transitions(installation, oracle).await;
    found::times(installation, oracle).await;
    mailed(installation, oracle, mails).await;
}

/// Whether store and index have come as far as the log.
pub(crate) async fn caught_up(installation: &Installation, oracle: &Oracle) -> bool {
    let versions = stored_versions(installation).await;
    let indexed = found::indexed(installation).await;
    let appended = found::appended(installation).await.len();
    appended == oracle.changes().count()
        && oracle.orders.iter().all(|(id, expected)| {
            let version = expected.order.version.get();
            versions.get(id) == Some(&version)
                && indexed.get(id).is_some_and(|(found, _)| *found == version)
        })
}

async fn stored_versions(installation: &Installation) -> BTreeMap<OrderId, u64> {
    let pool = installation.pool().await;
    let select = format!("SELECT order_id, version FROM {}.orders", installation.schema());
    // The schema comes with the first process.
    let rows = sqlx::query(AssertSqlSafe(select)).fetch_all(&pool).await.unwrap_or_default();
    rows.iter()
        .map(|row| {
            (
                OrderId::new(row.get("order_id")),
                u64::try_from(row.get::<i64, _>("version")).unwrap(),
            )
        })
        .collect()
}

async fn snapshots(installation: &Installation, oracle: &Oracle) {
    let pool = installation.pool().await;
    let select = format!(
        "SELECT order_id, version, state, currency, total_minor, region, snapshot, partition, \"offset\" \
         FROM {}.orders",
        installation.schema()
    );
    let rows = sqlx::query(AssertSqlSafe(select)).fetch_all(&pool).await.unwrap();
    assert_eq!(rows.len(), oracle.orders.len(), "orders in Postgres");
    for row in rows {
        let id = OrderId::new(row.get("order_id"));
        let expected = &oracle.orders[&id];
        let order = &expected.order;
        assert_eq!(row.get::<Vec<u8>, _>("snapshot"), codec::encode_snapshot(order), "{id}");
        assert_eq!(row.get::<String, _>("state"), order.state.name(), "{id}");
        assert_eq!(row.get::<String, _>("currency"), order.details.currency().code(), "{id}");
        assert_eq!(row.get::<String, _>("region"), order.details.region.to_string(), "{id}");
        assert_eq!(row.get::<i64, _>("total_minor"), order.details.total().get(), "{id}");
        let position = (row.get::<i32, _>("partition"), row.get::<i64, _>("offset"));
        let partition = i32::try_from(expected.position.partition.0).unwrap();
        assert_eq!(position, (partition, expected.position.offset.0), "{id}");
    }
}

async fn history(installation: &Installation, oracle: &Oracle) {
    let pool = installation.pool().await;
    let select = format!(
        "SELECT order_id, version, event_id, event, outcome FROM {}.order_history \
         ORDER BY partition, \"offset\"",
        installation.schema()
    );
    let rows = sqlx::query(AssertSqlSafe(select)).fetch_all(&pool).await.unwrap();
    let mut stored: BTreeMap<OrderId, Vec<(u64, String, String, String)>> = BTreeMap::new();
    for row in rows {
        stored.entry(OrderId::new(row.get("order_id"))).or_default().push((
            u64::try_from(row.get::<i64, _>("version")).unwrap(),
            row.get::<Uuid, _>("event_id").to_string(),
            row.get("event"),
            row.get("outcome"),
        ));
    }
    for (id, expected) in &oracle.orders {
        let expected: Vec<_> = expected
            .history
            .iter()
            .map(|(version, event_id, event, outcome)| {
                (*version, event_id.clone(), (*event).to_owned(), (*outcome).to_owned())
            })
            .collect();
        assert_eq!(stored[id], expected, "history of {id}");
    }
}

/// How often each Message-ID came to this test's customers, through Mailpit's own API.
async fn mailbox(installation: &Installation) -> BTreeMap<String, (String, u32)> {
    // All in one answer: Mailpit goes through its whole mailbox for each, and takes no mail meanwhile.
    let url = installation.mailbox(&[("limit", "1000000")]);
    let found: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
    let mut mails: BTreeMap<String, (String, u32)> = BTreeMap::new();
    for message in found["messages"].as_array().unwrap() {
        let to = message["To"][0]["Address"].as_str().unwrap().to_owned();
        let mail = mails.entry(message["MessageID"].as_str().unwrap().to_owned());
        mail.or_insert((to, 0)).1 += 1;
    }
    mails
}

async fn mailed(installation: &Installation, oracle: &Oracle, mails: Mails) {
    let expected: BTreeMap<String, String> = oracle
        .changes()
        .filter_map(|change| {
            let id = mailer::message_id(change)?;
            Some((id, change.order.details.customer.email.to_string()))
        })
        .collect();
    let found = wait_while_it_moves("every mail is in the mailbox", PATIENCE, async || {
        let found = mailbox(installation).await;
        let missing = expected.keys().filter(|id| !found.contains_key(*id)).count();
        if missing == 0 {
            Ok(found)
        } else {
            Err(format!("{missing} of {} missing", expected.len()))
        }
    });
    for (id, (to, count)) in found.await {
        assert_eq!(expected.get(&id), Some(&to), "{id} should not have been sent there");
        assert!(count == 1 || mails == Mails::AtLeastOnce, "{id} was sent {count} times");
    }
}
