//! The digest of a record: what the chain over a partition is made of.

use events::Digest;
use ports::LogRecord;

/// BLAKE3 over a record's offset, key, value and headers, each preceded by its length, so that no two records share one.
/// The time of appending is left out: a log that is moved gives it anew.
#[must_use]
pub fn record_digest(record: &LogRecord) -> Digest {
    let LogRecord { position, appended_at: _, key, value, headers } = record;
    let mut bytes = Vec::with_capacity(1_024);
    bytes.extend_from_slice(&position.offset.0.to_be_bytes());
    part(&mut bytes, key.as_deref());
    part(&mut bytes, value.as_deref());
    for (name, value) in headers {
        part(&mut bytes, Some(name.as_bytes()));
        part(&mut bytes, Some(value));
    }
    Digest::of(&bytes)
}

/// Nothing at all has a length that no bytes have.
fn part(bytes: &mut Vec<u8>, part: Option<&[u8]>) {
    let length = part.map_or(u64::MAX, |part| u64::try_from(part.len()).unwrap_or(u64::MAX));
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(part.unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use ports::{Offset, Partition, Position};

    use super::*;

    fn record(offset: i64, key: Option<&'static str>, value: Option<&'static str>) -> LogRecord {
        LogRecord {
            position: Position { partition: Partition(0), offset: Offset(offset) },
            appended_at: None,
            key: key.map(Bytes::from),
            value: value.map(Bytes::from),
            headers: Vec::new(),
        }
    }

    #[test]
    fn every_part_counts() {
        let digest = record_digest(&record(1, Some("key"), Some("value")));
        let header = ("value".to_owned(), Bytes::new());
        for other in [
            record(2, Some("key"), Some("value")),
            record(1, Some("ke"), Some("yvalue")),
            record(1, None, Some("value")),
            record(1, Some(""), Some("value")),
            record(1, Some("key"), None),
            LogRecord { headers: vec![header], ..record(1, Some("key"), Some("value")) },
        ] {
            assert_ne!(record_digest(&other), digest, "{other:?}");
        }
        let elsewhere = Position { partition: Partition(3), offset: Offset(1) };
        let moved = LogRecord { position: elsewhere, ..record(1, Some("key"), Some("value")) };
        assert_eq!(record_digest(&moved), digest, "each partition has a chain of its own");
    }
}
