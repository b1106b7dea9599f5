//! What the api asks: an order with one of its events, histories and lists in pages.

use chrono::{DateTime, TimeDelta, Utc};
use events::{EventId, OrderId, State};
use ports::{Commit, ListKey, LookedUp, Offset, OrderFilter, OrderStore, Partition};
use testkit::sample::{
    at, cancelled, captured, delivered, details_with, email, event, folded, lifecycle, order_id,
    placed, placed_with, text,
};

use super::batch::{batch, position, snapshot_row, step, stored};

/// One answer a question, in order, with the rows of that event alone.
pub async fn an_order_and_an_event_are_looked_up_together(store: &dyn OrderStore) {
    store.bind_partitions(1).await.unwrap();
    let [a, b, unknown] = [1, 2, 9].map(order_id);
    let events = [placed(a), placed(b), captured(a), captured(a), delivered(b), captured(a)];
    let commit = batch(0, 0, &events);
    store.commit(&commit).await.unwrap();
    let never = EventId::derived(a, "never");
    let questions = [
        (b, placed(b).id),
        (unknown, placed(a).id),
        (a, captured(a).id),
        (a, never),
        (b, captured(a).id),
        (a, captured(a).id),
    ];
    let snapshot =
        |order: OrderId| stored(commit.snapshots.iter().find(|row| row.order.id == order).unwrap());
    let found = |order, offsets: &[usize]| {
        let history = offsets.iter().map(|offset| commit.history[*offset].clone()).collect();
        Some(LookedUp { snapshot: snapshot(order), history })
    };
    let expected = [
        found(b, &[1]),
        None,
        found(a, &[2, 3, 5]),
        found(a, &[]),
        found(b, &[]),
        found(a, &[2, 3, 5]),
    ];
    assert_eq!(store.look_up(&questions).await.unwrap(), expected);
    assert_eq!(store.look_up(&[]).await.unwrap(), []);
}

/// The recorded row is the first, so it is always among those told; the history has them all, over many pages.
pub async fn of_many_repeats_the_first_are_told(store: &dyn OrderStore) {
    store.bind_partitions(1).await.unwrap();
    let order = order_id(1);
    let mut events = vec![placed(order)];
    events.extend(vec![captured(order); 2_500]);
    let commit = batch(0, 0, &events);
    store.commit(&commit).await.unwrap();
    let found = store.look_up(&[(order, captured(order).id)]).await.unwrap().remove(0).unwrap();
    assert_eq!(found.history, commit.history[1..=LookedUp::HISTORY_MAX]);
    assert_eq!(store.history(order).await.unwrap(), commit.history);
}

/// Thousands of questions are one answer.
pub async fn many_are_looked_up_at_once(store: &dyn OrderStore) {
    store.bind_partitions(1).await.unwrap();
    let orders: Vec<_> = (0..2_000).map(order_id).collect();
    let events: Vec<_> = orders.iter().map(|order| placed(*order)).collect();
    store.commit(&batch(0, 0, &events)).await.unwrap();
    let questions: Vec<_> = events.iter().map(|event| (event.order_id, event.id)).collect();
    let found = store.look_up(&questions).await.unwrap();
    assert_eq!(found.len(), questions.len());
    for ((order, event), found) in questions.iter().zip(found) {
        let found = found.unwrap();
        assert_eq!((found.snapshot.order_id, found.history[0].event_id), (*order, *event));
    }
}

/// Page after page, nothing twice, nothing left out, no one else's.
pub async fn a_history_comes_in_pages(store: &dyn OrderStore) {
    store.bind_partitions(1).await.unwrap();
    let mut events = vec![placed(order_id(2))];
    events.extend(lifecycle(order_id(1)));
    let commit = batch(0, 0, &events);
    store.commit(&commit).await.unwrap();
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = store.history_page(order_id(1), after, 4).await.unwrap();
        assert!(page.len() <= 4);
        let Some(last) = page.last() else { break };
        after = Some(last.position.offset);
        seen.extend(page);
    }
    assert_eq!(seen, commit.history[1..]);
    assert_eq!(store.history(order_id(1)).await.unwrap(), seen);
    assert_eq!(store.history_page(order_id(9), None, 4).await.unwrap(), []);
    let orders = [order_id(9), order_id(1), order_id(2)];
    let mut beginnings = store.histories(&orders, 4).await.unwrap();
    assert!(
        beginnings
            .iter()
            .filter(|row| row.order_id == order_id(1))
            .is_sorted_by_key(|row| row.position)
    );
    beginnings.sort_by_key(|row| row.position);
    assert_eq!(beginnings, commit.history[..5]);
    assert_eq!(store.histories(&[], 4).await.unwrap(), []);
}

/// By position; a record that is not folded, or a dead letter, has no row.
pub async fn a_record_is_found_where_it_stands(store: &dyn OrderStore) {
    store.bind_partitions(2).await.unwrap();
    let commit = batch(1, 0, &[placed(order_id(1)), captured(order_id(1))]);
    store.commit(&commit).await.unwrap();
    assert_eq!(store.record_at(position(1, 1)).await.unwrap().as_ref(), commit.history.get(1));
    assert_eq!(store.record_at(position(1, 2)).await.unwrap(), None);
    assert_eq!(store.record_at(position(0, 0)).await.unwrap(), None);
}

/// Orders of two regions, two customers and several states; three placed at the same instant.
async fn listed(store: &dyn OrderStore) -> Commit {
    store.bind_partitions(1).await.unwrap();
    let mut rows = Vec::new();
    for n in 0..30 {
        let id = order_id(n);
        let details = details_with(|draft| {
            draft.region = text(if n % 2 == 0 { "North" } else { "South" });
            draft.customer.email =
                email(if n % 3 == 0 { "ana@example.com" } else { "jo@example.org" });
        });
        let mut events = vec![placed_with(id, details)];
        if n % 5 == 0 {
            events.push(cancelled(id));
        }
        let mut order = folded(&events);
        order.placed_at = at(i64::try_from(n / 3).unwrap());
        rows.push(snapshot_row(&order, position(0, i64::try_from(n).unwrap())));
    }
    let commit = Commit { partitions: vec![step(0, 0, 30)], snapshots: rows, ..Commit::default() };
    store.commit(&commit).await.unwrap();
    commit
}

async fn pages(store: &dyn OrderStore, filter: &OrderFilter, size: usize) -> Vec<OrderId> {
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = store.list(filter, after, size).await.unwrap();
        assert!(page.len() <= size);
        let Some(last) = page.last() else { return seen };
        let order = codec::decode_snapshot(&last.bytes).unwrap();
        after = Some(ListKey { placed_at: order.placed_at, order_id: order.id });
        seen.extend(page.iter().map(|snapshot| snapshot.order_id));
    }
}

/// In an order that no change of an order disturbs.
pub async fn orders_are_listed_newest_first_in_pages(store: &dyn OrderStore) {
    let commit = listed(store).await;
    let mut expected: Vec<_> =
        commit.snapshots.iter().map(|row| (row.order.placed_at, row.order.id)).collect();
    expected.sort_unstable();
    let expected: Vec<_> = expected.into_iter().rev().map(|(_, id)| id).collect();
    // Pages that end between orders of the same instant, and on the last one.
    for size in [1, 4, 7, 30, 100] {
        assert_eq!(pages(store, &OrderFilter::default(), size).await, expected, "pages of {size}");
    }
    let found = store.list(&OrderFilter::default(), None, 1).await.unwrap();
    let newest = commit.snapshots.iter().find(|row| row.order.id == expected[0]).unwrap();
    assert_eq!(found, [stored(newest)]);
}

/// Every kind of filter, alone and together.
pub async fn a_list_has_what_matches_and_nothing_else(store: &dyn OrderStore) {
    type Matches = fn(&events::Order) -> bool;
    let commit = listed(store).await;
    let all = OrderFilter::default;
    let instant = |second| -> Option<DateTime<Utc>> { Some(at(second)) };
    let cases: [(OrderFilter, Matches); 8] = [
        (OrderFilter { states: vec![State::Cancelled], ..all() }, |o| o.state == State::Cancelled),
        (OrderFilter { states: vec![State::Cancelled, State::Placed], ..all() }, |_| true),
        (OrderFilter { states: vec![State::Refunded], ..all() }, |_| false),
        (OrderFilter { region: Some("North".to_owned()), ..all() }, |o| {
            o.details.region.as_str() == "North"
        }),
        (OrderFilter { region: Some("north".to_owned()), ..all() }, |_| false),
        (OrderFilter { customer_email: Some("ana@example.com".to_owned()), ..all() }, |o| {
            o.details.customer.email.as_str() == "ana@example.com"
        }),
        (OrderFilter { placed_from: instant(3), placed_until: instant(5), ..all() }, |o| {
            (at(3)..at(5)).contains(&o.placed_at)
        }),
        (
            OrderFilter {
                states: vec![State::Placed],
                region: Some("South".to_owned()),
                customer_email: Some("jo@example.org".to_owned()),
                placed_from: instant(1),
                placed_until: Some(at(9) + TimeDelta::microseconds(1)),
            },
            |o| {
                o.state == State::Placed
                    && o.details.region.as_str() == "South"
                    && o.details.customer.email.as_str() == "jo@example.org"
                    && (at(1)..=at(9)).contains(&o.placed_at)
            },
        ),
    ];
    for (filter, matches) in cases {
        let mut found = pages(store, &filter, 4).await;
        let orders = commit.snapshots.iter().map(|row| &row.order);
        let mut expected: Vec<_> =
            orders.filter(|order| matches(order)).map(|order| order.id).collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{filter:?}");
    }
}

/// A list is as good as its snapshots: they are the newest.
pub async fn a_list_shows_orders_as_they_are(store: &dyn OrderStore) {
    store.bind_partitions(1).await.unwrap();
    let order = order_id(1);
    store.commit(&batch(0, 0, &[placed(order)])).await.unwrap();
    let late = event(order, 9, events::EventBody::OrderCancelled { reason: None });
    let mut moved = super::batch::batch_after(&[placed(order)], 0, 1, &[late]);
    moved.partitions[0].announced = Offset(1);
    store.commit(&moved).await.unwrap();
    let found = store.list(&OrderFilter::default(), None, 10).await.unwrap();
    assert_eq!(found, [stored(&moved.snapshots[0])]);
    assert_eq!(found[0].position.partition, Partition(0));
}

/// Events carry nanoseconds, stores keep microseconds, cut off downwards in every century.
pub async fn a_list_tells_instants_apart_by_the_microsecond(store: &dyn OrderStore) {
    store.bind_partitions(1).await.unwrap();
    for (n, second) in [(0, -2_000_000_000), (1, 900_000_000), (2, 1_800_000_000)] {
        let instant = |nanos| DateTime::<Utc>::from_timestamp(second, nanos).unwrap();
        let from = n * 5;
        let rows = [1_999, 2_000, 2_001, 2_999, 3_000].into_iter().zip(from..).map(|(nanos, n)| {
            let mut order = folded(&[placed(order_id(n.try_into().unwrap()))]);
            order.placed_at = instant(nanos);
            snapshot_row(&order, position(0, n))
        });
        let snapshots: Vec<_> = rows.collect();
        let ids: Vec<_> = snapshots.iter().map(|row| row.order.id).collect();
        let partitions = vec![step(0, from, from + 5)];
        store.commit(&Commit { partitions, snapshots, ..Commit::default() }).await.unwrap();

        let mut at_once = ids[1..4].to_vec();
        at_once.sort_unstable_by(|one, other| other.cmp(one));
        let all = [&ids[4..], &at_once, &ids[..1]].concat();
        let listed = async |from, until| {
            let placed_from = Some(instant(from));
            let placed_until = Some(instant(until));
            // Pages of one begin behind each of them.
            pages(store, &OrderFilter { placed_from, placed_until, ..OrderFilter::default() }, 1)
                .await
        };
        assert_eq!(listed(1_000, 4_000).await, all, "{second}");
        assert_eq!(listed(2_999, 3_999).await, at_once, "{second}");
    }
}

/// They come from a caller, so they are no fault of the store.
pub async fn texts_that_no_order_can_hold_match_none(store: &dyn OrderStore) {
    listed(store).await;
    for text in ["", "North\0", "\0", "N%", "'", "\u{fffd}"] {
        let text = Some(text.to_owned());
        let by_region = OrderFilter { region: text.clone(), ..OrderFilter::default() };
        assert_eq!(store.list(&by_region, None, 10).await.unwrap(), []);
        let by_customer = OrderFilter { customer_email: text, ..OrderFilter::default() };
        assert_eq!(store.list(&by_customer, None, 10).await.unwrap(), []);
    }
}
