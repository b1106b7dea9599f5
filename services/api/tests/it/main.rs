//! The api over real gRPC on a real, embedded log and store, with the projector beside it.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that fails panics: that is how it reports"
)]

mod bounds;
mod drain;
mod faulty;
mod health;
mod place;
mod read;
mod record;
mod search;
mod seed;
mod stream;
mod system;
mod traces;
mod verdict;
mod watch;
