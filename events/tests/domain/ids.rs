//! Ids: how they read, what they follow from.

use std::collections::BTreeSet;

use events::{EventId, OrderId, Version};
use proptest::prelude::*;
use uuid::Uuid;

#[test]
fn an_id_reads_as_the_uuid_it_is() {
    let uuid = "0192f0c1-89ab-7def-8123-456789abcdef";
    let id: OrderId = uuid.parse().unwrap();
    assert_eq!(id.to_string(), uuid);
    assert_eq!(id.as_uuid(), Uuid::parse_str(uuid).unwrap());
    assert_eq!(uuid.parse::<EventId>().unwrap().to_string(), uuid);
}

#[test]
fn what_is_no_uuid_is_no_id() {
    for text in [
        "",
        "7",
        "order-1",
        "0192f0c1-89ab-7def-8123-456789abcdeg",
        "0192f0c1-89ab-7def-8123-456789abcdef0",
    ] {
        assert!(text.parse::<OrderId>().is_err(), "{text}");
        assert!(text.parse::<EventId>().is_err(), "{text}");
    }
}

/// Other programs may have derived them too, and they stand in logs: these can never change.
/// RFC 9562 v5, computed with another library.
#[test]
fn derived_ids_never_change() {
    let order = OrderId::for_request("checkout-42");
    assert_eq!(order.to_string(), "7be942f1-ce6e-57c3-998f-e70434c00a81");
    assert_eq!(EventId::derived(order, "ship").to_string(), "02bb828a-69b9-529c-8e04-e7ad75b4e2aa");
}

#[test]
fn versions_count_from_one_and_never_wrap() {
    assert_eq!(Version::FIRST.get(), 1);
    assert_eq!(Version::FIRST.next(), Version::new(2));
    assert_eq!(Version::new(u64::MAX).next(), Version::new(u64::MAX));
    assert!(Version::new(9) < Version::new(10));
    assert_eq!(Version::new(10).to_string(), "10");
}

proptest! {
    #[test]
    fn ids_read_back(bits in any::<u128>()) {
        let id = OrderId::new(Uuid::from_u128(bits));
        prop_assert_eq!(id.to_string().parse(), Ok(id));
        let id = EventId::new(Uuid::from_u128(bits));
        prop_assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn derived_ids_follow_from_all_they_are_derived_from(
        keys in prop::collection::btree_set(".{0,20}", 1..8),
        causes in prop::collection::btree_set(".{0,20}", 1..8),
    ) {
        let orders: BTreeSet<_> = keys.iter().map(|key| OrderId::for_request(key)).collect();
        prop_assert_eq!(orders.len(), keys.len());
        let derive = || orders.iter().flat_map(|order| {
            causes.iter().map(|cause| EventId::derived(*order, cause))
        }).collect::<Vec<_>>();
        let events: BTreeSet<_> = derive().into_iter().collect();
        prop_assert_eq!(events.len(), orders.len() * causes.len());
        prop_assert_eq!(derive(), derive());
    }
}
