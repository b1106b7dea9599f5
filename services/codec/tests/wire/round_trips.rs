//! What is encoded is decoded to the same; equal values give equal bytes.

use codec::{
    decode_details, decode_event, decode_snapshot, decode_state_change, encode_details,
    encode_event, encode_snapshot, encode_state_change,
};
use events::Event;
use proptest::prelude::*;

use crate::given;

proptest! {
    #[test]
    fn details(details in given::details()) {
        prop_assert_eq!(decode_details(&encode_details(&details)), Ok(details));
    }

    #[test]
    fn events(event in given::event()) {
        let bytes = encode_event(&event);
        let decoded = decode_event(&bytes).unwrap();
        prop_assert_eq!(&decoded, &event);
        prop_assert_eq!(encode_event(&decoded), bytes);
    }

    #[test]
    fn snapshots(order in given::order()) {
        let bytes = encode_snapshot(&order);
        let decoded = decode_snapshot(&bytes).unwrap();
        prop_assert_eq!(&decoded, &order);
        prop_assert_eq!(encode_snapshot(&decoded), bytes);
    }

    #[test]
    fn state_changes(change in given::state_change()) {
        let bytes = encode_state_change(&change);
        let decoded = decode_state_change(&bytes).unwrap();
        prop_assert_eq!(&decoded, &change);
        prop_assert_eq!(encode_state_change(&decoded), bytes);
    }

    /// It is of what happened alone: neither of who said so, nor of when, nor of the ids.
    #[test]
    fn fingerprints_tell_bodies_apart(one in given::event(), other in given::event()) {
        let told_again = codec::new_event(
            other.id, other.order_id, other.occurred_at, other.actor.clone(), other.expected_version,
            one.body.clone(),
        );
        prop_assert_eq!(told_again.fingerprint, one.fingerprint);
        let Event { body, fingerprint, .. } = other;
        prop_assert_eq!(body == one.body, fingerprint == one.fingerprint);
    }
}
