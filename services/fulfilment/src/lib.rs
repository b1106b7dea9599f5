//! Durable timers that append the next event.
