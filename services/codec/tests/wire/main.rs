//! The wire format seen from outside: what was written once is read for ever, what goes in comes out, and what is
//! wrong is named.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that fails panics: that is how it reports"
)]

mod fixtures;
mod garbage;
mod given;
mod hex;
mod records;
mod round_trips;
mod schema;
mod stories;
mod violations;
