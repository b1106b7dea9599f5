//! Values of flags, from text. What is wrong is told in one phrase; clap names the flag.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use events::State;
use proto::v1;

/// `2026-05-01T12:00:00Z`, or with another offset.
pub(super) fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    DateTime::parse_from_rfc3339(text)
        .map(|instant| instant.to_utc())
        .map_err(|_| "not an instant such as 2026-05-01T12:00:00Z".to_owned())
}

/// As `instant`, or a day: its begin in UTC.
pub(super) fn day_or_instant(text: &str) -> Result<DateTime<Utc>, String> {
    text.parse::<NaiveDate>().map_or_else(
        |_| {
            instant(text).map_err(|_| {
                "neither a day such as 2026-05-01 nor an instant such as 2026-05-01T12:00:00Z"
                    .to_owned()
            })
        },
        |day| Ok(day.and_time(NaiveTime::MIN).and_utc()),
    )
}

/// `2=3`: three pieces of the second line.
pub(super) fn line(text: &str) -> Result<v1::LineQuantity, String> {
    let parsed = text.split_once('=').and_then(|(line, quantity)| {
        Some(v1::LineQuantity { line: line.parse().ok()?, quantity: quantity.parse().ok()? })
    });
    parsed.ok_or_else(|| "not N=QUANTITY, as in 2=3 for three pieces of the second line".to_owned())
}

/// `0/42`: the partition and the offset.
pub(super) fn position(text: &str) -> Result<v1::LogPosition, String> {
    let parsed = text.split_once('/').and_then(|(partition, offset)| {
        Some(v1::LogPosition { partition: partition.parse().ok()?, offset: offset.parse().ok()? })
    });
    parsed.ok_or_else(|| "not PARTITION/OFFSET, as in 0/42".to_owned())
}

/// A state by its name, in whatever case.
pub(super) fn state(name: &str) -> Result<State, String> {
    State::ALL
        .into_iter()
        .find(|state| state.name().eq_ignore_ascii_case(name))
        .ok_or_else(|| format!("no state is called {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight_utc() {
        assert_eq!(day_or_instant("2026-05-01"), instant("2026-05-01T00:00:00Z"));
        assert_eq!(day_or_instant("2026-05-01T02:00:00+02:00"), instant("2026-05-01T00:00:00Z"));
        assert!(day_or_instant("yesterday").is_err());
    }

    #[test]
    fn pieces_and_positions_have_two_numbers() {
        assert_eq!(line("2=3"), Ok(v1::LineQuantity { line: 2, quantity: 3 }));
        assert_eq!(position("1/42"), Ok(v1::LogPosition { partition: 1, offset: 42 }));
        for text in ["", "=", "2", "2=", "2=x", "-1=3"] {
            assert!(line(text).is_err(), "{text}");
        }
        assert!(position("1").is_err());
    }

    #[test]
    fn states_are_found_in_any_case() {
        assert_eq!(state("deliveryfailed"), Ok(State::DeliveryFailed));
        assert!(state("lost").is_err());
    }
}
