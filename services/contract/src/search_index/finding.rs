//! What can be found, and by what.

use chrono::{DateTime, TimeDelta, Utc};
use events::{EventBody, Order, State};
use ports::{
    Concealing, CustomerKey, Customers, Found, OrderDocument, OrderHit, SearchIndex, SearchQuery,
};
use testkit::sample::{at, details_with, email, event, folded, order_id, placed_with, text};

use super::upsert;

fn asking(text: &str) -> SearchQuery {
    SearchQuery { text: Some(text.to_owned()), fresh: true, ..SearchQuery::default() }
}

fn all() -> SearchQuery {
    SearchQuery { fresh: true, ..SearchQuery::default() }
}

/// Which of the sample orders are found, in the order of the answer; totals are checked on the way.
async fn found(index: &dyn SearchIndex, query: &SearchQuery) -> Vec<u64> {
    let found = index.search(query, None, 1_000).await.unwrap();
    assert_eq!(found.next, None);
    assert_eq!(found.total, u64::try_from(found.hits.len()).unwrap(), "{query:?}");
    assert_eq!(found.by_state.iter().map(|(_, count)| count).sum::<u64>(), found.total);
    let number = |hit: &OrderHit| (0..100).find(|n| order_id(*n) == hit.order_id).unwrap();
    found.hits.iter().map(number).collect()
}

/// The n-th order, all its texts its own.
fn order(n: u64) -> Order {
    let details = details_with(|draft| {
        draft.customer.email = email(&format!("customer{n}@shop{n}.example"));
        draft.customer.name = Some(text(&format!("José Nombre{n}")));
        draft.shipping_address = text(&format!("Calle {n}00x\nÑuñoa"));
        draft.region = text(&format!("Región{n}"));
        draft.payment.gateway = text(&format!("Gateway{n}"));
        draft.payment.card_brand = Some(text(&format!("Brand{n}")));
        draft.payment.bank = Some(text(&format!("Banco{n}")));
        draft.lines[0].sku = text(&format!("SKU-A{n}"));
        draft.lines[1].name = text(&format!("Tetera Azul{n}"));
        draft.labels = [(text("campaign"), text(&format!("black-friday{n}")))].into();
    });
    folded(&[placed_with(order_id(n), details)])
}

async fn index_of(index: &dyn SearchIndex, orders: &[Order]) {
    let documents: Vec<_> = orders.iter().map(OrderDocument::from).collect();
    upsert(index, &documents).await;
}

/// Names, numbers, addresses, whatever a person has at hand; in any case, with or without accents.
pub async fn an_order_is_found_by_any_of_its_words(index: &dyn SearchIndex) {
    let mut cancelled = order(2);
    let reason = Some(text("ya no lo quiero2"));
    cancelled =
        events::fold(Some(cancelled), &event(order_id(2), 5, EventBody::OrderCancelled { reason }))
            .order
            .unwrap();
    index_of(index, &[order(1), cancelled, order(3)]).await;
    for words in [
        "customer2@shop2.example",
        "CUSTOMER2",
        "jose nombre2",
        "José NOMBRE2",
        "200x",
        "nunoa 200x",
        "región2",
        "region2",
        "gateway2",
        "brand2",
        "banco2",
        "sku-a2",
        "A2",
        "azul2 tetera",
        "campaign black-friday2",
        "quiero2",
    ] {
        assert_eq!(found(index, &asking(words)).await, [2], "{words:?}");
    }
    let id = order_id(2).to_string();
    assert_eq!(found(index, &asking(&id)).await, [2]);
    assert_eq!(found(index, &asking("tetera")).await.len(), 3);
    for words in ["nombre1 nombre2", "nombre", "ombre2", "nothing"] {
        assert_eq!(found(index, &asking(words)).await, [0; 0], "{words:?}");
    }
}

/// What a person types is words and nothing else.
pub async fn no_text_is_a_query_language(index: &dyn SearchIndex) {
    index_of(index, &[order(1), order(2)]).await;
    for text in [
        "nombre1 OR nombre2",
        "nombre1 AND tetera)",
        "NOT nombre1",
        "nombre1 NEAR nombre2",
        "id:*",
        "text:nombre1",
    ] {
        assert_eq!(found(index, &asking(text)).await, [0; 0], "{text:?}");
    }
    for text in
        ["\"nombre1", "nombre1*", "(nombre1", "nombre1^2 ", "-nombre1 +tetera", "{nombre1}:\\"]
    {
        let hits = found(index, &asking(text)).await;
        let expected: &[u64] = if text.contains("^2") { &[] } else { &[1] };
        assert_eq!(hits, expected, "{text:?}");
    }
    for nothing in ["", "  ", "* \" (", "\u{1F9A4}"] {
        assert_eq!(found(index, &asking(nothing)).await.len(), 2, "{nothing:?} asks for nothing");
    }
}

/// Alone and together, with and without words.
pub async fn a_search_has_what_matches_its_filters(index: &dyn SearchIndex) {
    let mut orders: Vec<_> = (1..=4).map(order).collect();
    for (order, second) in orders.iter_mut().zip([10, 20, 30, 40]) {
        order.placed_at = at(second);
    }
    orders[3].state = State::Shipped;
    index_of(index, &orders).await;
    let instant = |second| -> Option<DateTime<Utc>> { Some(at(second)) };
    let some = |text: &str| Some(text.to_owned());
    for (query, expected) in [
        (all(), &[4, 3, 2, 1][..]),
        (SearchQuery { states: vec![State::Shipped], ..all() }, &[4]),
        (SearchQuery { states: vec![State::Shipped, State::Placed], ..all() }, &[4, 3, 2, 1]),
        (SearchQuery { states: vec![State::Refunded], ..all() }, &[]),
        (SearchQuery { region: some("Región2"), ..all() }, &[2]),
        (SearchQuery { region: some("region2"), ..all() }, &[]),
        (SearchQuery { customer_email: some("Customer3@SHOP3.example"), ..all() }, &[3]),
        (SearchQuery { payment_gateway: some("Gateway1"), ..all() }, &[1]),
        (SearchQuery { placed_from: instant(20), placed_until: instant(40), ..all() }, &[3, 2]),
        (SearchQuery { states: vec![State::Placed], ..asking("tetera azul2") }, &[2]),
        (SearchQuery { states: vec![State::Shipped], ..asking("tetera azul2") }, &[]),
    ] {
        assert_eq!(found(index, &query).await, expected, "{query:?}");
    }
}

/// Page after page; orders of the same instant are not lost between them, and the totals are of all pages.
pub async fn a_search_comes_in_pages_with_totals(index: &dyn SearchIndex) {
    let mut orders: Vec<_> = (0..25).map(order).collect();
    for (n, order) in (0..).zip(&mut orders) {
        order.placed_at = at(n / 10);
        if n % 5 == 0 {
            order.state = State::Cancelled;
        }
    }
    index_of(index, &orders).await;
    let mut expected: Vec<_> = orders.iter().map(|order| (order.placed_at, order.id)).collect();
    expected.sort_unstable();
    for size in [1, 4, 25, 100] {
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let Found { hits, next, total, by_state } =
                index.search(&asking("tetera"), after, size).await.unwrap();
            assert_eq!(total, 25);
            assert_eq!(by_state, [(State::Placed, 20), (State::Cancelled, 5)]);
            assert!(hits.len() <= size);
            seen.extend(hits.iter().map(|hit| (hit.placed_at, hit.order_id)));
            after = next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, expected.iter().rev().copied().collect::<Vec<_>>(), "pages of {size}");
    }
}

/// As the newest document says.
pub async fn a_hit_shows_the_order(index: &dyn SearchIndex) {
    let mut order = order(7);
    index_of(index, std::slice::from_ref(&order)).await;
    order.state = State::Cancelled;
    order.version = order.version.next();
    order.updated_at += TimeDelta::microseconds(1);
    order.cancel_reason = Some(text("tarde"));
    index_of(index, std::slice::from_ref(&order)).await;
    let found = index.search(&asking("tarde"), None, 10).await.unwrap();
    let details = &order.details;
    let expected = OrderHit {
        order_id: order.id,
        version: 2,
        state: State::Cancelled,
        currency: details.currency().code().to_owned(),
        total_minor: details.total().get(),
        region: details.region.to_string(),
        customer_email: details.customer.email.to_string(),
        placed_at: order.placed_at,
        updated_at: order.updated_at,
    };
    assert_eq!(found.hits, [expected]);
    assert_eq!(found.by_state, [(State::Cancelled, 1)]);
}

/// For an adapter's own test, as the index must be its own: customers of `index` are then kept as hashes.
pub async fn hashed_customers_are_found_and_not_told<I: SearchIndex>(index: I) {
    let index = Concealing::new(index, Customers::Hashed(CustomerKey::new("a secret of the test")));
    let document = OrderDocument::from(&order(1));
    let plain = [document.clone(), OrderDocument::from(&order(2))];
    upsert(&index, &plain).await;
    let of = |email: &str| SearchQuery { customer_email: Some(email.to_owned()), ..all() };
    assert_eq!(found(&index, &of("customer1@shop1.example")).await, [1]);
    assert_eq!(found(&index, &of("CUSTOMER1@Shop1.example")).await, [1]);
    assert_eq!(found(&index, &of("customer3@shop1.example")).await, [0; 0]);
    for told in ["customer1", "shop1", "nombre1", "customer1@shop1.example"] {
        assert_eq!(found(&index, &asking(told)).await, [0; 0], "{told}");
    }
    assert_eq!(found(&index, &asking("calle 100x gateway1")).await, [1]);

    let kept = index.documents(&[order_id(1)]).await.unwrap().remove(&order_id(1)).unwrap();
    let text = kept.to_string();
    for told in ["customer1", "shop1", "ombre1", "José"] {
        assert!(!text.contains(told), "{told} in {text}");
    }
    assert_eq!(kept, serde_json::to_value(index.as_kept(document)).unwrap());
}
