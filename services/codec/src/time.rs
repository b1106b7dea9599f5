//! Instants: UTC, to the microsecond, so that every store keeps them exactly.

use chrono::{DateTime, Timelike as _, Utc};
use prost_types::Timestamp;

/// As the wire has it.
#[must_use]
pub fn to_proto(at: DateTime<Utc>) -> Timestamp {
    Timestamp {
        seconds: at.timestamp(),
        // Leap seconds count past a thousand million in chrono, not on the wire.
        nanos: i32::try_from(at.nanosecond().min(999_999_999)).unwrap_or_default(),
    }
}

/// Cut to the microsecond; `None` if it is absent or not an instant between the years 1 and 9999.
#[must_use]
pub fn from_proto(at: Option<&Timestamp>) -> Option<DateTime<Utc>> {
    const YEAR_1: i64 = -62_135_596_800;
    const YEAR_10000: i64 = 253_402_300_800;
    let at = at?;
    if !(YEAR_1..YEAR_10000).contains(&at.seconds) {
        return None;
    }
    let micros = u32::try_from(at.nanos).ok().filter(|nanos| *nanos < 1_000_000_000)? / 1_000;
    DateTime::from_timestamp(at.seconds, micros * 1_000)
}
