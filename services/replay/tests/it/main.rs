//! Verification, audit and replay on the embedded parts.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that fails panics: that is how it reports"
)]

mod audit;
mod differing;
mod hooked;
mod interrupted;
mod reindexing;
mod replaying;
mod verify;
mod world;
