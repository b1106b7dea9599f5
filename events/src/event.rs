//! What can happen to an order.

use std::fmt;

use chrono::{DateTime, Utc};

use crate::{EventId, Money, OrderDetails, OrderId, Parcel, Pieces, Text, Version};

/// One immutable event of one order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Same id, same event.
    pub id: EventId,
    /// Whose event it is.
    pub order_id: OrderId,
    /// When it happened, UTC, as its reporter said.
    pub occurred_at: DateTime<Utc>,
    /// Who or what reported it.
    pub actor: Option<Text<100>>,
    /// If given, the event counts only if the order is at this version when its turn comes.
    pub expected_version: Option<Version>,
    /// Tells a repeat of this event from another event under the same id.
    pub fingerprint: Fingerprint,
    /// BLAKE3 over the record's value as logged: another field, another order of fields or another encoding shows.
    pub digest: Digest,
    /// What happened.
    pub body: EventBody,
}

/// A digest of an event's body, computed by whoever decoded or built it: equal bodies have equal fingerprints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// Wraps a digest.
    #[must_use]
    pub const fn new(digest: u64) -> Self {
        Self(digest)
    }

    /// The bare digest.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// 32 bytes of BLAKE3.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// What a chain starts from: 32 zero bytes.
    pub const ZERO: Self = Self([0; 32]);

    /// Wraps bytes that were a digest before.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest of some bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(blake3::hash(bytes).into())
    }

    /// The chain's next head: BLAKE3 over this head's bytes and then the link's. Whoever changes, leaves out, adds or
    /// moves a link changes every head after it.
    #[must_use]
    pub fn chain(self, link: Self) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.0);
        hasher.update(&link.0);
        Self(hasher.finalize().into())
    }

    /// The bare bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    /// In lower-case hex.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventBody {
    /// A customer ordered. Boxed: it is far larger than the rest.
    OrderPlaced(Box<OrderDetails>),
    /// Money came in.
    PaymentCaptured {
        /// How much.
        amount: Money,
        /// The provider's own id.
        reference: Option<Text<200>>,
    },
    /// The payment provider said no.
    PaymentDeclined {
        /// Why.
        reason: Option<Text<500>>,
    },
    /// Picking and packing began.
    PreparationStarted,
    /// The carrier has it, or a part of it.
    OrderShipped {
        /// The carrier's parcel.
        parcel: Parcel,
        /// What is in it; empty: all that was not shipped yet.
        pieces: Pieces,
    },
    /// The customer has it.
    OrderDelivered,
    /// The carrier could not hand it over.
    DeliveryFailed {
        /// Why.
        reason: Option<Text<500>>,
    },
    /// The return window closed, or a person closed the order.
    OrderCompleted,
    /// The order was called off.
    OrderCancelled {
        /// Why.
        reason: Option<Text<500>>,
    },
    /// The customer wants to send it back.
    ReturnRequested {
        /// Why.
        reason: Option<Text<500>>,
        /// What is to come back; empty: all that was shipped and is not asked back yet.
        pieces: Pieces,
    },
    /// It, or a part of it, came back.
    OrderReturned {
        /// What came back; empty: all that was to come back.
        pieces: Pieces,
    },
    /// Money went back.
    PaymentRefunded {
        /// How much.
        amount: Money,
        /// The provider's own id.
        reference: Option<Text<200>>,
        /// What the money is for; empty: nothing in particular.
        pieces: Pieces,
    },
}

/// The kind of an event, without what it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "documented at EventBody")]
pub enum EventKind {
    OrderPlaced,
    PaymentCaptured,
    PaymentDeclined,
    PreparationStarted,
    OrderShipped,
    OrderDelivered,
    DeliveryFailed,
    OrderCompleted,
    OrderCancelled,
    ReturnRequested,
    OrderReturned,
    PaymentRefunded,
}

impl EventBody {
    /// The body's kind.
    #[must_use]
    pub const fn kind(&self) -> EventKind {
        match self {
            Self::OrderPlaced(_) => EventKind::OrderPlaced,
            Self::PaymentCaptured { .. } => EventKind::PaymentCaptured,
            Self::PaymentDeclined { .. } => EventKind::PaymentDeclined,
            Self::PreparationStarted => EventKind::PreparationStarted,
            Self::OrderShipped { .. } => EventKind::OrderShipped,
            Self::OrderDelivered => EventKind::OrderDelivered,
            Self::DeliveryFailed { .. } => EventKind::DeliveryFailed,
            Self::OrderCompleted => EventKind::OrderCompleted,
            Self::OrderCancelled { .. } => EventKind::OrderCancelled,
            Self::ReturnRequested { .. } => EventKind::ReturnRequested,
            Self::OrderReturned { .. } => EventKind::OrderReturned,
            Self::PaymentRefunded { .. } => EventKind::PaymentRefunded,
        }
    }
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::OrderPlaced,
        Self::PaymentCaptured,
        Self::PaymentDeclined,
        Self::PreparationStarted,
        Self::OrderShipped,
        Self::OrderDelivered,
        Self::DeliveryFailed,
        Self::OrderCompleted,
        Self::OrderCancelled,
        Self::ReturnRequested,
        Self::OrderReturned,
        Self::PaymentRefunded,
    ];

    /// The name, the same in every store, topic and document.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OrderPlaced => "OrderPlaced",
            Self::PaymentCaptured => "PaymentCaptured",
            Self::PaymentDeclined => "PaymentDeclined",
            Self::PreparationStarted => "PreparationStarted",
            Self::OrderShipped => "OrderShipped",
            Self::OrderDelivered => "OrderDelivered",
            Self::DeliveryFailed => "DeliveryFailed",
            Self::OrderCompleted => "OrderCompleted",
            Self::OrderCancelled => "OrderCancelled",
            Self::ReturnRequested => "ReturnRequested",
            Self::OrderReturned => "OrderReturned",
            Self::PaymentRefunded => "PaymentRefunded",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether it happened out there whatever the ledger thinks of it. A fact that does not fit is an anomaly; a
    /// request that does not fit is merely refused.
    #[must_use]
    pub const fn is_fact(self) -> bool {
        match self {
            Self::PaymentCaptured
            | Self::PaymentDeclined
            | Self::PreparationStarted
            | Self::OrderShipped
            | Self::OrderDelivered
            | Self::DeliveryFailed
            | Self::OrderReturned
            | Self::PaymentRefunded => true,
            Self::OrderPlaced
            | Self::OrderCompleted
            | Self::OrderCancelled
            | Self::ReturnRequested => false,
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
