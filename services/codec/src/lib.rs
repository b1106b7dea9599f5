//! Between bytes and the domain: protobuf for events, snapshots and state changes, and the headers of log records.
//!
//! Decoding parses: what comes out is a valid domain value, or a [`DecodeError`] / [`Violations`] that names every
//! fault. Encoding is deterministic: equal values give equal bytes. The only crate besides the api that knows `proto`.

mod details;
mod digest;
mod event;
mod headers;
mod history;
mod snapshot;
mod state_change;
mod time;
mod transition;
mod violations;

pub use details::{decode_details, encode_details};
pub use digest::record_digest;
pub use event::{
    decode_event, decode_money, decode_parcel, decode_pieces, decode_version, encode_event,
    fingerprint, new_event,
};
pub use headers::{ce_type, event_record, state_change_record};
pub use history::{history_to_proto, outcome_to_proto};
pub use snapshot::{
    decode_snapshot, encode_snapshot, order_of_snapshot, order_to_proto, state_from_proto,
    state_to_proto,
};
pub use state_change::{StateChange, StateChangeOutcome, decode_state_change, encode_state_change};
pub use time::{from_proto as decode_instant, to_proto as encode_instant};
pub use transition::transition;
pub use violations::{Violation, Violations};

/// Why bytes are not what they should be.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not the protobuf message it should be.
    #[error("is not a valid message: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// A well-formed event of a type that this version does not know.
    #[error("has no event type that this version knows")]
    UnknownType,
    /// A well-formed message that breaks the rules.
    #[error("{0}")]
    Invalid(#[from] Violations),
}
