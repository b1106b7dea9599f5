//! Cases for [`ports::SearchGenerations`]: another index takes the place of the one in use, and no one who reads or writes
//! notices.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use events::{OrderId, State};
use futures::future::{join, join_all};
use ports::{
    IndexOutcome, NewIndex, OrderDocument, SearchError, SearchGenerations, SearchIndex, SearchQuery,
};
use testkit::sample::order_id;

use crate::search_index::{counts, document, version};

use IndexOutcome::{Indexed, Stale};

/// Makes a test of every case; `$with` hands each a fresh, prepared index that is [`ports::SearchIndex`] and
/// [`ports::SearchGenerations`].
#[macro_export]
macro_rules! search_generations {
    ($with:path) => {
        $crate::cases!(
            $with,
            search_generations,
            [
                one_is_built_beside_the_one_in_use,
                writes_move_before_reads,
                a_new_one_has_no_document_of_the_former,
                a_new_one_is_searched_like_the_former,
                no_order_goes_back,
                one_that_takes_writes_is_unfinished,
                an_unfinished_one_is_finished_by_another_process,
                an_unfinished_one_gives_way_to_a_new_one,
                what_an_earlier_attempt_left_is_removed,
                what_is_removed_stays_away,
                what_is_in_use_is_not_removed,
                every_step_may_be_taken_again,
                one_takes_the_place_of_another_again_and_again,
                whoever_reads_and_writes_goes_on,
            ]
        );
    };
}

async fn upsert<I: SearchIndex>(index: &I, n: u64, version: u64, state: State) -> IndexOutcome {
    index.upsert(&[document(n, version, state)]).await.unwrap().remove(0)
}

async fn fill(new: &dyn NewIndex, documents: &[OrderDocument]) -> Vec<IndexOutcome> {
    new.upsert(documents).await.unwrap()
}

async fn is_unfinished<I: SearchGenerations>(index: &I) -> bool {
    index.unfinished().await.unwrap().is_some()
}

/// Neither reads nor writes come to it.
pub async fn one_is_built_beside_the_one_in_use<I: SearchIndex + SearchGenerations>(index: &I) {
    upsert(index, 1, 2, State::Paid).await;
    let new = index.create().await.unwrap();
    let documents = [document(1, 9, State::Shipped), document(2, 9, State::Shipped)];
    assert_eq!(fill(new.as_ref(), &documents).await, [Indexed, Indexed]);
    assert_eq!(version(index, 1).await, Some(2));
    assert_eq!(version(index, 2).await, None);
    assert_eq!(counts(index).await, [(State::Paid, 1)]);
    assert_eq!(upsert(index, 1, 3, State::Preparing).await, Indexed);
    assert_eq!(fill(new.as_ref(), &documents).await, [Stale, Stale]);
    assert!(!is_unfinished(index).await);
}

/// A document that is written between the two steps is found after the second, and not before.
pub async fn writes_move_before_reads<I: SearchIndex + SearchGenerations>(index: &I) {
    upsert(index, 1, 1, State::Placed).await;
    let new = index.create().await.unwrap();
    fill(new.as_ref(), &[document(1, 1, State::Placed)]).await;
    new.take_writes().await.unwrap();
    assert_eq!(upsert(index, 1, 2, State::Paid).await, Indexed);
    assert_eq!(upsert(index, 2, 1, State::Placed).await, Indexed);
    assert_eq!(version(index, 1).await, Some(1));
    assert_eq!(counts(index).await, [(State::Placed, 1)]);
    new.take_reads().await.unwrap();
    // Also by a search that need not be fresh: what was found in the former is found here.
    assert_eq!(index.search(&SearchQuery::default(), None, 9).await.unwrap().total, 2);
    assert_eq!(version(index, 1).await, Some(2));
    assert_eq!(counts(index).await, [(State::Placed, 1), (State::Paid, 1)]);
    assert_eq!(upsert(index, 1, 3, State::Preparing).await, Indexed);
    assert_eq!(version(index, 1).await, Some(3));
}

/// Not the ones too many, nor the wrong ones.
pub async fn a_new_one_has_no_document_of_the_former<I>(index: &I)
where
    I: SearchIndex + SearchGenerations,
{
    upsert(index, 1, 70, State::Refunded).await;
    upsert(index, 2, 1, State::Placed).await;
    let new = index.create().await.unwrap();
    fill(new.as_ref(), &[document(1, 7, State::Shipped)]).await;
    new.take_writes().await.unwrap();
    new.take_reads().await.unwrap();
    assert_eq!(version(index, 1).await, Some(7));
    assert_eq!(version(index, 2).await, None);
    assert_eq!(counts(index).await, [(State::Shipped, 1)]);
}

/// By words and by filters, in pages.
pub async fn a_new_one_is_searched_like_the_former<I: SearchIndex + SearchGenerations>(index: &I) {
    let documents: Vec<_> = (1..=5).map(|n| document(n, n, State::Paid)).collect();
    index.upsert(&documents).await.unwrap();
    let query = SearchQuery {
        text: documents[0].customer.name.clone(),
        states: vec![State::Paid],
        fresh: true,
        ..SearchQuery::default()
    };
    let before = index.search(&query, None, 3).await.unwrap();
    assert_eq!((before.total, before.hits.len()), (5, 3));
    let new = index.create().await.unwrap();
    fill(new.as_ref(), &documents).await;
    new.take_writes().await.unwrap();
    new.take_reads().await.unwrap();
    let after = index.search(&query, None, 3).await.unwrap();
    assert_eq!(after, before);
    let last = index.search(&query, after.next, 3).await.unwrap();
    assert_eq!((last.hits.len(), last.next), (2, None));
    // What is written now replaces the words of before.
    let mut renamed = document(1, 9, State::Paid);
    renamed.words = "zebra".to_owned();
    index.upsert(&[renamed]).await.unwrap();
    assert_eq!(index.search(&query, None, 9).await.unwrap().total, 4);
    let zebra = SearchQuery { text: Some("Zebra".to_owned()), ..query };
    assert_eq!(index.search(&zebra, None, 9).await.unwrap().hits[0].order_id, order_id(1));
}

/// Promise 6 holds in the new one, whoever comes first: the one that fills it, or the one that writes all the time.
pub async fn no_order_goes_back<I: SearchIndex + SearchGenerations>(index: &I) {
    let new = index.create().await.unwrap();
    fill(new.as_ref(), &[document(1, 5, State::Shipped)]).await;
    new.take_writes().await.unwrap();
    assert_eq!(upsert(index, 1, 4, State::Paid).await, Stale);
    assert_eq!(upsert(index, 2, 5, State::Shipped).await, Indexed);
    assert_eq!(fill(new.as_ref(), &[document(2, 4, State::Paid)]).await, [Stale]);
    new.take_reads().await.unwrap();
    assert_eq!(fill(new.as_ref(), &[document(2, 5, State::Paid)]).await, [Stale]);
    assert_eq!(counts(index).await, [(State::Shipped, 2)]);
}

/// Until it is read as well.
pub async fn one_that_takes_writes_is_unfinished<I: SearchIndex + SearchGenerations>(index: &I) {
    assert!(!is_unfinished(index).await);
    let new = index.create().await.unwrap();
    assert!(!is_unfinished(index).await);
    new.take_writes().await.unwrap();
    assert!(is_unfinished(index).await);
    index.prepare().await.unwrap();
    assert!(is_unfinished(index).await, "a process that starts leaves it as it is");
    new.take_reads().await.unwrap();
    assert!(!is_unfinished(index).await);
}

/// It has what it had, and what came since.
pub async fn an_unfinished_one_is_finished_by_another_process<I>(index: &I)
where
    I: SearchIndex + SearchGenerations,
{
    let new = index.create().await.unwrap();
    fill(new.as_ref(), &[document(1, 1, State::Placed)]).await;
    new.take_writes().await.unwrap();
    drop(new);
    upsert(index, 2, 2, State::Paid).await;
    let found = index.unfinished().await.unwrap().unwrap();
    assert_eq!(fill(found.as_ref(), &[document(3, 1, State::Placed)]).await, [Indexed]);
    found.take_writes().await.unwrap();
    found.take_reads().await.unwrap();
    assert_eq!(counts(index).await, [(State::Placed, 2), (State::Paid, 1)]);
}

/// Reads never come from it, and it is gone when they come from the new one.
pub async fn an_unfinished_one_gives_way_to_a_new_one<I>(index: &I)
where
    I: SearchIndex + SearchGenerations,
{
    upsert(index, 1, 1, State::Placed).await;
    let half = index.create().await.unwrap();
    half.take_writes().await.unwrap();
    let new = index.create().await.unwrap();
    upsert(index, 2, 1, State::Placed).await;
    assert_eq!(fill(half.as_ref(), &[document(2, 1, State::Placed)]).await, [Stale], "still there");
    fill(new.as_ref(), &[document(1, 2, State::Paid), document(2, 2, State::Paid)]).await;
    new.take_writes().await.unwrap();
    assert_eq!(upsert(index, 3, 1, State::Shipped).await, Indexed);
    assert_eq!(counts(index).await, [(State::Placed, 1)]);
    new.take_reads().await.unwrap();
    assert_eq!(counts(index).await, [(State::Paid, 2), (State::Shipped, 1)]);
    let gone = half.upsert(&[document(9, 1, State::Placed)]).await;
    assert!(matches!(gone, Err(SearchError::Unfit(_))), "{gone:?}");
}

/// And whoever still believes in it can do no harm.
pub async fn what_an_earlier_attempt_left_is_removed<I>(index: &I)
where
    I: SearchIndex + SearchGenerations,
{
    upsert(index, 1, 1, State::Placed).await;
    let left = index.create().await.unwrap();
    fill(left.as_ref(), &[document(7, 1, State::Placed)]).await;
    let new = index.create().await.unwrap();
    fill(new.as_ref(), &[document(1, 1, State::Placed)]).await;
    let gone = left.upsert(&[document(8, 1, State::Placed)]).await;
    assert!(matches!(gone, Err(SearchError::Unfit(_))), "{gone:?}");
    left.take_writes().await.unwrap_err();
    left.take_reads().await.unwrap_err();
    new.take_writes().await.unwrap();
    new.take_reads().await.unwrap();
    assert_eq!(counts(index).await, [(State::Placed, 1)]);
    assert_eq!(version(index, 1).await, Some(1));
}

/// The one in use is as it was.
pub async fn what_is_removed_stays_away<I: SearchIndex + SearchGenerations>(index: &I) {
    upsert(index, 1, 1, State::Placed).await;
    let new = index.create().await.unwrap();
    fill(new.as_ref(), &[document(7, 1, State::Placed)]).await;
    new.remove().await.unwrap();
    new.remove().await.unwrap();
    let gone = new.upsert(&[document(8, 1, State::Placed)]).await;
    assert!(matches!(gone, Err(SearchError::Unfit(_))), "{gone:?}");
    new.take_writes().await.unwrap_err();
    assert!(!is_unfinished(index).await);
    assert_eq!(upsert(index, 1, 2, State::Paid).await, Indexed);
    assert_eq!(counts(index).await, [(State::Paid, 1)]);
}

/// Not even by whoever made it.
pub async fn what_is_in_use_is_not_removed<I: SearchIndex + SearchGenerations>(index: &I) {
    let new = index.create().await.unwrap();
    fill(new.as_ref(), &[document(1, 1, State::Placed)]).await;
    new.take_writes().await.unwrap();
    new.remove().await.unwrap();
    assert_eq!(upsert(index, 2, 1, State::Placed).await, Indexed);
    new.take_reads().await.unwrap();
    new.remove().await.unwrap();
    assert_eq!(counts(index).await, [(State::Placed, 2)]);
}

/// As whoever was interrupted and does not know how far it came does.
pub async fn every_step_may_be_taken_again<I: SearchIndex + SearchGenerations>(index: &I) {
    upsert(index, 9, 1, State::Placed).await;
    let new = index.create().await.unwrap();
    fill(new.as_ref(), &[document(1, 1, State::Placed)]).await;
    for _ in 0..2 {
        new.take_writes().await.unwrap();
    }
    for n in 2..4 {
        new.take_reads().await.unwrap();
        assert_eq!(upsert(index, n, 1, State::Placed).await, Indexed);
        new.take_writes().await.unwrap();
        assert_eq!(counts(index).await, [(State::Placed, n)]);
    }
    // The first step may be left out.
    let new = index.create().await.unwrap();
    fill(new.as_ref(), &[document(1, 1, State::Placed)]).await;
    new.take_reads().await.unwrap();
    upsert(index, 2, 1, State::Placed).await;
    assert_eq!(counts(index).await, [(State::Placed, 2)]);
}

/// Whatever an index is called, there is always another name.
pub async fn one_takes_the_place_of_another_again_and_again<I>(index: &I)
where
    I: SearchIndex + SearchGenerations,
{
    for round in 1..=4 {
        let new = index.create().await.unwrap();
        let documents: Vec<_> = (1..=round).map(|n| document(n, round, State::Paid)).collect();
        fill(new.as_ref(), &documents).await;
        new.take_writes().await.unwrap();
        new.take_reads().await.unwrap();
        assert_eq!(counts(index).await, [(State::Paid, round)]);
        let query = SearchQuery { fresh: true, ..SearchQuery::default() };
        assert_eq!(index.search(&query, None, 10).await.unwrap().total, round);
        assert_eq!(upsert(index, 1, round, State::Placed).await, Stale);
    }
}

/// Orders of the case below.
const ORDERS: u64 = 20;

/// Orders move all the while; each is stored before it is written to the index, as the search role does, and a new index is
/// filled from what is stored. Writes do not fail, no reader sees an order go back, nothing is lost.
pub async fn whoever_reads_and_writes_goes_on<I: SearchIndex + SearchGenerations>(index: &I) {
    let stored: Mutex<BTreeMap<u64, u64>> = Mutex::default();
    let done = AtomicBool::new(false);
    let write = |writer: u64| {
        let (stored, done) = (&stored, &done);
        async move {
            let mut version = 0;
            while !done.load(Ordering::Relaxed) {
                version += 1;
                let mine: Vec<_> = (1..=ORDERS).filter(|n| n % 2 == writer).collect();
                stored.lock().unwrap().extend(mine.iter().map(|n| (*n, version)));
                let mine: Vec<_> =
                    mine.iter().map(|n| document(*n, version, State::Paid)).collect();
                index.upsert(&mine).await.unwrap();
            }
        }
    };
    let read = async {
        let ids: Vec<OrderId> = (1..=ORDERS).map(order_id).collect();
        let (mut seen, mut found_at) = (BTreeMap::new(), BTreeMap::new());
        while !done.load(Ordering::Relaxed) {
            let versions = index.versions(&ids).await.unwrap();
            assert!(versions.len() >= seen.len(), "{seen:?} became {versions:?}");
            for (order, version) in versions {
                let before = seen.insert(order, version).unwrap_or(0);
                assert!(before <= version, "{order} went from {before} back to {version}");
            }
            let found = index.search(&SearchQuery::default(), None, 100).await.unwrap();
            for hit in found.hits {
                let before = found_at.insert(hit.order_id, hit.version).unwrap_or(0);
                assert!(before <= hit.version, "{hit:?} was found at {before}");
            }
            index.count_by_state().await.unwrap();
        }
    };
    let replace = async {
        for _ in 0..5 {
            let new = index.create().await.unwrap();
            fill_from(&stored, new.as_ref()).await;
            new.take_writes().await.unwrap();
            fill_from(&stored, new.as_ref()).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            new.take_reads().await.unwrap();
        }
        done.store(true, Ordering::Relaxed);
    };
    join(join_all([write(0), write(1)]), join(read, replace)).await;
    let ids: Vec<OrderId> = (1..=ORDERS).map(order_id).collect();
    let versions = index.versions(&ids).await.unwrap();
    let stored = stored.into_inner().unwrap();
    assert_eq!(versions, stored.into_iter().map(|(n, version)| (order_id(n), version)).collect());
}

async fn fill_from(stored: &Mutex<BTreeMap<u64, u64>>, new: &dyn NewIndex) {
    let stored: Vec<_> = stored.lock().unwrap().iter().map(|(n, v)| (*n, *v)).collect();
    let documents: Vec<_> = stored.iter().map(|(n, v)| document(*n, *v, State::Paid)).collect();
    fill(new, &documents).await;
}
