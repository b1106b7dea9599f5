//! Values of flags, from text. What is wrong is told in one phrase; clap names the flag.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use events::State;
use ports::{Consumer, LetterKey, LetterStatus, Offset, Partition, Position};
use proto::v1;
use replay::Until;

use super::replay::Rate;
use crate::config::duration;

/// `2026-05-01T12:00:00Z`, or with another offset.
fn instant(text: &str) -> Result<DateTime<Utc>, String> {
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

/// `30s`; not none at all.
pub(super) fn some_time(text: &str) -> Result<Duration, String> {
    let some = wait(text)?;
    if some.is_zero() { Err("must be more than nothing".to_owned()) } else { Ok(some) }
}

/// What a request id can begin with.
pub(super) fn run_id(text: &str) -> Result<String, String> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if (1..=64).contains(&text.len()) && text.chars().all(is_allowed) {
        Ok(text.to_owned())
    } else {
        Err("must be 1 to 64 letters, digits, dots, dashes or underscores".to_owned())
    }
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

/// `50000`, or `max`.
pub(super) fn rate(text: &str) -> Result<Rate, String> {
    match text {
        "max" => Ok(Rate::Max),
        number => number.parse().map(Rate::AtMost).map_err(|_| {
            "neither `max` nor a whole number of records a second, 1 or more".to_owned()
        }),
    }
}

/// `2026-05-01`, `2026-05-01T12:00:00Z`, or `0=120,1=340`: the offset that each partition ends before.
pub(super) fn until(text: &str) -> Result<Until, String> {
    if !text.contains('=') {
        let neither =
            "neither a day or an instant such as 2026-05-01T12:00:00Z nor PARTITION=OFFSET[,…]";
        return day_or_instant(text).map(Until::Time).map_err(|_| neither.to_owned());
    }
    let offset = |pair: &str| {
        let (partition, offset) = pair.split_once('=')?;
        let offset = offset.trim().parse().ok().filter(|offset| *offset >= 0)?;
        Some((Partition(partition.trim().parse().ok()?), Offset(offset)))
    };
    let offsets: Option<BTreeMap<_, _>> = text.split(',').map(offset).collect();
    let wrong = || "not PARTITION=OFFSET[,PARTITION=OFFSET…], as in 0=120,1=340".to_owned();
    offsets.map(Until::Offsets).ok_or_else(wrong)
}

/// `projector/3/120`: who gave up, on the record at which place.
pub(super) fn letter(text: &str) -> Result<LetterKey, String> {
    let mut parts = text.split('/');
    let mut part = || parts.next();
    let parsed = (|| {
        let consumer = Consumer::from_name(part()?)?;
        let partition = Partition(part()?.parse().ok()?);
        let offset = Offset(part()?.parse().ok()?);
        let position = Position { partition, offset };
        part().is_none().then_some(LetterKey { consumer, position })
    })();
    parsed.ok_or_else(|| "not CONSUMER/PARTITION/OFFSET, as in projector/3/120".to_owned())
}

/// A consumer by its name.
pub(super) fn consumer(name: &str) -> Result<Consumer, String> {
    Consumer::from_name(name).ok_or_else(|| format!("no consumer is called {name}"))
}

/// A status by its name.
pub(super) fn status(name: &str) -> Result<LetterStatus, String> {
    LetterStatus::from_name(name).ok_or_else(|| format!("no status is called {name}"))
}

/// `30s`, `500ms`, `0s`.
pub(super) fn wait(text: &str) -> Result<Duration, String> {
    duration(text).ok_or_else(|| "not a duration such as 500ms, 30s or 5m".to_owned())
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
    fn the_end_of_a_replay_is_an_instant_or_offsets() {
        assert_eq!(until("2026-05-01"), day_or_instant("2026-05-01").map(Until::Time));
        let offsets = BTreeMap::from([(Partition(0), Offset(120)), (Partition(1), Offset(340))]);
        assert_eq!(until("0=120, 1=340"), Ok(Until::Offsets(offsets)));
        for text in ["", "soon", "0=", "=1", "0=1,", "0=-1", "0:1"] {
            assert!(until(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_dead_letter_is_named_by_who_gave_up_where() {
        let position = Position { partition: Partition(3), offset: Offset(120) };
        let key = LetterKey { consumer: Consumer::Projector, position };
        assert_eq!(letter("projector/3/120"), Ok(key));
        for text in ["projector/3", "cook/3/120", "mailer/3/120/1", "search/x/1", ""] {
            assert!(letter(text).is_err(), "{text}");
        }
    }

    #[test]
    fn states_are_found_in_any_case() {
        assert_eq!(state("deliveryfailed"), Ok(State::DeliveryFailed));
        assert!(state("lost").is_err());
    }
}
