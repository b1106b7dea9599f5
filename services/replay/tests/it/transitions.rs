//! The stream of transitions is verified as well: whatever is wrong with it is named.

use codec::event_record;
use events::Event;
use ports::{EventLog as _, Group, OrderStore as _, Position, Topic};
use replay::{Difference, Ledger, Share, Verification, VerifySettings};
use testkit::{sample, wait_for};

use crate::world::{World, lives, of_order};

/// So few that orders are let go of again and again.
pub(crate) const FEW: VerifySettings<'static> =
    VerifySettings { held_max: 20, page: 64, filter_bits_max: 1 << 20, progress: None };

impl World {
    /// Folded, and every change told to the stream.
    pub(crate) async fn streamed(events: &[Event]) -> Self {
        let world = Self::open().await;
        world.append(events).await;
        world.fold_without_index().await;
        world.stream().await;
        world
    }

    /// Lets a search projector read all that is announced.
    pub(crate) async fn stream(&self) {
        let searcher = self.searcher();
        let topic = Topic::StateChanged;
        let ends = self.log.end_offsets(topic).await.unwrap();
        wait_for("all changes are read", std::time::Duration::from_secs(60), async || {
            let places = self.log.group_offsets(topic, Group::Search).await.unwrap();
            (places == ends).then_some(())
        })
        .await;
        searcher.stop().await;
    }

    /// What there is to verify, that share of the transitions included.
    pub(crate) fn with_transitions(&self, share: Share) -> Ledger<'_> {
        Ledger { transitions: Some((self.index.as_ref(), share)), ..self.ledger() }
    }

    pub(crate) async fn verify_transitions(&self, share: Share) -> (Verification, Vec<Difference>) {
        self.verify_ledger(self.with_transitions(share), VerifySettings::default()).await
    }

    /// Transitions compared, behind and missing from before the stream, if nothing is wrong.
    pub(crate) async fn good_transitions(&self) -> [u64; 3] {
        let (found, differences) = self.verify_transitions(Share::All).await;
        assert_eq!(differences, []);
        let Verification { transitions, transitions_behind, transitions_before, .. } = found;
        [transitions, transitions_behind, transitions_before]
    }

    pub(crate) async fn differing(&self) -> Vec<Difference> {
        self.verify_transitions(Share::All).await.1
    }

    /// A statement on the stream's table, behind everyone's back.
    pub(crate) async fn stream_sql(&self, statement: &str) {
        self.sql_in("search.db", statement).await;
    }

    /// The stream as if it had been made in an hour.
    pub(crate) async fn stream_begins_later(&self) {
        self.stream_sql("UPDATE _sqlx_migrations SET installed_on = datetime('now', '+1 hour')")
            .await;
    }
}

/// The row of a version of the n-th sample order.
pub(crate) fn row(n: u64, version: u64) -> String {
    format!("WHERE order_id = '{}' AND version = {version}", sample::order_id(n))
}

pub(crate) fn fields(differences: &[Difference]) -> Vec<&'static str> {
    differences.iter().map(|difference| difference.field).collect()
}

#[tokio::test]
async fn a_good_stream_is_found_good() {
    let mut events = lives(1..40);
    // Two that are rejected and recorded, a repeat, and one of an order that is unknown.
    events.extend([1, 2].map(|n| sample::cancelled(sample::order_id(n))));
    events.extend([sample::placed(sample::order_id(3)), sample::shipped(sample::order_id(99))]);
    let world = World::streamed(&events).await;
    let whole = 39 * 6 + 2;
    assert_eq!(world.good_transitions().await, [whole, 0, 0]);
    let ledger = world.with_transitions(Share::All);
    let (found, differences) = world.verify_ledger(ledger, FEW).await;
    assert_eq!((found.transitions, differences), (whole, vec![]));
    // Without being asked to, no one looks.
    world.stream_sql("DELETE FROM transitions").await;
    let (found, differences) = world.verify().await;
    assert_eq!((found.transitions, differences), (0, vec![]));
}

#[tokio::test]
async fn every_changed_field_is_found() {
    let world = World::streamed(&lives(1..4)).await;
    for (path, value) in [
        ("@timestamp", "'2020-01-01T00:00:00Z'"),
        ("event.kind", "'metric'"),
        ("event.action", "'OrderPlaced'"),
        ("event.outcome", "'failure'"),
        ("event.id", "'00000000-0000-0000-0000-000000000000'"),
        ("event.dataset", "'another'"),
        ("service.name", "'another'"),
        ("trace.id", "'4bf92f3577b34da6a3ce929d0e0e4736'"),
        ("order_id", "'00000000-0000-0000-0000-000000000000'"),
        ("version", "9"),
        ("from", "'Placed'"),
        ("to", "null"),
        ("seconds_in_from", "0.5"),
        ("rejection", "'StaleVersion'"),
        ("actor", "'mallory'"),
        ("currency", "'EUR'"),
        ("total_minor", "1"),
        ("region", "'nowhere'"),
        ("payment.gateway", "'another'"),
        ("payment.card_brand", "null"),
        ("payment.bank", "'another'"),
        ("load_test_type", "'soak'"),
        // None that a transition has.
        ("customer", "'ana@example.com'"),
    ] {
        world.stream_sql("CREATE TABLE kept AS SELECT * FROM transitions").await;
        let nested = path.split_once('.').filter(|_| path == "trace.id");
        let changed = match nested {
            Some((object, field)) => format!("'$.{object}', json_object('{field}', {value})"),
            None => format!("'$.\"{}\"', {value}", path.replace('.', "\".\"")),
        };
        let set = format!("UPDATE transitions SET document = json_set(document, {changed})");
        world.stream_sql(&format!("{set} {}", row(2, 4))).await;
        let [difference] = world.differing().await.try_into().unwrap();
        let expected = match path {
            "customer" => "transition".to_owned(),
            path => format!("transition.{path}"),
        };
        assert_eq!(difference.field, expected, "{difference}");
        assert_eq!(difference.order_id, Some(sample::order_id(2)));
        let shipped = world.store.history(sample::order_id(2)).await.unwrap().remove(3);
        assert_eq!(difference.position, Some(shipped.position));
        world.stream_sql("INSERT OR REPLACE INTO transitions SELECT * FROM kept").await;
        world.stream_sql("DROP TABLE kept").await;
    }
    // When it was read, and by whom, does not follow from the log.
    for (path, value) in [
        ("event.created", "'2020-01-01T00:00:00Z'"),
        ("lag_seconds", "null"),
        ("service.version", "'0.0.0'"),
    ] {
        let set = format!("document = json_set(document, '$.{path}', {value})");
        world.stream_sql(&format!("UPDATE transitions SET {set}")).await;
    }
    assert_eq!(world.good_transitions().await, [18, 0, 0]);
}

#[tokio::test]
async fn one_that_is_missing_is_named() {
    let world = World::streamed(&lives(1..4)).await;
    world.stream_sql(&format!("DELETE FROM transitions {}", row(2, 4))).await;
    let (found, differences) = world.verify_transitions(Share::All).await;
    let [difference] = differences.try_into().unwrap();
    let shipped = world.store.history(sample::order_id(2)).await.unwrap().remove(3);
    let Position { partition, offset } = shipped.position;
    assert_eq!(
        difference.to_string(),
        format!(
            "order {} at {partition}/{offset} transition: stored is nothing, the log says version 4, OrderShipped",
            sample::order_id(2)
        )
    );
    assert_eq!((found.transitions, found.differences), (18, 1));
}

#[tokio::test]
async fn one_that_is_there_twice_is_named() {
    let world = World::streamed(&lives(1..4)).await;
    // As streams can be that no key keeps from it.
    for statement in [
        "ALTER TABLE transitions RENAME TO kept",
        "CREATE TABLE transitions (order_id TEXT, version INTEGER, document TEXT)",
        "INSERT INTO transitions SELECT * FROM kept",
        &format!("INSERT INTO transitions SELECT * FROM kept {}", row(2, 4)),
    ] {
        world.stream_sql(statement).await;
    }
    let [difference] = world.differing().await.try_into().unwrap();
    assert_eq!((difference.order_id, difference.field), of_order(2, "transition"));
    assert_eq!(
        (difference.stored.as_str(), difference.expected.as_str()),
        ("2 of version 4", "one of it")
    );
}

/// Of a version that the order never had, of an order that there is not, under an id that no transition has.
#[tokio::test]
async fn surplus_ones_are_named() {
    let world = World::streamed(&lives(1..4)).await;
    let copied = |order: &str, version: u64| {
        format!(
            "INSERT INTO transitions SELECT {order}, {version}, document FROM transitions {}",
            row(2, 4)
        )
    };
    let unknown = sample::order_id(9);
    for (order, version) in
        [("order_id", 7), ("order_id", 0), (&format!("'{unknown}'"), 1), ("upper(order_id)", 4)]
    {
        world.stream_sql(&copied(order, version)).await;
    }
    let mut told: Vec<_> = world
        .differing()
        .await
        .into_iter()
        .map(|one| (one.order_id, one.field, one.stored, one.expected))
        .collect();
    told.sort_unstable();
    let of = |order, stored: String| (order, "transition", stored, "nothing".to_owned());
    let known = Some(sample::order_id(2));
    let shouted = sample::order_id(2).to_string().to_uppercase();
    let mut expected = [
        of(None, format!("a document \"{shouted}-4\"")),
        of(known, "version 0".to_owned()),
        of(known, "version 7".to_owned()),
        of(Some(unknown), "version 1".to_owned()),
    ];
    expected.sort_unstable();
    assert_eq!(told, expected);
    // A sample does not look for what should not be there.
    assert_eq!(world.verify_transitions(Share::Sample).await.1, []);
}

/// A snapshot that is wrong or missing is named once, and not again by its transitions.
#[tokio::test]
async fn a_wrong_snapshot_makes_no_transition_surplus() {
    let world = World::streamed(&lives(1..4)).await;
    let [lost, broken] = [1, 2].map(sample::order_id);
    world.sql(&format!("DELETE FROM orders WHERE order_id = '{lost}'")).await;
    world.sql(&format!("UPDATE orders SET snapshot = x'00' WHERE order_id = '{broken}'")).await;
    assert_eq!(fields(&world.differing().await), ["snapshot", "snapshot"]);
}

#[tokio::test]
async fn a_sample_has_the_first_orders_and_some_of_the_rest() {
    let placed = |n| sample::placed(sample::order_id(n));
    let world = World::streamed(&(0..3_600).map(placed).collect::<Vec<_>>()).await;
    assert_eq!(world.good_transitions().await, [3_600, 0, 0]);
    let (sampled, differences) = world.verify_transitions(Share::Sample).await;
    assert_eq!(differences, []);
    assert!((3_000..3_100).contains(&sampled.transitions), "{sampled:?}");
    world.stream_sql("DELETE FROM transitions").await;
    let (found, differences) = world.verify_transitions(Share::Sample).await;
    assert_eq!(
        (found.transitions, differences.len() as u64),
        (sampled.transitions, sampled.transitions)
    );
}

/// An event's record without any header is in no trace; one with a trace is in that one, or was told again in none.
#[tokio::test]
async fn a_trace_is_that_of_the_event_or_none() {
    let world = World::open().await;
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().ok();
    let life = sample::lifecycle(sample::order_id(1));
    let records = life.iter().map(|event| event_record(event, traceparent)).collect();
    world.append_records(records).await;
    world.fold_without_index().await;
    world.stream().await;
    assert_eq!(world.good_transitions().await, [6, 0, 0]);
    let trace = |value: &str| {
        format!("UPDATE transitions SET document = json_set(document, '$.trace', {value})")
    };
    world.stream_sql(&format!("{} {}", trace("null"), row(1, 2))).await;
    assert_eq!(world.good_transitions().await, [6, 0, 0]);
    let other = "json_object('id', '00000000000000000000000000000001')";
    world.stream_sql(&format!("{} {}", trace(other), row(1, 3))).await;
    assert_eq!(fields(&world.differing().await), ["transition.trace.id"]);
}
