//! The projector on embedded parts: whatever fails, and wherever it dies, the store holds what the log folds to, and
//! every change is told.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that fails panics: that is how it reports"
)]

mod bad_records;
mod faults;
mod faulty_letters;
mod faulty_log;

mod faulty_store;
mod handover;
mod measuring;
mod oracle;
mod parking;
mod races;
mod rival;
mod story;
mod sweeps;
mod traces;
mod unfit;
mod world;
