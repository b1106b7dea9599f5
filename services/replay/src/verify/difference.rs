//! What differs, told field by field.

use std::fmt;

use events::{Order, OrderId};
use ports::{Partition, Position, StoredSnapshot};

use super::held::Held;

/// One thing that is stored otherwise than the log says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Whose it is, if it is an order's.
    pub order_id: Option<OrderId>,
    /// The record it is about, if it is about one.
    pub position: Option<Position>,
    /// What: `snapshot`, a field of it (`snapshot.state`), a field of a record's row (`row.version`), `dead_letter` or a
    /// field of it, `document`, `transition` or a field of it (`transition.to`), `checkpoint`, `progress.digest`,
    /// `next_offset`.
    pub field: &'static str,
    /// What is stored, for a person.
    pub stored: String,
    /// What the log says.
    pub expected: String,
}

impl Difference {
    pub(super) fn of_progress(partition: Partition, stored: String, expected: String) -> Self {
        let stored = format!("{stored} of partition {partition}");
        Self { order_id: None, position: None, field: "next_offset", stored, expected }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(order_id) = self.order_id {
            write!(f, "order {order_id} ")?;
        }
        if let Some(Position { partition, offset }) = self.position {
            write!(f, "at {partition}/{offset} ")?;
        }
        write!(f, "{}: stored is {}, the log says {}", self.field, self.stored, self.expected)
    }
}

/// What is not there.
pub(super) fn nothing() -> String {
    "nothing".to_owned()
}

/// Bytes, for a person: how many, and the digest by which to tell them apart.
pub(super) fn bytes(bytes: &[u8]) -> String {
    format!("{} bytes, BLAKE3 {}", bytes.len(), blake3::hash(bytes).to_hex())
}

/// Where the stored snapshot of an order differs: its fields, or its bytes if they are no order's or another encoding of the
/// same; and its position.
pub(super) fn snapshot(stored: Option<&StoredSnapshot>, expected: &Held) -> Vec<Difference> {
    let Held { order, position, .. } = expected;
    let of = |(field, stored, expected)| Difference {
        order_id: Some(order.id),
        position: Some(*position),
        field,
        stored,
        expected,
    };
    let Some(stored) = stored else {
        let expected = format!("an order at version {}", order.version);
        return vec![of(("snapshot", nothing(), expected))];
    };
    let mut differences: Vec<_> = fields(&stored.bytes, order).into_iter().map(of).collect();
    if stored.position != *position {
        let told = |at: &Position| format!("{}/{}", at.partition, at.offset);
        differences.push(of(("snapshot.position", told(&stored.position), told(position))));
    }
    differences
}

fn fields(stored: &[u8], expected: &Order) -> Vec<(&'static str, String, String)> {
    let encoded = codec::encode_snapshot(expected);
    if stored == encoded {
        return Vec::new();
    }
    let mut fields = Vec::new();
    if let Ok(stored) = codec::decode_snapshot(stored) {
        macro_rules! compare {
            ($($field:ident)*) => {
                $(if stored.$field != expected.$field {
                    let name = concat!("snapshot.", stringify!($field));
                    let (stored, expected) = (&stored.$field, &expected.$field);
                    fields.push((name, format!("{stored:?}"), format!("{expected:?}")));
                })*
            };
        }
        compare!(id version state details captured refunded parcel progress cancel_reason anomalies);
        compare!(placed_at entered_at spent updated_at head recorded);
    }
    if fields.is_empty() {
        fields.push(("snapshot", bytes(stored), bytes(&encoded)));
    }
    fields
}
