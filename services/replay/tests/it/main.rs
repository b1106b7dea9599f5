//! Verification, audit and replay on the embedded parts.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that fails panics: that is how it reports"
)]

mod audit;
mod bounded;
mod copies;
mod differing;
mod following;
mod heeded;
mod hooked;
mod interrupted;
mod parking;
mod reindexing;
mod replaying;
mod tampering;
mod transitions;
mod untold;
mod verify;
mod world;
