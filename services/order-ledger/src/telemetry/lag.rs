//! Since when a partition waits: told from where its end was seen, without reading a record.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use ports::Offset;

/// Looks kept of one partition at most; beyond that every second one is let go of.
const LOOKS_MAX: usize = 512;

/// The ends of one partition, as they were seen one after the other.
#[derive(Debug, Default)]
pub(super) struct Ends(VecDeque<(DateTime<Utc>, Offset)>);

impl Ends {
    /// Notes where the end is at `now`, and that everything below `next` is folded; how many records are not, and since
    /// when the first of them has been seen.
    pub(super) fn look(&mut self, now: DateTime<Utc>, end: Offset, next: Offset) -> Lag {
        let ends = &mut self.0;
        while ends.front().is_some_and(|(_, end)| *end <= next) {
            ends.pop_front();
        }
        if end <= next {
            return Lag::default();
        }
        if ends.len() >= LOOKS_MAX {
            let mut keep = false;
            ends.retain(|_| {
                keep = !keep;
                keep
            });
        }
        ends.push_back((now, end));
        let since = ends.front().map_or(now, |(seen, _)| *seen);
        Lag {
            records: end.0.saturating_sub(next.0),
            seconds: (now - since).to_std().unwrap_or_default().as_secs_f64(),
        }
    }
}

/// How far the fold of a partition is behind.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Lag {
    pub(super) records: i64,
    pub(super) seconds: f64,
}

#[cfg(test)]
mod tests {
    use testkit::sample::at;

    use super::*;

    fn lag(records: i64, seconds: f64) -> Lag {
        Lag { records, seconds }
    }

    #[test]
    fn a_partition_waits_since_its_end_was_first_seen_beyond_what_is_folded() {
        let mut ends = Ends::default();
        assert_eq!(ends.look(at(0), Offset(10), Offset(10)), lag(0, 0.0));
        assert_eq!(ends.look(at(5), Offset(20), Offset(10)), lag(10, 0.0));
        assert_eq!(ends.look(at(10), Offset(30), Offset(10)), lag(20, 5.0));
        // Some progress, but what came by the first look is not all folded.
        assert_eq!(ends.look(at(15), Offset(40), Offset(19)), lag(21, 10.0));
        assert_eq!(ends.look(at(20), Offset(40), Offset(25)), lag(15, 10.0));
        assert_eq!(ends.look(at(25), Offset(40), Offset(40)), lag(0, 0.0));
        assert_eq!(ends.look(at(30), Offset(41), Offset(40)), lag(1, 0.0));
    }

    #[test]
    fn a_fold_that_stands_still_is_not_forgotten_and_does_not_grow_the_process() {
        let mut ends = Ends::default();
        for second in 0..10_000 {
            let found = ends.look(at(second), Offset(1 + second), Offset(0));
            assert_eq!(found, lag(1 + second, f64::from(i32::try_from(second).unwrap())));
        }
        assert!(ends.0.len() <= LOOKS_MAX);
    }
}
