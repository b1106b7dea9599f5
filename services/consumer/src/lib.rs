//! What every reaction to `orders.state-changed` shares: read a batch, decode it, do the role's work, commit the
//! group's offsets; and the patience, the health and the alarm clock that the roles' other loops need as well.
//!
//! At-least-once, always: offsets are committed after the work is durable, so a crash repeats a batch and the work must
//! be idempotent. Nothing here knows what a role does with a change, and nothing here writes to the log.

mod again;
mod alarm;
mod batch;
mod both;
mod error;
mod follow;
mod health;
mod retry;
mod traces;

pub use alarm::Alarm;
pub use batch::{Changed, newest};
pub use both::both;
pub use error::Error;
pub use follow::{Reaction, Refusal, Source, follow};
pub use health::{Standing, Task};
pub use retry::Retry;
