//! Cases for [`ports::SearchIndex`]: one document an order, never replaced by an older one.

mod finding;

use events::{OrderId, State};
use futures::future::join_all;
use ports::{IndexOutcome, OrderDocument, SearchIndex};
use testkit::sample::{details_with, folded, lifecycle, order_id, placed, placed_with, text};

pub use finding::*;

use IndexOutcome::{Indexed, Stale};

/// Makes a test of every case; `$with` hands each a fresh, prepared [`ports::SearchIndex`].
#[macro_export]
macro_rules! search_index {
    ($with:path) => {
        $crate::cases!(
            $with,
            search_index,
            [
                a_fresh_index_is_empty,
                what_is_indexed_is_seen_at_once,
                a_newer_version_replaces_an_older_one,
                versions_may_be_left_out,
                the_same_version_again_is_stale,
                an_older_version_is_stale,
                an_order_may_come_more_than_once,
                racing_writers_leave_the_newest,
                outcomes_come_in_the_order_of_documents,
                every_state_is_counted,
                a_document_may_lack_whatever_is_optional,
                any_text_is_indexed,
                the_largest_numbers_are_indexed,
                a_large_batch_goes_through,
                nothing_to_do_is_done,
                unknown_orders_are_left_out,
                preparing_again_keeps_everything,
                an_order_is_found_by_any_of_its_words,
                no_text_is_a_query_language,
                a_search_has_what_matches_its_filters,
                a_search_comes_in_pages_with_totals,
                a_hit_shows_the_order,
                documents_come_back_as_written,
                an_index_that_answers_says_so,
            ]
        );
    };
}

/// The n-th sample order in a state and version of the case's choice.
pub(crate) fn document(n: u64, version: u64, state: State) -> OrderDocument {
    let order = folded(&[placed(order_id(n))]);
    OrderDocument { version, state: state.name(), ..OrderDocument::from(&order) }
}

async fn upsert(index: &dyn SearchIndex, documents: &[OrderDocument]) -> Vec<IndexOutcome> {
    index.upsert(documents).await.unwrap()
}

pub(crate) async fn version(index: &dyn SearchIndex, n: u64) -> Option<u64> {
    index.versions(&[order_id(n)]).await.unwrap().remove(&order_id(n))
}

/// In the order of the states, states of no order left out.
pub(crate) async fn counts(index: &dyn SearchIndex) -> Vec<(State, u64)> {
    let mut counts = index.count_by_state().await.unwrap();
    counts.retain(|(_, count)| *count > 0);
    counts.sort_unstable();
    counts
}

/// And can be asked.
pub async fn a_fresh_index_is_empty(index: &dyn SearchIndex) {
    assert_eq!(counts(index).await, []);
    assert_eq!(version(index, 1).await, None);
}

/// By every way of asking.
pub async fn what_is_indexed_is_seen_at_once(index: &dyn SearchIndex) {
    for n in 1..=3 {
        assert_eq!(upsert(index, &[document(n, 1, State::Placed)]).await, [Indexed]);
        assert_eq!(version(index, n).await, Some(1));
        assert_eq!(counts(index).await, [(State::Placed, n)]);
    }
}

/// All of it, not some fields.
pub async fn a_newer_version_replaces_an_older_one(index: &dyn SearchIndex) {
    for (step, order) in (1..).zip(versions_of_a_life()) {
        assert_eq!(upsert(index, &[OrderDocument::from(&order)]).await, [Indexed]);
        assert_eq!(version(index, 1).await, Some(step));
        assert_eq!(counts(index).await, [(order.state, 1)]);
    }
}

fn versions_of_a_life() -> Vec<events::Order> {
    let events = lifecycle(order_id(1));
    (1..=events.len()).map(|count| folded(&events[..count])).collect()
}

/// As when an index starts in the middle of an order's life, or the newest of a batch alone is written.
pub async fn versions_may_be_left_out(index: &dyn SearchIndex) {
    assert_eq!(upsert(index, &[document(1, 7, State::Shipped)]).await, [Indexed]);
    assert_eq!(upsert(index, &[document(1, 40, State::Delivered)]).await, [Indexed]);
    assert_eq!(version(index, 1).await, Some(40));
}

/// And leaves what is there.
pub async fn the_same_version_again_is_stale(index: &dyn SearchIndex) {
    upsert(index, &[document(1, 3, State::Preparing)]).await;
    assert_eq!(upsert(index, &[document(1, 3, State::Cancelled)]).await, [Stale]);
    assert_eq!(counts(index).await, [(State::Preparing, 1)]);
}

/// Promise 6.
pub async fn an_older_version_is_stale(index: &dyn SearchIndex) {
    upsert(index, &[document(1, 4, State::Shipped)]).await;
    assert_eq!(upsert(index, &[document(1, 3, State::Preparing)]).await, [Stale]);
    assert_eq!(version(index, 1).await, Some(4));
    assert_eq!(counts(index).await, [(State::Shipped, 1)]);
}

/// Those that are there, field by field.
pub async fn documents_come_back_as_written(index: &dyn SearchIndex) {
    let documents = [document(1, 1, State::Placed), document(2, 5, State::Delivered)];
    upsert(index, &documents).await;
    let found = index.documents(&[order_id(2), order_id(9), order_id(1)]).await.unwrap();
    let expected = [1, 2].map(order_id).into_iter().zip(&documents);
    let expected = expected.map(|(id, document)| (id, serde_json::to_value(document).unwrap()));
    assert_eq!(found, expected.collect());
    assert!(index.documents(&[]).await.unwrap().is_empty());
}

/// In one call; its versions in any order.
pub async fn an_order_may_come_more_than_once(index: &dyn SearchIndex) {
    let documents = [
        document(1, 1, State::Placed),
        document(1, 3, State::Preparing),
        document(1, 2, State::Paid),
        document(1, 3, State::Cancelled),
    ];
    assert_eq!(upsert(index, &documents).await, [Indexed, Indexed, Stale, Stale]);
    assert_eq!(version(index, 1).await, Some(3));
    assert_eq!(counts(index).await, [(State::Preparing, 1)]);
}

/// Two search projectors may work on the same order for a while after a rebalance.
pub async fn racing_writers_leave_the_newest(index: &dyn SearchIndex) {
    let writers = (1..=16).map(|version| async move {
        let state = if version == 16 { State::Completed } else { State::Placed };
        index.upsert(&[document(1, version, state)]).await.unwrap()
    });
    let outcomes = join_all(writers).await;
    assert!(outcomes.iter().flatten().all(|outcome| matches!(outcome, Indexed | Stale)));
    assert_eq!(outcomes[15], [Indexed]);
    assert_eq!(version(index, 1).await, Some(16));
    assert_eq!(counts(index).await, [(State::Completed, 1)]);
}

/// One each.
pub async fn outcomes_come_in_the_order_of_documents(index: &dyn SearchIndex) {
    upsert(index, &[document(2, 5, State::Paid), document(4, 5, State::Paid)]).await;
    let documents: Vec<_> = (1..=5).map(|n| document(n, 5, State::Paid)).collect();
    assert_eq!(upsert(index, &documents).await, [Indexed, Stale, Indexed, Stale, Indexed]);
}

/// Under its own name.
pub async fn every_state_is_counted(index: &dyn SearchIndex) {
    let mut n = 0;
    let mut expected = Vec::new();
    for (count, state) in (1..).zip(State::ALL) {
        for _ in 0..count {
            n += 1;
            assert_eq!(upsert(index, &[document(n, 1, state)]).await, [Indexed]);
        }
        expected.push((state, count));
    }
    assert_eq!(counts(index).await, expected);
}

/// Absent is not an error, and becomes absent again.
pub async fn a_document_may_lack_whatever_is_optional(index: &dyn SearchIndex) {
    let mut full = document(1, 1, State::Shipped);
    full.cancel_reason = Some("changed my mind".to_owned());
    let bare = details_with(|draft| {
        draft.customer.name = None;
        draft.customer.locale = None;
        draft.payment.card_brand = None;
        draft.payment.bank = None;
        draft.labels.clear();
    });
    let order = folded(&[placed_with(order_id(1), bare)]);
    let bare = OrderDocument { version: 2, ..OrderDocument::from(&order) };
    assert_eq!(upsert(index, &[full, bare]).await, [Indexed, Indexed]);
}

/// Nothing that a customer can write is taken for a query, markup or the end of something.
pub async fn any_text_is_indexed(index: &dyn SearchIndex) {
    let odd = [
        "\"quoted\" AND (NOT *) OR ^ NEAR/2 -x:",
        "line\r\nbreaks\tand tabs",
        "{\"index\":{}}\n{\"a\":1}\n",
        "'; DROP TABLE orders; -- %00 \\u0000 \\",
        "Ñandú ß ﬁ 注文 🦤 \u{202e}right to left",
        "<script>alert('&')</script>",
    ];
    for (n, odd) in (1..).zip(odd) {
        let details = details_with(|draft| {
            draft.customer.name = Some(text(odd));
            draft.shipping_address = text(odd);
            draft.region = text(odd);
            draft.labels = [(text("note"), text(odd)), (text("a=b"), text("="))].into();
            for line in &mut draft.lines {
                line.sku = text(odd);
                line.name = text(odd);
            }
        });
        let order = folded(&[placed_with(order_id(n), details)]);
        let outcomes = upsert(index, &[OrderDocument::from(&order)]).await;
        assert_eq!(outcomes, [Indexed], "{odd:?}");
        assert_eq!(version(index, n).await, Some(1), "{odd:?}");
    }
}

/// No amount that the domain allows is too much.
pub async fn the_largest_numbers_are_indexed(index: &dyn SearchIndex) {
    let mut document = document(1, 1, State::Placed);
    document.total_minor = i64::MAX;
    document.captured_minor = i64::MAX;
    document.anomalies = u32::MAX;
    document.lines[0].quantity = u32::MAX;
    document.lines[0].unit_price_minor = i64::MAX;
    document.version = u64::from(u32::MAX) * 1_000;
    let written = document.version;
    assert_eq!(upsert(index, &[document]).await, [Indexed]);
    assert_eq!(version(index, 1).await, Some(written));
}

/// More than one request of an adapter may carry.
pub async fn a_large_batch_goes_through(index: &dyn SearchIndex) {
    const ORDERS: u64 = 3_000;
    let documents: Vec<_> = (0..ORDERS).map(|n| document(n, n + 1, State::Placed)).collect();
    assert_eq!(upsert(index, &documents).await, vec![Indexed; documents.len()]);
    let orders: Vec<OrderId> = (0..ORDERS).map(order_id).collect();
    let versions = index.versions(&orders).await.unwrap();
    let expected = orders.iter().copied().zip(1..).collect();
    assert_eq!(versions, expected);
    assert_eq!(counts(index).await, [(State::Placed, ORDERS)]);
}

/// An empty call is no error.
pub async fn nothing_to_do_is_done(index: &dyn SearchIndex) {
    assert_eq!(upsert(index, &[]).await, []);
    assert!(index.versions(&[]).await.unwrap().is_empty());
}

/// And an order that is asked for twice is answered once.
pub async fn unknown_orders_are_left_out(index: &dyn SearchIndex) {
    upsert(index, &[document(1, 2, State::Paid)]).await;
    let versions = index.versions(&[order_id(9), order_id(1), order_id(1)]).await.unwrap();
    assert_eq!(versions, [(order_id(1), 2)].into());
}

/// Every process prepares the index when it starts, also side by side.
pub async fn preparing_again_keeps_everything(index: &dyn SearchIndex) {
    upsert(index, &[document(1, 2, State::Paid)]).await;
    for prepared in join_all((0..4).map(|_| index.prepare())).await {
        prepared.unwrap();
    }
    assert_eq!(version(index, 1).await, Some(2));
    assert_eq!(upsert(index, &[document(1, 3, State::Preparing)]).await, [Indexed]);
    assert_eq!(counts(index).await, [(State::Preparing, 1)]);
}

/// `ping`.
pub async fn an_index_that_answers_says_so(index: &dyn SearchIndex) {
    index.ping().await.unwrap();
}
