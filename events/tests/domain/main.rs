//! The domain seen from outside: the state machine as a table, the fold under every short and under any hostile
//! sequence of events, commands, and what values can be made at all.

#![expect(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    reason = "a test that fails panics: that is how it reports"
)]

mod amounts;
mod commands;
mod details;
mod diagram;
mod exhaustive;
mod given;
mod history;
mod ids;
mod invariants;
mod money;
mod parts;
mod properties;
mod races;
mod text;
mod transitions;
