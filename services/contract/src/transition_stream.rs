//! Cases for [`ports::TransitionStream`]: appended once, never changed.

use futures::future::join_all;
use ports::{IndexOutcome, TraceFields, TransitionDocument, TransitionStream};
use serde_json::Value;
use testkit::sample::{lifecycle, order_id, transitions};

use IndexOutcome::{Indexed, Stale};

/// Makes a test of every case; `$with` hands each a fresh, prepared [`ports::TransitionStream`].
#[macro_export]
macro_rules! transition_stream {
    ($with:path) => {
        $crate::cases!(
            $with,
            transition_stream,
            [
                transitions_come_back_as_written,
                a_repeat_is_stale_and_changes_nothing,
                a_gap_is_filled,
                racing_writers_append_once,
                a_large_append_goes_through,
                nothing_to_append_is_done,
            ]
        );
    };
}

/// All of the n-th sample order.
fn of(n: u64) -> Vec<TransitionDocument> {
    transitions(&lifecycle(order_id(n)))
}

async fn append(
    stream: &dyn TransitionStream,
    transitions: &[TransitionDocument],
) -> Vec<IndexOutcome> {
    stream.append(transitions).await.unwrap()
}

async fn kept(stream: &dyn TransitionStream, n: u64) -> Vec<Value> {
    stream.transitions(order_id(n)).await.unwrap()
}

fn values(transitions: &[TransitionDocument]) -> Vec<Value> {
    transitions.iter().map(|transition| serde_json::to_value(transition).unwrap()).collect()
}

/// At once, by version, each order's own; with every field and with as few as can be.
pub async fn transitions_come_back_as_written(stream: &dyn TransitionStream) {
    assert_eq!(kept(stream, 1).await, Vec::<Value>::new());
    let (mut one, other) = (of(1), of(2));
    one[1].trace = Some(TraceFields { id: "a".repeat(32) });
    one[1].rejection = Some("StaleVersion");
    one[1].lag_seconds = Some(0.1);
    one[1].load_test_type = Some("soak".to_owned());
    one[2].actor = None;
    one[2].payment.bank = None;
    let mixed: Vec<_> = other.iter().chain(one.iter().rev()).cloned().collect();
    assert_eq!(append(stream, &mixed).await, vec![Indexed; mixed.len()]);
    assert_eq!(kept(stream, 1).await, values(&one));
    assert_eq!(kept(stream, 2).await, values(&other));
}

/// In one call or in two, whatever it says.
pub async fn a_repeat_is_stale_and_changes_nothing(stream: &dyn TransitionStream) {
    let transitions = of(1);
    let twice = [transitions[0].clone(), transitions[0].clone()];
    assert_eq!(append(stream, &twice).await, [Indexed, Stale]);
    let mut other = transitions[0].clone();
    other.region = "elsewhere".to_owned();
    assert_eq!(append(stream, &[other, transitions[1].clone()]).await, [Stale, Indexed]);
    assert_eq!(kept(stream, 1).await, values(&transitions[..2]));
}

/// As a rebuild does that finds some there.
pub async fn a_gap_is_filled(stream: &dyn TransitionStream) {
    let transitions = of(1);
    append(stream, &[transitions[4].clone(), transitions[1].clone()]).await;
    let outcomes = stream.append_missing(&transitions[..5]).await.unwrap();
    assert_eq!(outcomes, [Indexed, Stale, Indexed, Indexed, Stale]);
    assert_eq!(append(stream, &transitions[4..]).await, [Stale, Indexed]);
    assert_eq!(kept(stream, 1).await, values(&transitions));
}

/// Two search projectors may work on the same partition for a while after a rebalance.
pub async fn racing_writers_append_once(stream: &dyn TransitionStream) {
    let transitions = of(1);
    let writers = (0..8).map(|_| async { append(stream, &transitions).await });
    let outcomes: Vec<_> = join_all(writers).await.into_iter().flatten().collect();
    let appended = outcomes.iter().filter(|outcome| **outcome == Indexed).count();
    assert_eq!(appended, transitions.len());
    assert_eq!(kept(stream, 1).await, values(&transitions));
}

/// More than one request of an adapter may carry.
pub async fn a_large_append_goes_through(stream: &dyn TransitionStream) {
    let transitions: Vec<_> = (1..=500).flat_map(of).collect();
    assert_eq!(append(stream, &transitions).await, vec![Indexed; transitions.len()]);
    assert_eq!(kept(stream, 500).await, values(&of(500)));
}

/// An empty call is no error.
pub async fn nothing_to_append_is_done(stream: &dyn TransitionStream) {
    assert_eq!(append(stream, &[]).await, []);
}
