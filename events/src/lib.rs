//! The domain of the order ledger: orders, the events that happen to them, and the pure fold of events into orders.
//!
//! This crate does no I/O, reads no clock, makes no random number and knows no encoding. Every function here is total:
//! no input makes it panic. What can be constructed is valid; the edges parse, this crate trusts its types.

mod command;
mod details;
mod event;
mod fold;
mod ids;
mod money;
mod order;
mod pieces;
mod state;
mod text;
mod time_spent;

pub use command::{Command, Refusal, decide};
pub use details::{
    Customer, DetailsError, Labels, Line, MAX_LABELS, MAX_LINES, OrderDetails, Payment,
};
pub use event::{Digest, Event, EventBody, EventKind, Fingerprint};
pub use fold::{FOLD_VERSION, Folded, MAX_RECORDED_EVENTS, Outcome, Rejection, fold};
pub use ids::{EventId, OrderId, Version};
pub use money::{Currency, MinorUnits, Money, MoneyError};
pub use order::{Order, Parcel, Recorded};
pub use pieces::{LineProgress, Pieces, PiecesError};
pub use state::{State, TRANSITIONS, Transition, allowed_events, mermaid, transition};
pub use text::{Email, EmailError, Language, Locale, Text, TextError};
pub use time_spent::{TimeSpent, micros_between};
