//! Spans of what happens to an order: a call, a record that is sent, one that is processed, a request to a server.
//!
//! Roles know OpenTelemetry by this crate alone. Which traces are followed is decided before anything is built: a call or
//! record that is in none costs a look at a static and at its headers. Names and attributes follow the semantic
//! conventions 1.44. Nothing here knows where spans go, waits for anything, or fails.

mod follow;
mod messaging;
mod requests;
mod span;

pub use follow::{Settings, followed, start};
pub use messaging::{Sending, processing, sending, sending_or_begin, until_acknowledged};
pub use requests::{Answer, call, client};
pub use span::Span;
