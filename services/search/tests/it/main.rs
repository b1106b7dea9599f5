//! The search projector from end to end on embedded parts.

#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

mod bench;
mod indexing;
mod traces;
mod transitions;
