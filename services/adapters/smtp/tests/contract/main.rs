//! The port's suite on a real mail server (Mailpit) and on a folder, and what only either of them can show.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails panics")]

mod file;
mod mailpit;
mod script;
mod talk;
