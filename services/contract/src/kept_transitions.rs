//! Cases for [`ports::KeptTransitions`]: whoever compares finds what was appended, and all of it.

use std::{collections::BTreeSet, time::SystemTime};

use chrono::{DateTime, Utc};
use events::OrderId;
use ports::{KeptTransitions, TransitionDocument, TransitionKey, TransitionStream};
use serde_json::Value;
use testkit::sample::{lifecycle, order_id, transitions};

/// Makes a test of every case; `$with` hands each a fresh, prepared stream that is [`ports::TransitionStream`] and
/// [`ports::KeptTransitions`].
#[macro_export]
macro_rules! kept_transitions {
    ($with:path) => {
        $crate::cases!(
            $with,
            kept_transitions,
            [
                an_empty_stream_has_nothing,
                they_are_found_as_written,
                many_are_found_at_once,
                a_scan_goes_through_all,
                it_is_whole_since_it_was_made,
            ]
        );
    };
}

/// Every transition of these sample orders, appended.
async fn appended(
    stream: &impl TransitionStream,
    orders: impl Iterator<Item = u64>,
) -> Vec<TransitionDocument> {
    let all: Vec<_> = orders.flat_map(|n| transitions(&lifecycle(order_id(n)))).collect();
    stream.append(&all).await.unwrap();
    all
}

fn key(transition: &TransitionDocument) -> TransitionKey {
    TransitionKey::of_id(&transition.id()).unwrap()
}

async fn found(
    stream: &impl KeptTransitions,
    keys: &[TransitionKey],
) -> Vec<(TransitionKey, Value)> {
    let mut found = stream.find(keys).await.unwrap();
    found.sort_by_key(|(key, _)| *key);
    found
}

async fn scanned(stream: &impl KeptTransitions) -> Vec<String> {
    let mut scan = stream.scan().await.unwrap();
    let mut ids = Vec::new();
    loop {
        let page = scan.next().await.unwrap();
        if page.is_empty() {
            break;
        }
        ids.extend(page);
    }
    assert_eq!(scan.next().await.unwrap(), Vec::<String>::new(), "it stays at its end");
    ids.sort_unstable();
    ids
}

/// Neither by key nor by a scan; and whoever asks for nothing gets nothing.
pub async fn an_empty_stream_has_nothing<S: TransitionStream + KeptTransitions>(stream: &S) {
    stream.refresh().await.unwrap();
    let unknown = TransitionKey { order_id: order_id(1), version: 1 };
    assert_eq!(found(stream, &[unknown]).await, []);
    assert_eq!(scanned(stream).await, Vec::<String>::new());
    appended(stream, 1..2).await;
    stream.refresh().await.unwrap();
    assert_eq!(found(stream, &[]).await, []);
}

/// Those that are asked for, whole, and no other.
pub async fn they_are_found_as_written<S: TransitionStream + KeptTransitions>(stream: &S) {
    let all = appended(stream, 1..4).await;
    stream.refresh().await.unwrap();
    let wanted: Vec<_> = all.iter().step_by(4).collect();
    let mut keys: Vec<_> = wanted.iter().map(|transition| key(transition)).collect();
    let unknown = |order_id: OrderId, version| TransitionKey { order_id, version };
    keys.extend([unknown(order_id(1), 7), unknown(order_id(9), 1)]);
    let mut expected: Vec<_> = wanted
        .into_iter()
        .map(|transition| (key(transition), serde_json::to_value(transition).unwrap()))
        .collect();
    expected.sort_by_key(|(key, _)| *key);
    assert_eq!(found(stream, &keys).await, expected);
}

/// More than one request of an adapter may ask for.
pub async fn many_are_found_at_once<S: TransitionStream + KeptTransitions>(stream: &S) {
    let all = appended(stream, 0..600).await;
    stream.refresh().await.unwrap();
    let mut keys: Vec<_> = all.iter().map(key).collect();
    keys.sort_unstable();
    let found: Vec<_> = found(stream, &keys).await.into_iter().map(|(key, _)| key).collect();
    assert_eq!(found, keys);
}

/// Each id once, over more than one page.
pub async fn a_scan_goes_through_all<S: TransitionStream + KeptTransitions>(stream: &S) {
    let mut ids = BTreeSet::new();
    for from in (0..3_600).step_by(600) {
        let some = appended(stream, from..from + 600).await;
        ids.extend(some.iter().map(TransitionDocument::id));
    }
    stream.refresh().await.unwrap();
    assert_eq!(scanned(stream).await, ids.into_iter().collect::<Vec<_>>());
}

/// Which is not long ago, and stays so whatever is appended.
pub async fn it_is_whole_since_it_was_made<S: TransitionStream + KeptTransitions>(stream: &S) {
    let since = stream.whole_since().await.unwrap();
    #[expect(clippy::disallowed_methods, reason = "compared with what a server says of itself")]
    let age = DateTime::<Utc>::from(SystemTime::now()) - since;
    assert!((0..300).contains(&age.num_seconds()), "it was made {age} ago");
    appended(stream, 1..2).await;
    assert_eq!(stream.whole_since().await.unwrap(), since);
}
