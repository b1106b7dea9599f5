//! Bytes that no one meant to be a message: refused or taken, never a panic, and never a value that breaks the rules.

use codec::{
    decode_event, decode_snapshot, decode_state_change, encode_event, encode_snapshot,
    encode_state_change,
};
use events::Event;
use proptest::{collection::vec, prelude::*, sample::Index};
use testkit::sample::{changes, folded, lifecycle, order_id};

/// What decodes is a value like any other: it encodes, and decodes to the same.
fn swallow(bytes: &[u8]) {
    if let Ok(event) = decode_event(bytes) {
        let again = decode_event(&encode_event(&event)).unwrap();
        // That of the bytes, and there are many encodings of one event.
        let digest = again.digest;
        assert_eq!(again, Event { digest, ..event });
    }
    if let Ok(order) = decode_snapshot(bytes) {
        assert!(order.refunded <= order.captured && order.captured <= order.details.total());
        assert_eq!(decode_snapshot(&encode_snapshot(&order)).unwrap(), order);
    }
    if let Ok(change) = decode_state_change(bytes) {
        assert_eq!(decode_state_change(&encode_state_change(&change)).unwrap(), change);
    }
}

/// A valid message of each type.
fn valid() -> Vec<Vec<u8>> {
    let events = lifecycle(order_id(1));
    let mut all: Vec<Vec<u8>> = events.iter().map(|event| encode_event(event).into()).collect();
    all.extend(changes(&events).iter().map(|change| Vec::from(encode_state_change(change))));
    all.push(encode_snapshot(&folded(&events)).into());
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn random_bytes(bytes in vec(any::<u8>(), 0..200)) {
        swallow(&bytes);
    }

    #[test]
    fn damaged_messages(
        which in any::<Index>(),
        damage in vec((any::<Index>(), any::<u8>()), 1..4),
        cut in option_of_index(),
    ) {
        let mut bytes = which.get(&valid()).clone();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        swallow(&bytes);
    }
}

fn option_of_index() -> impl Strategy<Value = Option<Index>> {
    proptest::option::of(any::<Index>())
}

/// Protobuf alone does not notice when the end of a message is missing.
#[test]
fn a_snapshot_that_was_cut_off_is_no_snapshot() {
    let order = folded(&lifecycle(order_id(1)));
    let bytes = encode_snapshot(&order);
    for length in 0..bytes.len() {
        assert!(decode_snapshot(&bytes[..length]).is_err(), "cut off after {length} bytes");
    }
}
