//! Typed identifiers.

use std::{fmt, str::FromStr};

use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID.
            #[must_use]
            pub const fn new(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The bare UUID.
            #[must_use]
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(s: &str) -> Result<Self, Self::Err> {
                Uuid::from_str(s).map(Self)
            }
        }
    };
}

uuid_id! {
    /// Names one order, and with it the stream of its events.
    OrderId
}

uuid_id! {
    /// Names one event. Two events with the same id are the same event, or one of them is refused.
    EventId
}

impl OrderId {
    /// The id of the order that a request with this idempotency key places: the same key gives the same order.
    #[must_use]
    pub fn for_request(request_id: &str) -> Self {
        const NAMESPACE: Uuid = Uuid::from_u128(0x6b1f_5c0e_93f4_4d0c_a6f5_1d3b_57c5_0c11);
        Self(Uuid::new_v5(&NAMESPACE, request_id.as_bytes()))
    }
}

impl EventId {
    /// The id of the event that `cause` (an idempotency key, a timer's name) brings about on `order`: UUID v5, so
    /// whoever derives it again, on any machine and at any time, gets the same.
    #[must_use]
    pub fn derived(order: OrderId, cause: &str) -> Self {
        Self(Uuid::new_v5(&order.0, cause.as_bytes()))
    }
}

/// How many events of an order were recorded, applied or rejected: 1 after `OrderPlaced`, without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(u64);

impl Version {
    /// The version after `OrderPlaced`.
    pub const FIRST: Self = Self(1);

    /// Wraps a stored version.
    #[must_use]
    pub const fn new(version: u64) -> Self {
        Self(version)
    }

    /// The version after one more recorded event.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The bare number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
